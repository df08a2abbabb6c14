"""Which commands were taken: each counts once, however often it is read.

Rule: an inbox row is read until the flush that made events of it has deleted it, and a read that began before that
      commit may arrive after it.  So a number is forgotten only when every batch that may still hold it has been taken;
      a row that was counted twice would keep its run from ever ending.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

__all__ = ["TakenCommands"]


class TakenCommands:
    """Belongs to the owner loop."""

    __slots__ = ("_batches", "_deleted", "_ids")

    def __init__(self) -> None:
        self._ids: set[int] = set()
        self._batches = 0
        self._deleted: deque[tuple[int, Collection[int]]] = deque()

    def __contains__(self, command: int) -> bool:
        return command in self._ids

    def add(self, commands: Collection[int]) -> None:
        """Remember what was taken."""
        self._ids.update(commands)

    def read_again(self, commands: Collection[int]) -> None:
        """Forget at once what the store did not take: it is still there, and counts when it is read again."""
        self._ids.difference_update(commands)

    def deleted(self, commands: Collection[int], *, waiting: int) -> None:
        """Say what a commit has deleted, while `waiting` batches were read and not taken; one more may be under way."""
        if commands:
            self._deleted.append((self._batches + waiting + 1, commands))

    def took_batch(self) -> None:
        """Count a batch, and forget what none that follows can hold."""
        self._batches += 1
        while self._deleted and self._deleted[0][0] <= self._batches:
            self._ids.difference_update(self._deleted.popleft()[1])
