"""Finished attempts on their way to the owner loop.

Rule: an attempt is never left unseen, and the loop is woken once for a batch, not once an attempt.  The flag is lowered
      before the box is emptied and raised after a letter is in it; the other order loses the last letter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kronos.engine.tasks import Outcome, Task

__all__ = ["Mailbox"]


class Mailbox:
    """Many threads put, one thread drains."""

    __slots__ = ("_letters", "_signalled", "_wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._letters: deque[tuple[Task, Outcome]] = deque()
        self._signalled = False
        self._wake = wake

    def put(self, task: Task, outcome: Outcome) -> None:
        self._letters.append((task, outcome))
        if not self._signalled:
            self._signalled = True
            self._wake()

    def drain(self) -> list[tuple[Task, Outcome]]:
        """Return everything that arrived, oldest first."""
        self._signalled = False
        take = self._letters.popleft
        return [take() for _ in range(len(self._letters))]
