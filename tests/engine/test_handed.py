"""Attempts by the time since they were handed out."""

from __future__ import annotations

from kronos.engine.handed import LONG_S, QUEUED_S, Handed
from kronos.engine.tasks import Task
from kronos.kernel.ids import RunId, StepName


def attempts(number: int) -> list[Task]:
    return [Task(RunId("run"), StepName(f"s{i}"), 1, "m:f", b"{}") for i in range(number)]


def test_what_ended_soon_is_never_looked_at_again():
    open_ones: set[Task] = set()
    handed = Handed(open_ones.__contains__)
    handed.add(attempts(3), 0.0)
    assert not handed.has_late(LONG_S / 2)
    assert handed, "they are not old enough to tell"
    assert not handed.has_late(LONG_S)
    assert not handed


def test_a_late_attempt_that_began_is_news_once():
    first, second = attempts(2)
    handed = Handed({first, second}.__contains__)
    handed.add([first, second], 0.0)
    assert handed.has_late(LONG_S)
    assert handed.began(first)
    assert not handed.began(first)
    assert handed, "the second still waits"


def test_who_waits_longer_than_a_second_is_queued_and_is_still_news_when_it_begins():
    (task,) = attempts(1)
    handed = Handed(lambda _task: True)
    handed.add([task], 10.0)
    assert handed.has_late(10.0 + LONG_S)
    assert handed.queued(10.0 + LONG_S) == []
    assert handed.queued(10.0 + LONG_S + QUEUED_S) == [task]
    assert handed.began(task)
    assert not handed


def test_who_ended_while_it_was_late_is_forgotten():
    (task,) = attempts(1)
    open_ones = {task}
    handed = Handed(open_ones.__contains__)
    handed.add([task], 0.0)
    assert handed.has_late(LONG_S)
    open_ones.clear()
    assert handed.queued(2 * QUEUED_S) == []
    assert not handed
