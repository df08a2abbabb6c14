"""The schema is brought up to date once, or refused with what to do."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from kronos.errors import Unavailable
from kronos.storage.database import connect
from kronos.storage.migrate import CODE_VERSION, check_schema, migrate

MIGRATE = "import sys; from kronos.storage.migrate import migrate; print(migrate(sys.argv[1]))"
CATALOG = """
SELECT c.relname, c.relkind::text, count(a.attnum) FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'kronos'::regnamespace GROUP BY 1, 2 ORDER BY 1
"""


def catalog(url):
    with psycopg.connect(url) as connection:
        return connection.execute(CATALOG).fetchall()


def test_migrating_twice_changes_nothing(empty_database):
    url = empty_database()
    assert migrate(url) == CODE_VERSION
    before = catalog(url)
    assert migrate(url) == CODE_VERSION
    assert catalog(url) == before
    assert len(before) > 30


def test_processes_that_migrate_at_once_leave_one_schema(empty_database):
    url = empty_database()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in started]
    assert [(out.strip(), code) for out, _, code in ended] == [(str(CODE_VERSION), 0)] * 3, ended
    with connect(url, purpose="test") as connection:
        assert check_schema(connection) == CODE_VERSION


def test_two_databases_of_one_server_can_be_migrated_at_once(empty_database):
    urls = [empty_database() for _ in range(3)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for url in urls
    ]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in started]
    assert [(out.strip(), code) for out, _, code in ended] == [(str(CODE_VERSION), 0)] * 3, ended
    for url in urls:
        with connect(url, purpose="test") as connection:
            connection.execute("SELECT count(*) FROM kronos.runs")
            assert connection.execute("SELECT current_user::text").fetchone() == ("kronos_runtime",)


def test_code_below_min_code_is_refused_with_what_to_do(database_url, owner):
    newer = CODE_VERSION + 1
    owner.execute("UPDATE kronos.schema_version SET version = %s, min_code = %s", (newer, newer))
    with pytest.raises(Unavailable) as refused:
        migrate(database_url)
    assert refused.value.message == (
        f"the database's schema is version {newer} and needs code of version {newer} or later; "
        f"this is {CODE_VERSION}: upgrade Kronos"
    )
    assert refused.value.facts == {"version": newer, "min_code": newer}


def test_a_newer_schema_that_still_takes_this_code_is_worked_on(database_url, owner):
    owner.execute("UPDATE kronos.schema_version SET version = %s", (CODE_VERSION + 1,))
    assert migrate(database_url) == CODE_VERSION + 1


def test_a_database_without_a_schema_is_named_as_such(empty_database):
    with (
        connect(empty_database(), purpose="test") as connection,
        pytest.raises(Unavailable, match="holds no Kronos schema: run `kronos dev`"),
    ):
        check_schema(connection)
