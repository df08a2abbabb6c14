"""What attempts report while they run: costs, attributes, signs of life with how far they are.

Rule: a report counts when it is made, not when the attempt returns: what a step that timed out, was cancelled or was
      killed has spent is spent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from kronos.core.costs import Costs
from kronos.core.events import Attribute
from kronos.engine.tasks import Outcome, Task

__all__ = ["Beat", "Reports"]


class Beat(NamedTuple):
    """The last sign of life of an attempt: when (ns of the run clock), and how far it was, as JSON."""

    at_ns: int
    progress: bytes


class Reports:
    """Steps write from their threads; the owner loop and the intake read."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._costs: dict[Task, Costs] = {}
        self._attributes: dict[Task, dict[str, Attribute | None]] = {}
        self._beats: dict[Task, Beat] = {}
        self._changed: dict[Task, None] = {}
        self._shown: dict[Task, None] = {}
        self._over: list[Task] = []

    def cost(self, task: Task, costs: Costs) -> None:
        """Add to what an attempt has cost."""
        with self._lock:
            before = self._costs.get(task)
            self._costs[task] = costs if before is None else before + costs

    def attribute(self, task: Task, name: str, value: Attribute | None) -> None:
        """Set an attribute of the attempt's run, once it has ended."""
        with self._lock:
            self._attributes.setdefault(task, {})[name] = value

    def beat(self, task: Task, progress: bytes) -> None:
        """Note a sign of life, and how far the attempt is."""
        with self._lock:
            self._beats[task] = Beat(self._now_ns(), progress)
            self._changed[task] = None

    def last_ns(self, task: Task) -> int:
        """Return when the attempt last showed a sign of life (ns), 0 where it never did."""
        beat = self._beats.get(task)
        return 0 if beat is None else beat.at_ns

    def completed(self, ended: list[tuple[Task, Outcome]]) -> list[tuple[Task, Outcome]]:
        """Return outcomes with what their attempts have reported, and forget these."""
        if not (self._costs or self._attributes or self._beats):
            return ended
        return [(task, self.complete(task, outcome)) for task, outcome in ended]

    def complete(self, task: Task, outcome: Outcome) -> Outcome:
        """Return the outcome of an attempt with what it has reported, and forget it."""
        if not (self._costs or self._attributes or self._beats):
            return outcome
        with self._lock:
            costs, attributes = self._costs.pop(task, None), self._attributes.pop(task, None)
            if self._beats.pop(task, None) is not None:
                self._changed.pop(task, None)
                if task in self._shown:
                    del self._shown[task]
                    self._over.append(task)
        if costs is None and attributes is None:
            return outcome
        return msgspec.structs.replace(outcome, costs=costs, attributes=attributes)

    def news(self) -> tuple[dict[Task, Beat], list[Task]]:
        """Return the signs of life since the last call, and the attempts that have ended and were told of before."""
        if not self._changed and not self._over:
            return {}, []
        with self._lock:
            beats = {task: self._beats[task] for task in self._changed}
            over, self._over = self._over, []
            self._changed.clear()
            self._shown.update(dict.fromkeys(beats))
        return beats, over
