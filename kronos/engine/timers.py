"""What is due later: backoffs and limits, by the run clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable

__all__ = ["Timers"]


class Timers:
    """Belongs to the owner loop; equal times fire in the order in which they were set."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, due_ns: int, action: Callable[[], None]) -> None:
        """Call `action` once it is `due_ns`."""
        self._number += 1
        heapq.heappush(self._heap, (due_ns, self._number, action))

    def fire(self) -> None:
        """Call what is due."""
        if not self._heap:
            return
        now = self._now_ns()
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2]()

    def wait_s(self, most: float) -> float:
        """Return the seconds until something is due, at most `most`."""
        if not self._heap:
            return most
        return min(most, max(0.0, (self._heap[0][0] - self._now_ns()) / 1e9))
