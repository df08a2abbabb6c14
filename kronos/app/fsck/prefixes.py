"""What forks share with the runs they stand on: read once more, chained anew, folded.

Rule: the rows of the ancestors are judged where they stand; here only what the fork's own row says of them.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import msgspec

from kronos.app.fsck.chaining import GENESIS, successor
from kronos.app.fsck.finding import Finding
from kronos.app.fsck.judging import light
from kronos.app.fsck.reading import Reader
from kronos.core.state import Run, apply, new_run
from kronos.errors import KronosError
from kronos.kernel.ids import RunId
from kronos.storage.archives import EventPages
from kronos.storage.database import Connection

__all__ = ["Prefix", "Prefixes"]

KEPT_MAX: Final = 8
PAGE: Final = 2_000


class _Part(NamedTuple):
    ancestor: uuid.UUID
    after_seq: int
    upto_seq: int
    upto_hash: bytes


class Prefix(NamedTuple):
    """Where a fork's own events begin: the seq and head before them, the state there (None: not to be folded)."""

    seq: int
    head: bytes
    state: Run | None
    fault: str | None = None


class Prefixes:
    """Prefixes of forks; the last few are kept, because forks of one run often begin at one place."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._pages = EventPages(_Only(reader))
        self._kept: OrderedDict[tuple[_Part, ...], Prefix] = OrderedDict()

    def of(self, run: uuid.UUID, parent_seq: int) -> tuple[Prefix, list[Finding]]:
        """Return where the events of a fork begin, and what is wrong with what it says of its ancestors."""
        parts = tuple(_Part(*row) for row in self._reader.rows("read_parts", {"run": run}))
        if parts not in self._kept:
            self._kept[parts] = self._read(run, parts)
            while len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        found = self._kept[parts]
        fault = found.fault
        if fault is None and found.seq != parent_seq:
            fault = f"it begins after seq {parent_seq}, and the runs it stands on lead to {found.seq}"
        state = None if found.state is None else msgspec.structs.replace(found.state, id=RunId(str(run)))
        findings = [] if fault is None else [Finding(check="fork", row=f"run_ancestry: {run}", what=fault)]
        return found._replace(seq=parent_seq, state=None if fault else state), findings

    def _read(self, run: uuid.UUID, parts: tuple[_Part, ...]) -> Prefix:
        start = new_run(RunId(str(run)))
        if not parts:
            return Prefix(0, GENESIS, start)
        last = parts[-1]
        try:
            state, fault = self._fold(start, {part.upto_seq: part.upto_hash for part in parts}, last.upto_seq)
        except KronosError as error:
            state, fault = None, f"its shared history cannot be folded: {error.message}"
        return Prefix(last.upto_seq, last.upto_hash, state, fault)

    def _fold(self, state: Run, heads: dict[int, bytes], last: int) -> tuple[Run | None, str | None]:
        head = GENESIS
        while state.seq < last:
            page = self._pages.page(state.id, state.seq, PAGE, upto=last)
            page = [stored for stored in page if stored.event.seq <= last]
            if not page:
                return None, f"of its shared history, what follows seq {state.seq} is gone"
            for event, body, _ in page:
                state = apply(state, light(event))
                columns = event.seq, event.count, event.attempt, event.at, event.kind, event.step, body
                head = successor(head, *columns)
                if heads.get(event.seq, head) != head:
                    return None, f"the head of its ancestor at seq {event.seq} is another"
        return state, None


class _Only:
    """The connection that fsck reads through, for whoever wants one."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        yield self._reader.connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with self._reader.snapshot():
            yield self._reader.connection
