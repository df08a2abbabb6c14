"""A few connections for many readers.

Rule 1: at most `READERS_MAX` connections, opened when they are needed; whoever comes later waits, `PATIENCE_S` at most.
Rule 2: the connection used last is used next, so that a quiet process keeps one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kronos.errors import Unavailable
from kronos.storage.database import LINK, Connection, Link, Session

__all__ = ["READERS_MAX", "Readers"]

READERS_MAX: Final = 4
PATIENCE_S: Final = 30.0


class Readers:
    """Used like a `Session`, by several threads at once."""

    def __init__(self, url: str, *, purpose: str, link: Link = LINK) -> None:
        self._free = [Session(url, purpose=purpose, link=link) for _ in range(READERS_MAX)]
        self._all: Final = tuple(self._free)
        self._seats = threading.BoundedSemaphore(READERS_MAX)
        self._holding = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection inside a transaction; raise `Unavailable` when it breaks or none is free in time."""
        with self.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Yield a connection in autocommit mode; one thread that asks again meanwhile is given the same one."""
        held: Session | None = getattr(self._holding, "session", None)
        if held is not None:
            with held.connection() as connection:
                yield connection
            return
        if not self._seats.acquire(timeout=PATIENCE_S):
            raise Unavailable(f"{READERS_MAX} readers were busy for {PATIENCE_S:g} s: try again", limit=READERS_MAX)
        session = self._holding.session = self._free.pop()
        try:
            with session.connection() as connection:
                yield connection
        finally:
            self._holding.session = None
            self._free.append(session)
            self._seats.release()

    def close(self) -> None:
        """Close every connection."""
        for session in self._all:
            session.close()
