"""A database step's rows and its outcome are there together, once, or not at all."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from kronos import Engine, RunFailedError, StepContext, Transaction, step, workflow
from kronos.errors import WorkflowDefinitionError
from kronos.settings import Settings
from tests.durability.proxy import Fault, Proxy

TABLE = "CREATE TABLE IF NOT EXISTS ledger (run text, step text, attempt int, note text)"
SIGN = "INSERT INTO ledger VALUES (%s, %s, %s, %s)"


def sign(tx: Transaction, ctx: StepContext, note: str = "") -> None:
    tx.execute(SIGN, (ctx.run_id, ctx.step, ctx.attempt, note))


@step(effect="tx")
def book(tx: Transaction, ctx: StepContext, amount: int) -> int:
    sign(tx, ctx)
    return amount + 1


@step
def after(amount: int) -> int:
    return amount * 10


@workflow(version="1")
def booking(amount: int) -> int:
    return after(book(amount=amount))


@step(effect="tx", retries=2, backoff="10ms")
def book_and_fail(tx: Transaction, ctx: StepContext, failures: int) -> int:
    sign(tx, ctx)
    if ctx.attempt <= failures:
        raise ConnectionError("this try comes to nothing")
    return ctx.attempt


@workflow(version="1")
def failing(failures: int) -> int:
    return book_and_fail(failures=failures)


@step(effect="tx")
def ends_it_itself(tx: Transaction, how: str) -> None:
    if how == "cursor":
        tx.cursor().execute("COMMIT")
    else:
        tx.execute(how)


@workflow(version="1")
def rude(how: str) -> None:
    return ends_it_itself(how=how)


@step(effect="tx")
def goes_on_after_an_error(tx: Transaction) -> int:
    with suppress(psycopg.errors.DivisionByZero):
        tx.execute("SELECT 1 / 0")
    return 1


@workflow(version="1")
def careless() -> int:
    return goes_on_after_an_error()


@step(effect="tx")
def undoes_a_part(tx: Transaction, ctx: StepContext) -> int:
    sign(tx, ctx, "kept")
    with suppress(psycopg.errors.DivisionByZero), tx.savepoint():
        sign(tx, ctx, "undone")
        tx.execute("SELECT 1 / 0")
    return 1


@workflow(version="1")
def partly() -> int:
    return undoes_a_part()


@step(effect="tx")
def transfer(tx: Transaction, first: str, second: str) -> int:
    """Lock two rows in the order given, so that two of these deadlock."""
    for name in (first, second):
        tx.execute("UPDATE accounts SET n = n + 1 WHERE name = %s", (name,))
        time.sleep(0.1)
    return 1


@step(effect="tx")
def count_serializably(tx: Transaction) -> int:
    tx.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    (n,) = tx.execute("SELECT sum(n)::int FROM accounts").fetchone()  # type: ignore[misc]
    time.sleep(0.05)
    tx.execute("INSERT INTO accounts VALUES ('s' || gen_random_uuid(), 1)")
    return int(n)


@workflow(version="1")
def transferring(first: str, second: str) -> int:
    return transfer(first=first, second=second)


@workflow(version="1")
def counting() -> int:
    return count_serializably()


@step(effect="tx", timeout="300ms")
def too_slow(tx: Transaction, ctx: StepContext) -> int:
    sign(tx, ctx)
    time.sleep(0.8)
    return 1


@workflow(version="1")
def slow() -> int:
    return too_slow()


@pytest.fixture(scope="module")
def url(postgres_url: str, template_database: str) -> Iterator[str]:
    name = f"kronos_steps_{secrets.token_hex(4)}"
    head, mark, query = postgres_url.partition("?")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY")
        yield f"{head.rpartition('/')[0]}/{name}{mark}{query}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def proxy(url: str) -> Iterator[Proxy]:
    with Proxy(url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def engine(url: str, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine for the module: its links break, and it goes on."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE)
        connection.execute("CREATE TABLE accounts (name text PRIMARY KEY, n int)")
    flows = [booking, failing, rude, careless, partly, transferring, counting, slow]
    settings = Settings(data_dir=tmp_path_factory.mktemp("steps"))
    with Engine(workflows=flows, database_url=proxy.url, settings=settings) as engine:
        yield engine


@pytest.fixture
def database(url: str, engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE ledger, accounts")
        connection.execute("INSERT INTO accounts VALUES ('a', 0), ('b', 0)")
        yield connection


def ledger(database: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return database.execute("SELECT step, attempt, note FROM ledger ORDER BY attempt, note").fetchall()


def test_the_steps_rows_and_its_outcome_are_there_together(engine, database):
    handle = engine.start(booking, {"amount": 4})
    assert handle.result(10) == 50
    assert ledger(database) == [("book", 1, "")]
    kinds = [(str(event.kind), event.step) for event in engine.app.history.events(handle.run_id)]
    assert ("step_completed", "book") in kinds
    assert database.execute("SELECT count(*) FROM kronos.run_inbox").fetchone() == (0,)
    engine.app.history.verify(handle.run_id)


def test_an_attempt_that_raises_leaves_nothing_behind(engine, database):
    assert engine.start(failing, {"failures": 2}).result(10) == 3
    assert ledger(database) == [("book_and_fail", 3, "")]
    with pytest.raises(RunFailedError, match="comes to nothing"):
        engine.start(failing, {"failures": 9}).result(10)
    assert len(ledger(database)) == 1


@pytest.mark.parametrize("how", ["COMMIT", " rollback", "END", "ROLLBACK AND CHAIN", "prepare transaction 'x'"])
def test_a_step_that_would_end_its_transaction_is_refused(engine, how):
    with pytest.raises(RunFailedError, match="cannot end its transaction"):
        engine.start(rude, {"how": how}).result(10)


def test_a_step_that_ended_its_transaction_behind_our_back_is_found_out(engine):
    with pytest.raises(RunFailedError, match="ended its transaction itself"):
        engine.start(rude, {"how": "cursor"}).result(10)


def test_a_step_that_goes_on_after_a_failed_statement_fails_and_says_why(engine):
    with pytest.raises(RunFailedError, match="went on after a statement"):
        engine.start(careless).result(10)


def test_a_part_may_be_undone(engine, database):
    assert engine.start(partly).result(10) == 1
    assert ledger(database) == [("undoes_a_part", 1, "kept")]


def test_deadlocks_and_serialization_failures_are_no_failures_of_the_step(engine, database):
    handles = [engine.start(transferring, {"first": a, "second": b}) for a, b in (("a", "b"), ("b", "a"))]
    handles += [engine.start(counting) for _ in range(3)]
    for handle in handles:
        handle.result(20)
    assert database.execute("SELECT n FROM accounts WHERE name IN ('a', 'b')").fetchall() == [(2,), (2,)]
    for handle in handles:
        kinds = [str(event.kind) for event in engine.app.history.events(handle.run_id)]
        assert "step_retried" not in kinds


def test_an_attempt_that_ran_past_its_limit_commits_nothing_afterwards(engine, database):
    with pytest.raises(RunFailedError, match="past its limit"):
        engine.start(slow).result(10)
    time.sleep(0.8)
    assert ledger(database) == []


def test_a_cancelled_runs_step_commits_nothing_afterwards(engine, database):
    handle = engine.start(transferring, {"first": "a", "second": "b"})
    deadline = time.monotonic() + 5
    while "step_input_recorded" not in [str(e.kind) for e in engine.app.history.events(handle.run_id)]:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    engine.app.cancel(handle.run_id)
    assert engine.app.wait(handle.run_id, 5).phase in ("cancelled", "completed")
    phase = engine.app.wait(handle.run_id, 5).phase
    time.sleep(0.3)
    moved = database.execute("SELECT sum(n)::int FROM accounts WHERE name IN ('a', 'b')").fetchone()
    assert moved == ((2,) if phase == "completed" else (0,))


@pytest.mark.parametrize("way", ["before", "after", "late", "middle"])
def test_a_commit_whose_answer_is_lost_is_asked_for(engine, proxy, database, way):
    fault = proxy.arm(Fault("kronos step", b"COMMIT", way))
    assert engine.start(booking, {"amount": 4}).result(20) == 50
    assert fault.fired.is_set()
    assert ledger(database) == [("book", 1, "")], "its rows are there once"


def test_a_connection_that_breaks_within_the_step_is_no_failure_of_the_step(engine, proxy, database):
    fault = proxy.arm(Fault("kronos step", b"INSERT INTO ledger", "after"))
    assert engine.start(booking, {"amount": 4}).result(20) == 50
    assert fault.fired.is_set()
    assert ledger(database) == [("book", 1, "")]


def test_connections_that_broke_while_no_step_used_them_are_no_failure_of_the_next_step(engine, database):
    assert engine.start(booking, {"amount": 4}).result(20) == 50
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kronos step'"
    assert database.execute(ended).fetchall()
    assert engine.start(booking, {"amount": 4}).result(20) == 50


def test_many_at_once_wait_for_one_of_a_few_transactions(engine, database):
    handles = [engine.start(booking, {"amount": n}) for n in range(30)]
    seen = []
    stop = threading.Event()

    def watch():
        while not stop.is_set():
            (n,) = database.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kronos step'"
                " AND datname = current_database()"
            ).fetchone()
            seen.append(n)
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert [handle.result(20) for handle in handles] == [(n + 1) * 10 for n in range(30)]
    stop.set()
    watcher.join()
    assert len(ledger(database)) == 30
    assert 0 < max(seen) <= 4


def test_a_decorated_database_step_is_still_its_function(url, database):
    with psycopg.connect(url) as connection:
        tx = Transaction(connection)
        tx.executemany("INSERT INTO ledger VALUES (%s, 's', 1, '')", [("r1",), ("r2",)])
        assert tx.execute("SELECT count(*) FROM ledger").fetchone() == (2,)
        assert transfer(tx, first="a", second="b") == 1
        connection.rollback()
    assert ledger(database) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"effect": "tx", "executor": "process"}, "executor"),
        ({"effect": "tx", "queue": "books"}, "queue"),
        ({"effect": "tx"}, "takes no transaction"),
        ({"effect": "external"}, "only a database step"),
    ],
)
def test_what_could_not_be_exactly_once_is_refused_when_declared(options, says):
    def plain(number: int) -> int:
        return number

    def with_transaction(tx: Transaction, number: int) -> int:
        return number

    chosen = plain if says == "takes no transaction" else with_transaction
    with pytest.raises(WorkflowDefinitionError, match=says):
        step(**options)(chosen)


def test_a_coroutine_cannot_be_a_database_step():
    with pytest.raises(WorkflowDefinitionError, match="executor"):

        @step(effect="tx")
        async def book_later(tx: Transaction) -> int:
            return 1
