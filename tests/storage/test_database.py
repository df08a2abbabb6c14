"""A database that cannot be used is named, with what to do, and without its password."""

from __future__ import annotations

import socket
import threading

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from kronos.app import Kronos
from kronos.errors import InvalidInput, Unavailable
from kronos.storage.database import SUPPORTED, Session, connect, describe
from kronos.storage.statements import statement, statement_names

SECRET = "hunter2-very-secret"


def test_an_unreachable_database_is_named_by_host_and_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable) as refused:
            connect(f"postgresql://someone:{SECRET}@127.0.0.1:{port}/prices", purpose="test")
    message = refused.value.message
    assert f"127.0.0.1:{port}/prices does not answer" in message
    assert "Check DATABASE_URL, or unset it" in message
    assert SECRET not in message
    assert refused.value.__cause__ is None


def test_opening_kronos_on_an_unreachable_database_says_the_same(tmp_path):
    with pytest.raises(Unavailable, match="does not answer"):
        Kronos.open(database_url=f"postgresql://u:{SECRET}@127.0.0.1:1/x", data_dir=tmp_path)


def test_a_wrong_password_is_refused_without_showing_it(database_url):
    parts = conninfo_to_dict(database_url)
    wrong = make_conninfo(**{**parts, "password": SECRET})
    try:
        psycopg.connect(wrong).close()
    except psycopg.OperationalError:
        pass
    else:
        pytest.skip("this server asks for no password")
    with pytest.raises(Unavailable, match="password authentication failed") as refused:
        connect(wrong, purpose="test")
    assert SECRET not in str(refused.value)
    assert SECRET not in repr(refused.value.facts)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@host:notaport/db",
        f"nonsense {SECRET}",
        f"postgresql://:{SECRET}@[bad",
        f"postgresql://u:{SECRET}@h/db?sslmoed=x",
    ],
)
def test_a_malformed_url_is_refused_without_its_password(url):
    with pytest.raises((InvalidInput, Unavailable)) as refused:
        connect(url, purpose="test")
    assert "DATABASE_URL" in refused.value.message
    assert SECRET not in refused.value.message
    assert SECRET not in describe(url)


def test_a_postgresql_of_another_age_is_refused_by_its_number(database_url, monkeypatch):
    monkeypatch.setattr("kronos.storage.database.SUPPORTED", range(5, 10))
    with pytest.raises(Unavailable, match=r"is PostgreSQL \d+; Kronos needs 5 to 9"):
        connect(database_url, purpose="test")
    assert (SUPPORTED[0], SUPPORTED[-1]) == (14, 18)


def test_connections_say_what_they_are_for_and_count_time_in_utc(database_url):
    with connect(database_url, purpose="reading") as connection:
        assert connection.execute("SHOW application_name").fetchone() == ("kronos reading",)
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
        assert connection.execute("SHOW lock_timeout").fetchone() == ("2s",)


def test_a_session_opens_another_connection_after_its_own_died(database_url, owner):
    session = Session(database_url, purpose="fragile")

    def use_it_to_its_end() -> None:
        with session.connection() as connection:
            pid = connection.info.backend_pid
            owner.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
            connection.execute("SELECT 1")

    with pytest.raises(Unavailable, match="was lost"):
        use_it_to_its_end()
    with session.connection() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    session.close()


def test_a_connection_that_the_server_closed_while_nobody_used_it_fails_no_request(database_url, owner):
    session = Session(database_url, purpose="session")
    for _ in range(3):
        with session.connection() as connection:
            (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone()
        owner.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    with session.transaction() as connection, connection.pipeline(), session.connection() as same:
        same.execute("SELECT 1")
        assert same is connection, "in use it is not looked at"
    session.close()


def test_a_session_gives_many_threads_one_transaction_at_a_time(database_url, owner):
    owner.execute("CREATE TABLE kronos.counter AS SELECT 0 AS n")
    owner.execute("GRANT ALL ON kronos.counter TO kronos_runtime")
    session = Session(database_url, purpose="shared")

    def count_up() -> None:
        for _ in range(25):
            with session.transaction() as connection:
                (n,) = connection.execute("SELECT n FROM kronos.counter").fetchone()
                connection.execute("UPDATE kronos.counter SET n = %s", (n + 1,))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert owner.execute("SELECT n FROM kronos.counter").fetchone() == (100,)
    session.close()


def test_a_failed_transaction_leaves_nothing_and_does_not_spoil_the_session(database_url, owner):
    session = Session(database_url, purpose="test")
    with pytest.raises(ZeroDivisionError), session.transaction() as connection:  # noqa: PT012
        connection.execute("INSERT INTO kronos.flushes VALUES (1, 1)")
        raise ZeroDivisionError
    with session.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM kronos.flushes").fetchone() == (0,)
    session.close()


@pytest.mark.parametrize("name", statement_names())
def test_every_statement_opens_with_its_promise(name):
    from importlib.resources import files

    text = (files("kronos.storage") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    assert text.startswith("-- ")
    assert statement(name)
    assert ";" not in statement(name), "one statement a file"
