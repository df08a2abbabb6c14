"""A run brought to a row inside its host: restored, re-executed block by block, shown.

Rule 1: every head of a finished block on the way is handed back, so that the machine can hold it against the record.
Rule 2: what was re-executed from far is kept here as checkpoints of the host's own, so that it is slow only once.
Rule 3: a checkpoint that cannot be used costs time: it is said, and the run goes from its first row.
"""

from __future__ import annotations

import sys
import sysconfig
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import msgspec

from kronos.debugger import host_wire as wire
from kronos.debugger.guard import guarded
from kronos.errors import NotFound
from kronos.kernel import canonical
from kronos.market.catalog import Catalog
from kronos.market.dataset import Manifest
from kronos.market.plans import BacktestPlan
from kronos.market.session_plans import SessionPlan, prepare_plan
from kronos.ports import Blobs, DatasetRow
from kronos.trading.checkpoint import BYTES_MAX
from kronos.trading.context import Context
from kronos.trading.positions import BLOCK_ROWS, Position, block_end
from kronos.trading.session import Session
from kronos.trading.state import encode_state

__all__ = ["Seeker"]

RUNS_KEPT_MAX: Final = 8
"""Runs (parameter sets) of which a host keeps checkpoints of its own."""

_TOLD_EVERY_S: Final = 0.25


class _Index:
    """`ports.DatasetIndex` of the datasets that were asked about."""

    def __init__(self) -> None:
        self.rows: dict[str, DatasetRow] = {}

    def add(self, row: DatasetRow) -> None:
        self.rows[row.id] = row

    def find(self, name_or_id: str) -> DatasetRow:
        if name_or_id not in self.rows:
            raise NotFound(f"dataset {name_or_id} was not named to this host", dataset=name_or_id)
        return self.rows[name_or_id]

    def all(self) -> list[DatasetRow]:
        return list(self.rows.values())


class _Kept:
    """A `Recorder` that keeps checkpoints and finished heads, up to the bound of one run."""

    def __init__(self) -> None:
        self.heads: dict[int, wire.Head] = {}
        self._checkpoints: dict[int, bytes] = {}
        self._bytes = 0

    def segment(self, *, first_row: int, last_row: int, core_chain: bytes, user_chain: bytes, data: bytes) -> None:
        """The record has it already."""

    def checkpoint(self, *, row: int, data: bytes) -> None:
        if row not in self._checkpoints and self._bytes + len(data) <= BYTES_MAX:
            self._checkpoints[row] = data
            self._bytes += len(data)

    def nearest(self, row: int) -> tuple[int, bytes] | None:
        at = max((known for known in self._checkpoints if known <= row), default=None)
        return None if at is None else (at, self._checkpoints[at])


class Seeker:
    """Answers seeks; `row` is where the strategy raised in the present one (None: it did not)."""

    def __init__(self, blobs: Blobs, say: Callable[[wire.FromHost], None], hello: wire.Hello) -> None:
        self._index = _Index()
        self._catalog = Catalog(blobs, self._index, hello.datasets)
        self._say, self._key = say, hello.key
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._told_at = time.monotonic()
        self.row: int | None = None

    def seek(self, seek: wire.Seek) -> wire.Seen:
        """Return what stands before the row; whatever the strategy raises passes through."""
        self.row, self._told_at = None, time.monotonic()
        kept = self._kept_of(seek)
        run, notes = self._run(seek, None), list[str]()
        restored, own = self._restore(run, seek, kept, notes)
        if own or restored is None:
            run = self._run(seek, kept)
            if restored is not None:
                _, data = kept.nearest(seek.row) or (0, b"")
                run.restore(data)
        found: dict[int, wire.Head] = kept.heads if own or restored is None else {}
        self._advance(run, seek, found)
        core, user = run.heads()
        here = wire.Head(run.row, core, user)
        heads = [found[row] for row in sorted(found) if row <= run.row]
        return wire.Seen(
            view=msgspec.msgpack.encode(run.state()),
            core=encode_state(run.core),
            heads=[*heads, here] if not heads or heads[-1].row != run.row else heads,
            restored=restored,
            own=own,
            notes=notes,
            files=_user_files(),
        )

    def _run(self, seek: wire.Seek, kept: _Kept | None) -> Session:
        for dataset in seek.datasets:
            self._index.add(dataset)
        run = prepare_plan(
            self._catalog,
            [canonical.decode(each.manifest, Manifest).dataset for each in seek.datasets],
            canonical.decode(seek.plan, SessionPlan) if seek.is_session else canonical.decode(seek.plan, BacktestPlan),
            recorder=kept,
            clock=time.perf_counter_ns,
            key=self._key,
            progress=self._tell,
        )
        self._first_row = run.row
        return run

    def _restore(self, run: Session, seek: wire.Seek, kept: _Kept, notes: list[str]) -> tuple[int | None, bool]:
        """Put `run` at the nearest checkpoint; return its row (None: the first row) and whether it is our own."""
        mine = kept.nearest(seek.row)
        if seek.checkpoint is not None:
            try:
                run.restore(seek.checkpoint)
            except Exception as error:  # a class that is gone, a state that no longer fits
                notes.append(f"the recorded checkpoint was not used: {type(error).__name__}: {error}")
            else:
                if mine is None or mine[0] <= run.row:
                    return run.row, False
        return (None, False) if mine is None else (mine[0], True)

    def _advance(self, run: Session, seek: wire.Seek, found: dict[int, wire.Head]) -> None:
        with guarded(seek.step) as stopped:
            try:
                run.run(Position(run.row))
                while run.row < min(seek.row, run.stop_row):
                    run.run(Position(min(seek.row, block_end(run.row))))
                    if run.row % BLOCK_ROWS == 0:
                        found[run.row] = wire.Head(run.row, *run.heads())
            except Exception:
                self.row = cast("Context", run.world()["context"]).row
                raise
        if stopped:
            self.row = run.row
            raise stopped[0]

    def _kept_of(self, seek: wire.Seek) -> _Kept:
        name = canonical.encode([*(each.id for each in seek.datasets), seek.plan.decode()])
        kept = self._kept.setdefault(name, _Kept())
        self._kept.move_to_end(name)
        if len(self._kept) > RUNS_KEPT_MAX:
            self._kept.popitem(last=False)
        return kept

    def _tell(self, done: int, _total: int) -> None:
        """Say where the run stands, a few times a second."""
        now = time.monotonic()
        if now - self._told_at >= _TOLD_EVERY_S:
            self._told_at = now
            self._say(wire.Working(self._first_row + done))


def _user_files() -> dict[str, int]:
    """Return the modification time (ns) of each loaded file that is neither a library's nor ours."""
    found = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is None or name.startswith(_NOT_USERS) or file.startswith(_LIBRARIES) or "site-packages" in file:
            continue
        with suppress(OSError):
            found[file] = Path(file).stat().st_mtime_ns
    return found


_LIBRARIES: Final = tuple(
    str(path) for name in ("stdlib", "platstdlib", "purelib", "platlib") if (path := sysconfig.get_path(name))
)
_NOT_USERS: Final = ("kronos.kernel", "kronos.ports", "kronos.errors", "kronos.debugger")
