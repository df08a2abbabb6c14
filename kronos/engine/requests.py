"""Runs that this very process asks for: its own intake starts and claims them in one transaction.

Rule 1: only an intake that rests and has room takes a request; every other goes the way of strangers: recorded,
        announced, claimed.
Rule 2: each request is answered once: with the run, with an error, or with None: go the way of strangers.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import Final, NamedTuple

from kronos.kernel.ids import RunId
from kronos.ports.queue import RunRequest

__all__ = ["Answer", "Asked", "Requests"]

Answer = Future[RunId | None]


class Asked(NamedTuple):
    """A request and where its answer goes."""

    request: RunRequest
    answer: Answer


class Requests:
    """Where other threads put requests, and the intake finds them."""

    def __init__(self) -> None:
        self._waiting: Final[deque[Asked]] = deque()
        self._guard: Final = threading.Lock()
        self._is_closed = False

    def put(self, request: RunRequest, *, taken: bool) -> Answer:
        """Return the answer to come; None at once where the intake is not `taken` to be free."""
        asked = Asked(request, Future())
        with self._guard:
            taken = taken and not self._is_closed
            if taken:
                self._waiting.append(asked)
        if not taken:
            asked.answer.set_result(None)
        return asked.answer

    def next(self) -> Asked | None:
        """Take the oldest request."""
        return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        """Take no more, and send on who waits."""
        with self._guard:
            self._is_closed = True
        while (asked := self.next()) is not None:
            asked.answer.set_result(None)
