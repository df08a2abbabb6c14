"""What users test their workflows with: skipped time, equal ids, workers that die by a seed."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import Rollback
from psycopg.errors import UniqueViolation

from kronos import RunFailedError, StepContext, Transaction, sleep, step, wait_for_signal, workflow
from kronos.errors import InvalidInput
from kronos.testing import DivergedError, FakeClock, Ledger, StuckError, TestEngine, simulate

ROOT = Path(__file__).resolve().parents[2]
LEDGER = Ledger()


@step
def greet(name: str) -> str:
    return f"hello {name}"


@step
def hour(ctx: StepContext) -> str:
    return ctx.now().isoformat()


@step(retries=3, backoff="1h", backoff_max="10h")
def stumble(ctx: StepContext, name: str) -> str:
    if ctx.attempt < 3:
        raise ConnectionError("not yet")
    return name


@step(effect="external")
def pay(ctx: StepContext, amount: int) -> int:
    LEDGER.apply(f"{ctx.run_id}/pay", amount)
    return amount


@step(effect="external")
def pay_anew(ctx: StepContext, amount: int) -> int:
    LEDGER.apply(f"{ctx.run_id}/{ctx.attempt}", amount)
    return amount


@step
def receipt(amount: int) -> str:
    return f"paid {amount}"


@workflow(version="1")
def reminder(name: str) -> str:
    sleep("3d")
    return greet(name)  # type: ignore[no-any-return]


@workflow(version="1")
def stamped() -> str:
    return hour()


@workflow(version="1")
def stumbling(name: str) -> str:
    return greet(stumble(name))


@workflow(version="1", timeout="2h")
def limited(name: str) -> str:
    return greet(stumble(name))


@workflow(version="1")
def answered() -> str:
    return greet(wait_for_signal("answer", str))


@workflow(version="1")
def paying(amount: int) -> str:
    return receipt(pay(amount))


@workflow(version="1")
def paying_twice(amount: int) -> str:
    return receipt(pay_anew(amount))


@step(effect="tx")
def book(tx: Transaction, ctx: StepContext, count: int) -> int:
    tx.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    tx.execute("CREATE TABLE IF NOT EXISTS public.bookings (run text, n int, PRIMARY KEY (run, n))")
    tx.executemany("INSERT INTO public.bookings VALUES (%s, %s)", [(ctx.run_id, n) for n in range(count)])
    with suppress(UniqueViolation), tx.savepoint():
        tx.execute("INSERT INTO public.bookings VALUES (%s, -1)", (ctx.run_id,))
        tx.execute("INSERT INTO public.bookings VALUES (%s, 0)", (ctx.run_id,))
    with suppress(LookupError), tx.savepoint():
        with tx.savepoint():
            tx.execute("INSERT INTO public.bookings VALUES (%s, -2)", (ctx.run_id,))
            raise Rollback
        raise LookupError
    with tx.cursor(name="held") as cursor:
        cursor.execute("SELECT n FROM public.bookings WHERE run = %s", (ctx.run_id,))
        return len(cursor.fetchall())


@step(effect="tx")
def spoil(tx: Transaction, ctx: StepContext, count: int) -> int:
    tx.execute("DELETE FROM public.bookings WHERE run = %s", (ctx.run_id,))
    raise LookupError("nothing of this is to stay")


@workflow(version="1")
def booking(count: int) -> int:
    return book(count)  # type: ignore[no-any-return]


@workflow(version="1")
def spoiling(count: int) -> int:
    return spoil(book(count))  # type: ignore[no-any-return]


WORKFLOWS = [reminder, stamped, stumbling, limited, answered, paying, paying_twice, booking, spoiling]


@pytest.fixture(scope="module")
def engine(postgres_url):
    with TestEngine(workflows=WORKFLOWS, database_url=postgres_url) as opened:
        yield opened


def test_three_days_of_backoff_hours_and_sleep_pass_at_once(engine):
    before = engine.clock.now()
    assert engine.run(stumbling, {"name": "Ada"}) == "hello Ada"
    assert timedelta(hours=1.5) < engine.clock.now() - before < timedelta(hours=5)


def test_a_run_sees_the_time_of_the_fake_clock(engine):
    before = engine.clock.now()
    assert before <= datetime.fromisoformat(engine.run(stamped)) <= engine.clock.now()


def test_a_run_that_passes_its_limit_fails_at_its_time(engine):
    before = engine.clock.now()
    with pytest.raises(RunFailedError, match="RunTimeout"):
        engine.run(limited, {"name": "Ada"})
    assert engine.clock.now() - before == pytest.approx(timedelta(hours=2), abs=timedelta(seconds=5))


def test_a_run_that_waits_for_somebody_is_told_as_stuck_and_goes_on_with_the_signal(engine):
    handle = engine.start(answered)
    with pytest.raises(StuckError, match="waits for somebody"):
        handle.result()
    engine.app.signal(handle.run_id, "answer", "Ada")
    assert handle.result() == "hello Ada"


def test_schedules_fire_at_their_times_while_time_is_advanced(engine):
    engine.app.schedules.add("noon", "0 12 * * *", stamped, zone="UTC")
    engine.advance(3 * 86_400)
    fired = [firing.nominal_time for firing in engine.app.schedules.firings("noon")]
    assert len(fired) == 3
    assert {moment.hour for moment in fired} == {12}
    engine.app.schedules.delete("noon")


def test_equal_seeds_give_equal_ids_and_equal_histories(postgres_url):
    seen = []
    for _ in range(2):
        with TestEngine(workflows=[stumbling], database_url=postgres_url, seed=5) as opened:
            run_id = opened.start(stumbling, {"name": "Ada"}).run_id
            opened.finish(run_id)
            seen.append((run_id, opened.app.history.events(run_id)))
    assert seen[0] == seen[1]


def test_a_workflow_says_the_same_when_its_workers_die(engine):
    faults = []
    for seed in range(3):
        faults += simulate(seed, paying, {"amount": 7}, engine=engine, ledger=LEDGER).faults
    assert faults, "these seeds let nothing go wrong"


def test_an_effect_without_a_key_of_its_own_is_found(postgres_url):
    """Seed 9 finds it, on an engine that nobody used before; when the engine says other statements, another does."""

    def many() -> None:
        with TestEngine(workflows=[paying_twice], database_url=postgres_url) as fresh:
            for seed in (9, *range(40)):
                simulate(seed, paying_twice, {"amount": 7}, engine=fresh, ledger=LEDGER)

    with pytest.raises(DivergedError, match="the ledger was told"):
        many()


def bookings(engine, run):
    with psycopg.connect(engine.app.url) as connection:
        return connection.execute("SELECT n FROM public.bookings WHERE run = %s ORDER BY n", (run,)).fetchall()


def test_the_rows_of_a_database_step_are_there_with_its_outcome_and_gone_with_its_failure(engine):
    booked, spoiled = engine.start(booking, {"count": 3}), engine.start(spoiling, {"count": 2})
    assert booked.result() == 3
    assert bookings(engine, booked.run_id) == [(0,), (1,), (2,)]
    with pytest.raises(RunFailedError, match="nothing of this is to stay"):
        spoiled.result()
    assert bookings(engine, spoiled.run_id) == [(0,), (1,)]


def test_the_rows_of_a_database_step_are_there_once_when_its_workers_die(engine):
    faults = []
    for seed in range(3):
        done = simulate(seed, booking, {"count": 2}, engine=engine)
        faults += done.faults
    assert faults, "these seeds let nothing go wrong"
    with psycopg.connect(engine.app.url) as connection:
        rows = "SELECT array_agg(n ORDER BY n) FROM public.bookings GROUP BY run"
        assert {tuple(found) for (found,) in connection.execute(rows)} <= {(0, 1), (0, 1, 2)}


def test_a_ledger_takes_one_value_under_one_key():
    ledger = Ledger()
    assert [ledger.apply("a", 1), ledger.apply("a", 1)] == [1, 1]
    assert ledger.repeated == 1
    with pytest.raises(DivergedError, match="'a'"):
        ledger.apply("a", 2)


def test_a_fake_clock_does_not_go_back_and_needs_a_zone():
    clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
    clock.advance(90.5)
    assert clock.now() == datetime(2026, 1, 1, 0, 1, 30, 500_000, tzinfo=UTC)
    with pytest.raises(InvalidInput, match="seconds"):
        clock.advance(-1)
    with pytest.raises(InvalidInput, match="time zone"):
        FakeClock(datetime(2026, 1, 1))


def test_the_examples_of_the_guide_run(pytester_like, postgres_url):
    assert pytester_like(postgres_url) == 0


@pytest.fixture
def pytester_like(tmp_path, monkeypatch):
    """Runs the Python blocks of the guide as a test file of a user's own."""
    import subprocess
    import sys

    def run(url: str) -> int:
        guide = (ROOT / "docs" / "how-to" / "test-your-workflows.md").read_text()
        blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
        blocks.append("def test_the_fixture_gives_an_engine(own):\n    own.app.serve(subscription)\n")
        (tmp_path / "test_guide.py").write_text("\n\n".join(blocks))
        (tmp_path / "conftest.py").write_text("from kronos.testing.plugin import kronos_engine as own\n")
        monkeypatch.setenv("DATABASE_URL", url)
        return subprocess.call([sys.executable, "-m", "pytest", "-q", "test_guide.py"], cwd=tmp_path)

    return run
