"""What keeps a database sound: judged, swept, expired, exported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from kronos.core.events import Event
from kronos.errors import InvalidInput
from kronos.kernel.ids import RunId
from kronos.ports.blobs import Blobs
from kronos.ports.history import History, RunFilter, RunSummary
from kronos.storage.database import Session
from kronos.storage.retention import Retention
from kronos.storage.sweeping import Sweep, Swept

if TYPE_CHECKING:
    from kronos.app.exporting import Exported, Exporter
    from kronos.app.fsck import Finding
    from kronos.app.fsck.reading import Progress

__all__ = ["Upkeep"]

PAGE: Final = 1_000


class Upkeep:
    """`app.upkeep`."""

    def __init__(self, url: str, session: Session, history: History, blobs: Blobs) -> None:
        self._url = url
        self._history = history
        self._session = session
        self._blobs = blobs
        self.retention: Final = Retention(url)

    def fsck(
        self, run_id: RunId | None = None, *, anchor: Path | None = None, progress: Progress | None = None
    ) -> Iterator[Finding]:
        """Yield everything that is wrong, with one run or with the whole database; nothing is changed.

        Raises `NotFound` for an unknown run, `InvalidInput` for an `anchor` that is none.
        """
        from kronos.app.fsck import Fsck, reading_connection  # the trading runtime, 0.3 s of every other command

        with reading_connection(self._url) as connection:
            yield from Fsck(connection, self._blobs, progress=progress).check(run_id, anchor=anchor)

    def write_anchor(self, path: Path, *, progress: Progress | None = None) -> int:
        """Write where each run's history stands, to be kept elsewhere; return how many runs."""
        from kronos.app.fsck import Fsck, reading_connection

        with reading_connection(self._url) as connection, path.open("w", encoding="utf-8") as file:
            return Fsck(connection, self._blobs, progress=progress).write_anchor(file)

    def sweep(self) -> Swept:
        """Delete every blob that nobody has referred to or touched for an hour."""
        return Sweep(self._session).run()

    # ── export ──

    def _exporter(self, folder: Path) -> Exporter:
        from kronos.app.exporting import Exporter  # pyarrow, 0.1 s of every start that exports nothing

        return Exporter(folder, self._history.payload)

    def export(self, folder: Path, runs: Sequence[RunId], *, progress: Progress | None = None) -> Exported:
        """Write runs as Parquet into `folder`; raise `NotFound` for an unknown one, `InvalidInput` for the folder."""
        lines = [self._history.run(run) for run in runs]
        exporter = self._exporter(folder)
        return exporter.write(self._with_events(lines), total=len(lines), progress=progress)

    def export_where(
        self,
        folder: Path,
        chosen: RunFilter,
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        progress: Progress | None = None,
    ) -> Exported:
        """Write the runs that `chosen` lists and that were created at `since_ns` or later, before `until_ns`."""
        exporter = self._exporter(folder)
        return exporter.write(self._with_events(self._lines(chosen, since_ns, until_ns)), progress=progress)

    def export_partition(self, folder: Path, leaf: str, *, progress: Progress | None = None) -> Exported:
        """Write what stands in a detached partition; raise `InvalidInput` where there is no such one."""
        if leaf not in self.retention.held():
            raise InvalidInput(f"{leaf!r} is no detached partition", field="partition", value=leaf)
        exporter = self._exporter(folder)
        found = ((self._history.run(run), events) for run, events in self.retention.held_events(leaf))
        return exporter.write(found, progress=progress)

    def _lines(self, chosen: RunFilter, since_ns: int | None, until_ns: int | None) -> Iterator[RunSummary]:
        before: RunId | None = chosen.before
        while True:
            page = self._history.runs(msgspec.structs.replace(chosen, before=before, limit=PAGE))
            for run in page.runs:
                if since_ns is not None and run.created_at < since_ns:
                    return  # newest first
                if until_ns is None or run.created_at < until_ns:
                    yield run
            before = page.next_before
            if before is None:
                return

    def _with_events(self, lines: Iterable[RunSummary]) -> Iterator[tuple[RunSummary, Iterator[Event]]]:
        for run in lines:
            yield run, self._events(run)

    def _events(self, run: RunSummary) -> Iterator[Event]:
        after = 0
        while page := self._history.events(run.id, after=after, limit=PAGE):
            yield from page
            after = page[-1].seq
