"""Attempts that were handed out, by age: who runs long or waits long gets a row of its own before it ends.

Rule 1: it costs nothing at an outcome.  Batches are kept as they were handed out and looked at once, LONG_S later, when
        nearly every attempt has ended.  (An entry an attempt, made and deleted, was 1.2 of 31 µs a step.)
Rule 2: a long queue costs nothing at a tick either: who began is found from the few that run, not from the many that
        wait; those are gone through every QUEUED_S.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from kronos.engine.tasks import Task

__all__ = ["LONG_S", "QUEUED_S", "Handed"]

LONG_S: Final = 0.05
"""An attempt that runs longer than this gets a row of its own before it ends."""
QUEUED_S: Final = 1.0
"""An attempt that waits for a slot longer than this is recorded as scheduled."""


class Handed:
    """Belongs to the owner loop; `is_open` tells whether an attempt's outcome is still awaited."""

    def __init__(self, is_open: Callable[[Task], bool]) -> None:
        self._is_open = is_open
        self._fresh: deque[tuple[float, list[Task]]] = deque()
        self._late: dict[Task, float] = {}
        self._next_look = 0.0

    def __bool__(self) -> bool:
        return bool(self._fresh or self._late)

    def add(self, tasks: list[Task], now_s: float) -> None:
        """Note that `tasks` were handed to slots."""
        self._fresh.append((now_s, tasks))

    def has_late(self, now_s: float) -> bool:
        """Whether attempts that were handed out LONG_S ago are neither known to run nor to have ended."""
        while self._fresh and self._fresh[0][0] <= now_s - LONG_S:
            handed_s, tasks = self._fresh.popleft()
            self._late.update((task, handed_s) for task in tasks if self._is_open(task))
        return bool(self._late)

    def began(self, task: Task) -> bool:
        """Say that a late attempt has a slot; return whether that is news and still matters."""
        return self._late.pop(task, None) is not None and self._is_open(task)

    def queued(self, now_s: float) -> list[Task]:
        """Return, every QUEUED_S, the attempts that have waited longer than that."""
        if now_s < self._next_look:
            return []
        self._next_look = now_s + QUEUED_S
        self._late = {task: handed_s for task, handed_s in self._late.items() if self._is_open(task)}
        return [task for task, handed_s in self._late.items() if handed_s <= now_s - QUEUED_S]
