"""Attempts of runs whose last worker died: who may go on when, so that a run which kills its worker stands out.

Rule 1: an attempt goes on record as started only when a slot is free for it.  Recorded while they queue, a hundred
        innocent runs would all seem to have been under way when the worker died, and go to the dead letters with it.
Rule 2: runs with one death left go on one at a time: if the worker dies once more, only one of them can be why.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from kronos.engine.owned import OwnedRun
from kronos.engine.slots.slots import AnySlots
from kronos.engine.tasks import Task

__all__ = ["Trial"]


class Trial:
    """Belongs to the owner loop."""

    def __init__(self, slots: AnySlots) -> None:
        self._slots = slots
        self._waiting: dict[str, deque[tuple[OwnedRun, Task]]] = {}
        self._alone: deque[tuple[OwnedRun, Task]] = deque()
        self._on_record: dict[Task, OwnedRun] = {}
        """Begun, and not yet handed to a slot: their commit is under way."""
        self._last: tuple[OwnedRun, Task] | None = None

    @property
    def waiting(self) -> bool:
        """Whether attempts wait for a slot: nothing new is claimed before they have one."""
        return any(self._waiting.values())

    def add(self, run: OwnedRun) -> None:
        """Take over the suspects of `run`."""
        for task in run.suspects:
            queue = self._alone if run.has_last_chance else self._waiting.setdefault(task.executor, deque())
            queue.append((run, task))
        run.suspects.clear()

    def admit(self) -> Iterator[tuple[OwnedRun, Task]]:
        """Yield what may begin now."""
        if not self._alone and not self.waiting:
            return
        for task, run in list(self._on_record.items()):
            if not run.awaits(task):
                del self._on_record[task]
        while self._alone and (self._last is None or not self._last[0].awaits(self._last[1])):
            run, task = self._alone.popleft()
            if run.awaits(task):
                self._last = (run, task)
                yield self._begin(run, task)
        for executor, queue in self._waiting.items():
            begun = sum(task.executor == executor for task in self._on_record)
            free = self._slots.free(executor) - begun  # type: ignore[arg-type]
            while queue and free > 0:
                run, task = queue.popleft()
                if run.awaits(task):
                    free -= 1
                    yield self._begin(run, task)

    def forget(self, tasks: Iterable[Task]) -> None:
        """Say that these have slots now."""
        if self._on_record:
            for task in tasks:
                self._on_record.pop(task, None)

    def _begin(self, run: OwnedRun, task: Task) -> tuple[OwnedRun, Task]:
        self._on_record[task] = run
        return run, task
