"""How fsck reads: in snapshots, through cursors, and only from the statements under `sql/fsck`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from kronos.app.fsck.finding import Finding
from kronos.storage.database import Connection
from kronos.storage.statements import statement

__all__ = ["Progress", "Reader"]

Progress = Callable[[int, int], None]
"""Called with how many things are judged, and of how many."""

FETCHED: Final = 2_000
"""Rows that a cursor brings at once."""


class Reader:
    """One connection that reads, and how far it has come."""

    def __init__(self, connection: Connection, progress: Progress | None = None) -> None:
        self.connection: Final = connection
        self._progress = progress
        self._cursors = itertools.count(1)
        self._done = 0
        self.total = 0

    def snapshot(self) -> AbstractContextManager[Any]:
        """Return a transaction: everything read inside is of one moment."""
        return self.connection.transaction()

    def rows(self, name: str, at: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a statement whose result is bounded."""
        return self.connection.execute(statement(f"fsck/{name}"), at).fetchall()

    def stream(
        self, name: str, at: Mapping[str, Any] | None = None, *, fetched: int = FETCHED
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement through a cursor, `fetched` at a time; needs an open snapshot."""
        with self.connection.cursor(name=f"fsck_{next(self._cursors)}", binary=True) as cursor:
            cursor.itersize = fetched
            cursor.execute(statement(f"fsck/{name}"), at)
            yield from cursor

    def unreferred(self, kind: str, owners: list[str], blobs: list[bytes]) -> Iterator[Finding]:
        """Yield what `owners` name (one blob each) and what is not stored, or not referred to as of `kind`."""
        if not blobs:
            return
        for owner, blob, is_gone in self.rows("find_unreferred", {"kind": kind, "owners": owners, "blobs": blobs}):
            check, what = ("blob_missing", "is not stored") if is_gone else ("reference", "has no reference from it")
            yield Finding(check=check, row=f"blobs: {blob}, named by {kind} {owner}", what=f"the blob {what}")

    def advance(self, more: int = 1) -> None:
        """Note that `more` things are judged."""
        self._done += more
        if self._progress is not None:
            self._progress(min(self._done, self.total), self.total)
