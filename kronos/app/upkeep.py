"""What keeps a database sound: judged, swept, expired, exported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kronos.app.fsck import Finding, Fsck, reading_connection
from kronos.app.fsck.reading import Progress
from kronos.kernel.ids import RunId
from kronos.ports.blobs import Blobs
from kronos.storage.database import Session
from kronos.storage.retention import Retention
from kronos.storage.sweeping import Sweep, Swept

__all__ = ["Upkeep"]


class Upkeep:
    """`app.upkeep`."""

    def __init__(self, url: str, session: Session, blobs: Blobs) -> None:
        self._url = url
        self._session = session
        self._blobs = blobs
        self.retention: Final = Retention(url)

    def fsck(
        self, run_id: RunId | None = None, *, anchor: Path | None = None, progress: Progress | None = None
    ) -> Iterator[Finding]:
        """Yield everything that is wrong, with one run or with the whole database; nothing is changed.

        Raises `NotFound` for an unknown run, `InvalidInput` for an `anchor` that is none.
        """
        with reading_connection(self._url) as connection:
            yield from Fsck(connection, self._blobs, progress=progress).check(run_id, anchor=anchor)

    def write_anchor(self, path: Path, *, progress: Progress | None = None) -> int:
        """Write where each run's history stands, to be kept elsewhere; return how many runs."""
        with reading_connection(self._url) as connection, path.open("w", encoding="utf-8") as file:
            return Fsck(connection, self._blobs, progress=progress).write_anchor(file)

    def sweep(self) -> Swept:
        """Delete every blob that nobody has referred to or touched for an hour."""
        return Sweep(self._session).run()
