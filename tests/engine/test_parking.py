"""A run that only waits is nobody's: it costs its row, and wakes when it is due or when a message comes."""

from __future__ import annotations

import time
import uuid

import psycopg
import pytest

from kronos import StepContext, step, workflow
from kronos.core.state import Phase
from kronos.engine.timers import Timers
from kronos.storage.queue import PostgresQueue
from tests.engine.conftest import facts, kinds

ran: list[int] = []


@step(retries=3, backoff="2h", backoff_max="1d")
def ask_again(ctx: StepContext) -> int:
    ran.append(ctx.attempt)
    if ctx.attempt == 1:
        raise ConnectionError("closed until tomorrow")
    return ctx.attempt


@workflow(version="1")
def patient() -> int:
    return ask_again()


def row(url, run_id):
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(
            "SELECT phase::text, owner, takeovers, claims, inbox_n, inbox_seen, head_seq,"
            " wake_at - kronos.now() AS sleep FROM kronos.runs WHERE id = %s",
            (run_id,),
        )
        names = [column.name for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))


def parked(url, run_id):
    until = time.monotonic() + 10
    while (found := row(url, run_id))["owner"] is not None or found["phase"] != "waiting":
        assert time.monotonic() < until, found
        time.sleep(0.01)
    return found


def set_clock(url, at):
    """From now on new connections are told that it is `at`, which then stands still for the database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET kronos.now = '{at}'")


def test_a_long_backoff_leaves_nothing_but_a_row_and_the_attempt_comes_when_it_is_due(make_engine, database_url):
    ran.clear()
    engine = make_engine(patient)
    handle = engine.start(patient, {})
    asleep = parked(database_url, handle.run_id)
    assert 1.5 * 3600 < asleep["sleep"].total_seconds() < 2.5 * 3600
    deadline = time.monotonic() + 5
    while engine._worker.worker._life.loop.owned:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(engine._worker.worker._life.loop._vigil.timers) == 0
    assert engine.app.history.run(handle.run_id).phase is Phase.WAITING
    assert engine.app.history.verify(handle.run_id) == asleep["head_seq"]
    engine.close(1)

    set_clock(database_url, "2100-01-01 00:00+00")
    again = make_engine(patient)
    assert again.app.wait(handle.run_id, 20).output == b"2"
    assert ran == [1, 2]
    assert row(database_url, handle.run_id)["takeovers"] == 0
    known = facts(again.app, handle.run_id)
    due = next(event.facts.retry_due for event in known if event.kind == "step_retried")
    assert [event.facts.started for event in known if event.kind == "step_started"][1] >= due
    again.app.history.verify(handle.run_id)


def test_a_message_wakes_a_sleeping_run_at_once(make_engine, database_url):
    engine = make_engine(patient)
    handle = engine.start(patient, {})
    parked(database_url, handle.run_id)
    began = time.monotonic()
    engine.app.cancel(handle.run_id, reason="not needed any more", by="us")
    assert engine.app.wait(handle.run_id, 10).phase is Phase.CANCELLED
    assert time.monotonic() - began < 5
    assert kinds(engine.app, handle.run_id)[-1] == "run_cancelled"
    assert row(database_url, handle.run_id)["inbox_n"] == row(database_url, handle.run_id)["inbox_seen"] == 1


def test_a_run_that_sleeps_past_its_own_limit_fails_at_it_and_its_step_does_not_begin(make_engine, database_url):
    ran.clear()
    engine = make_engine(patient)
    handle = engine.start(patient, {}, timeout_s=600.0)
    assert 300 < parked(database_url, handle.run_id)["sleep"].total_seconds() < 600
    engine.close(1)
    set_clock(database_url, "2100-01-01 00:00+00")
    again = make_engine(patient)
    run = again.app.wait(handle.run_id, 20)
    assert (run.phase, run.failure.type, run.failure.cause) == (Phase.FAILED, "RunTimeout", "timeout")
    assert ran == [1]


def test_a_message_sent_in_the_very_moment_of_parking_is_not_slept_through(make_engine, database_url, monkeypatch):
    """The message is committed between the owner's decision to park and the statement that parks."""
    sent: list[uuid.UUID] = []
    flush = PostgresQueue.flush

    def send_first(self, incarnation, what):
        for each in what.parked:
            if each.head.run not in sent:
                sent.append(each.head.run)
                engine.app.cancel(str(each.head.run), reason="just now")
        return flush(self, incarnation, what)

    monkeypatch.setattr(PostgresQueue, "flush", send_first)
    engine = make_engine(patient)
    handles = [engine.start(patient, {}) for _ in range(20)]
    for handle in handles:
        assert engine.app.wait(handle.run_id, 10).phase is Phase.CANCELLED
        assert row(database_url, handle.run_id)["claims"] == 1
        engine.app.history.verify(handle.run_id)
    assert len(sent) == 20


def test_messages_sent_while_runs_fall_asleep_all_arrive(make_engine, database_url):
    engine = make_engine(patient)
    handles = engine.start_many(patient, [{} for _ in range(60)])
    for i, handle in enumerate(handles):
        while i % 3 and "step_retried" not in kinds(engine.app, handle.run_id, "ask_again"):
            time.sleep(0.001)
        engine.app.cancel(handle.run_id)
    for handle in handles:
        assert engine.app.wait(handle.run_id, 10).phase is Phase.CANCELLED
        assert row(database_url, handle.run_id)["inbox_n"] == row(database_url, handle.run_id)["inbox_seen"]


# ── timers ──


@pytest.fixture
def clock():
    return [0]


@pytest.fixture
def timers(clock):
    return Timers(lambda: clock[0])


def test_timers_fire_in_the_order_of_their_times_and_not_before(timers, clock):
    fired = []
    for due in (30, 10, 20, 10):
        timers.at(due, "run", lambda due=due: fired.append(due))
    timers.fire()
    assert fired == []
    clock[0] = 20
    timers.fire()
    assert fired == [10, 10, 20]
    clock[0] = 30
    timers.fire()
    assert (fired, len(timers)) == ([10, 10, 20, 30], 0)


def test_what_is_forgotten_does_not_fire_and_is_not_kept(timers, clock):
    fired = []
    for number in range(5_000):
        timers.at(10, number, lambda number=number: fired.append(number))
    for number in range(4_990):
        timers.forget(number)
    assert len(timers) == 10
    assert len(timers._heap) < 2_500
    clock[0] = 10
    timers.fire()
    assert fired == list(range(4_990, 5_000))
