"""What is due later: backoffs, waits and limits, by the run clock.

Rule: what a timer is for is forgotten with it: a run that ended, or that sleeps for days, is not kept in memory by the
      limits that were set for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

__all__ = ["Timers"]

FORGOTTEN_MAX: Final = 1_000
"""Forgotten timers stay in the heap until there are this many of them, and more than of the others."""


class _Timer:
    __slots__ = ("action", "due_ns", "number", "of")

    def __init__(self, due_ns: int, number: int, of: object, action: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.number = number
        self.of: object | None = of
        self.action: Callable[[], None] | None = action

    def __lt__(self, other: _Timer) -> bool:
        return (self.due_ns, self.number) < (other.due_ns, other.number)


class Timers:
    """Belongs to the owner loop; equal times fire in the order in which they were set."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._heap: list[_Timer] = []
        self._of: dict[object, dict[int, _Timer]] = {}
        self._number = 0
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self._heap) - self._forgotten

    def at(self, due_ns: int, of: object, action: Callable[[], None]) -> None:
        """Call `action` once it is `due_ns`, unless `of` is forgotten before."""
        self._number += 1
        timer = _Timer(due_ns, self._number, of, action)
        heapq.heappush(self._heap, timer)
        self._of.setdefault(of, {})[timer.number] = timer

    def forget(self, of: object) -> None:
        """Drop every timer of `of`."""
        for timer in self._of.pop(of, {}).values():
            timer.action = timer.of = None
            self._forgotten += 1
        if self._forgotten > max(FORGOTTEN_MAX, len(self._heap) // 2):
            self._heap = [timer for timer in self._heap if timer.action is not None]
            heapq.heapify(self._heap)
            self._forgotten = 0

    @property
    def next_ns(self) -> int | None:
        """When the next thing is due (ns); None when nothing is."""
        return min((timer.due_ns for timer in self._heap if timer.action is not None), default=None)

    def fire(self) -> None:
        """Call what is due."""
        if not self._heap:
            return
        now = self._now_ns()
        while self._heap and self._heap[0].due_ns <= now:
            timer = heapq.heappop(self._heap)
            if timer.action is None:
                self._forgotten -= 1
                continue
            others = self._of[timer.of]
            del others[timer.number]
            if not others:
                del self._of[timer.of]
            timer.action()

    def wait_s(self, most: float) -> float:
        """Return the seconds until something is due, at most `most`."""
        if not self._heap:
            return most
        return min(most, max(0.0, (self._heap[0].due_ns - self._now_ns()) / 1e9))
