"""When a flush leaves, and what goes with it."""

from __future__ import annotations

import uuid

import pytest

from kronos import step, workflow
from kronos.engine.gathering import FLUSHES_MAX, LINGER_S, Gathering
from kronos.engine.owned import OwnedRun
from kronos.engine.registration import define
from kronos.engine.serving import Served
from kronos.engine.tasks import Outcome
from kronos.kernel.ids import IncarnationId, RunId
from kronos.ports.queue import ClaimedRun
from kronos.testing.clock import FakeClock


@step
def double(number: int) -> int:
    return 2 * number


@step(effect="external")
def order(number: int) -> int:
    return number


@workflow(version="1")
def doubled(number: int) -> int:
    return double(number)


@workflow(version="1")
def ordered(number: int) -> int:
    return order(number)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def gathering(clock: FakeClock) -> Gathering:
    return Gathering(lambda: clock.now_ns() / 1e9)


def claimed(clock: FakeClock, flow=doubled) -> OwnedRun:
    definition, _ = define(flow)
    run = ClaimedRun(
        RunId(str(uuid.uuid4())), 1, definition.id, flow.name, "1", b'{"number":3}', 1, 1, None, 0, 0, 0, None, 0, 0
    )
    served = Served(flow, definition)
    return OwnedRun(run, served, worker=IncarnationId(1), now_ns=clock.now_ns, chance=lambda: 0.5, room={})


def test_a_beginning_lingers_for_the_first_outcome_and_goes_with_it(clock, gathering):
    run = claimed(clock)
    (task,) = run.begin()
    gathering.add(run)
    assert gathering.next() is None
    assert gathering.wait_s(1.0) == pytest.approx(LINGER_S, rel=0.1)
    run.record(task, Outcome(b"6", None, (), clock.now_ns(), clock.now_ns()))
    gathering.add(run)
    flush, _ = gathering.next()
    assert [row.kind for row in flush.rows] == ["run_started", "step_completed", "run_completed"]
    assert len(flush.ended) == 1


def test_a_beginning_without_an_outcome_leaves_when_it_has_lingered(clock, gathering):
    run = claimed(clock)
    run.begin()
    gathering.add(run)
    clock.advance(1.1 * LINGER_S)
    flush, _ = gathering.next()
    assert [row.kind for row in flush.rows] == ["run_started"]


def test_what_must_be_on_record_before_it_runs_does_not_linger(clock, gathering):
    run = claimed(clock, ordered)
    assert run.begin() == []
    gathering.add(run)
    assert gathering.wait_s(1.0) == 0
    flush, ((_, buffer),) = gathering.next()
    assert [row.kind for row in flush.rows] == ["run_started", "step_input_recorded"]
    assert len(buffer.after_commit) == 1


def test_a_run_has_rows_in_one_flush_at_a_time(clock, gathering):
    run = claimed(clock, ordered)
    run.begin()
    gathering.add(run)
    flush, ((_, buffer),) = gathering.next()
    (task,) = buffer.after_commit
    run.record(task, Outcome(b"6", None, (), clock.now_ns(), clock.now_ns()))
    gathering.add(run)
    assert gathering.next() is None
    run.flushing = False
    run.log.settled(buffer)
    gathering.settled(flush)
    gathering.add(run)
    again, _ = gathering.next()
    assert [row.kind for row in again.rows] == ["step_completed", "run_completed"]


def test_with_a_flush_under_way_the_next_waits_until_it_is_worth_a_transaction(clock, gathering):
    for number in range(600):
        run = claimed(clock, ordered)
        run.begin()
        gathering.add(run)
        if number == 0:
            assert gathering.next() is not None
        if number == 10:
            assert gathering.next() is None
    assert gathering.next() is not None
    assert not gathering.is_empty
    assert FLUSHES_MAX == 2
    assert gathering.next() is None
