"""What a step throws costs its own run, never the worker or its neighbours."""

from __future__ import annotations

import pytest

from kronos import RunFailedError, step, workflow
from kronos.engine.owned import OwnedRun
from kronos.errors import InvalidInput


class UnreadableError(Exception):
    @property
    def retryable(self):
        raise ValueError("not even this")


@step(retries=1, backoff="10ms")
def half_a_pair(n: int) -> int:
    raise RuntimeError("broken \ud83d text")


@step
def unreadable(n: int) -> int:
    raise UnreadableError("no")


@step
def plain(n: int) -> int:
    return n + 1


@workflow(version="1")
def surrogate(n: int) -> int:
    return half_a_pair(n)


@workflow(version="1")
def secretive(n: int) -> int:
    return unreadable(n)


@workflow(version="1")
def healthy(n: int) -> int:
    return plain(n)


def test_a_message_that_utf8_cannot_hold_fails_its_run_and_the_worker_lives(make_engine):
    engine = make_engine(surrogate, healthy)
    life = engine._worker.worker.incarnation
    with pytest.raises(RunFailedError, match=r"broken \\ud83d text"):
        engine.start(surrogate, {"n": 1}).result(30)
    assert engine.start(healthy, {"n": 1}).result(30) == 2
    assert engine._worker.worker.incarnation == life


def test_an_exception_that_cannot_be_asked_fails_its_run(make_engine):
    engine = make_engine(secretive)
    with pytest.raises(RunFailedError, match="UnreadableError: no"):
        engine.start(secretive, {"n": 1}).result(30)


def test_an_outcome_that_cannot_be_recorded_fails_its_own_run_alone(make_engine, monkeypatch):
    engine = make_engine(healthy)
    life = engine._worker.worker.incarnation
    record = OwnedRun.record

    def broken(self, task, outcome):
        if task.input == b'{"n":13}':
            raise ValueError("planted")
        record(self, task, outcome)

    monkeypatch.setattr(OwnedRun, "record", broken)
    handles = [engine.start(healthy, {"n": n}) for n in (12, 13, 14)]
    assert [handles[0].result(30), handles[2].result(30)] == [13, 15]
    with pytest.raises(RunFailedError, match="cannot be recorded: ValueError"):
        handles[1].result(30)
    assert engine._worker.worker.incarnation == life


def test_a_misspelt_key_of_the_input_is_refused_by_name(make_engine):
    engine = make_engine(healthy)
    with pytest.raises(InvalidInput, match="unknown field `z`"):
        engine.start(healthy, {"n": 1, "z": 2})
