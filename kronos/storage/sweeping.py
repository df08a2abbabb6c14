"""Content that nobody needs any more is forgotten; content that somebody is about to need never is.

Rule 1: whoever stores a blob touches it and refers to it in one transaction (`write_blobs`); the sweep deletes, in one
        statement, what is untouched for the grace and unreferenced.  Grace: 1 hour, twice the age at which writers
        touch, and longer than any transaction of theirs.
Rule 2: a turn examines `EXAMINED_MAX` blobs and waits for no lock, so that it may run beside anything.
"""

from __future__ import annotations

from typing import Final, cast

import msgspec

from kronos.storage.database import Session
from kronos.storage.statements import statement

__all__ = ["EXAMINED_MAX", "Sweep", "Swept"]

EXAMINED_MAX: Final = 5_000
"""Blobs a turn looks at."""


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """How many blobs were looked at and deleted, and how many bytes of content they held (before compression)."""

    examined: int = 0
    deleted: int = 0
    bytes: int = 0

    def __add__(self, other: Swept) -> Swept:
        return Swept(
            examined=self.examined + other.examined,
            deleted=self.deleted + other.deleted,
            bytes=self.bytes + other.bytes,
        )


class Sweep:
    """Goes through the blobs by hash, a bounded turn at a time, and begins again at the end."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._after = b""

    def turn(self) -> Swept:
        """Look at the next blobs and delete what can go; `examined` is 0 at the end of a round."""
        at = {"after": self._after, "limit": EXAMINED_MAX}
        with self._session.transaction() as connection:
            row = connection.execute(statement("sweep_blobs"), at).fetchone()
        examined, last, deleted, size = cast("tuple[int, bytes | None, int, int]", row)
        self._after = last or b""
        return Swept(examined=examined, deleted=deleted, bytes=size)

    def run(self) -> Swept:
        """Go through all blobs once."""
        self._after, total = b"", Swept()
        while (turn := self.turn()).examined:
            total += turn
        return total
