"""Every run's history, class by class and run by run, in one pass over the log.

Rule 1: a page of runs and their events are read in one snapshot: what happens meanwhile is no finding.
Rule 2: rows stream through a cursor; memory holds one page of runs and the fold of one of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Final, NamedTuple, cast

from kronos.app.fsck.anchor import Anchors, Head
from kronos.app.fsck.finding import Finding
from kronos.app.fsck.judging import EventLine, Judge, blobs_in
from kronos.app.fsck.prefixes import Prefixes
from kronos.app.fsck.reading import Reader
from kronos.app.fsck.rows import RunLine
from kronos.core.state import new_run
from kronos.kernel.ids import RunId

__all__ = ["class_of", "heads", "walk"]

RUNS_A_PAGE: Final = 500
BLOBS_ASKED_MAX: Final = 5_000
_LAST: Final = uuid.UUID(int=2**128 - 1)


class _Page(NamedTuple):
    retention_class: int
    runs: list[RunLine]
    after: uuid.UUID
    upto: uuid.UUID


def walk(reader: Reader, *, only: uuid.UUID | None, anchors: Anchors | None) -> Iterator[Finding]:
    """Yield what is wrong with the histories of all runs, or of one."""
    prefixes = Prefixes(reader)
    for page in _pages(reader, only):
        yield from _judge_page(reader, page, prefixes, anchors, only=only)
        reader.advance(len(page.runs))
    for head in anchors.rest() if anchors is not None and only is None else ():
        yield _gone(head)


def heads(reader: Reader) -> Iterator[Head]:
    """Yield where each run's history stands, in the order of the walk."""
    for page in _pages(reader, None):
        last: EventLine | None = None
        for line in _events(reader, page):
            if last is not None and last.run != line.run:
                yield Head(page.retention_class, last.run, last.seq, last.hash)
            last = line
        if last is not None:
            yield Head(page.retention_class, last.run, last.seq, last.hash)
        reader.advance(len(page.runs))


def _pages(reader: Reader, only: uuid.UUID | None) -> Iterator[_Page]:
    """Yield pages, each inside a snapshot of its own; together they cover every id, so that no event is passed over."""
    for (retention_class,) in reader.rows("read_classes"):
        after, more = (uuid.UUID(int=only.int - 1) if only else uuid.UUID(int=0)), True
        while more:
            with reader.snapshot():
                at = {"class": retention_class, "after": after, "only": only, "limit": RUNS_A_PAGE}
                runs = [RunLine(*row) for row in reader.rows("read_runs", at)]
                more = len(runs) == RUNS_A_PAGE
                upto = only or (runs[-1].id if more else _LAST)
                if runs or not only:
                    yield _Page(retention_class, runs, after, upto)
            after = upto


def _judge_page(
    reader: Reader, page: _Page, prefixes: Prefixes, anchors: Anchors | None, *, only: uuid.UUID | None
) -> Iterator[Finding]:
    known = {run.id for run in page.runs}
    named = _Named(reader)
    strays: set[uuid.UUID] = set()
    runs = iter(page.runs)
    judge: Judge | None = None

    def next_judge() -> Iterator[Finding]:
        nonlocal judge
        if judge is not None:
            yield from judge.close()
        run = next(runs, None)
        judge, findings = (None, []) if run is None else _begin(run, prefixes)
        yield from findings
        if judge is not None:
            yield from _anchored(judge, page, anchors, only=only)

    for line in _events(reader, page):
        yield from named.note(line.run, blobs_in(line.body))
        if line.run not in known:
            strays.add(line.run)
            continue
        while judge is None or judge.run.id != line.run:
            yield from next_judge()
        yield from judge.take(line)
    yield from next_judge()
    while judge is not None:
        yield from next_judge()
    for run in page.runs:
        yield from named.note(run.id, blobs_in(run.output))
    yield from named.ask()
    yield from _strays(reader, strays)


def _begin(run: RunLine, prefixes: Prefixes) -> tuple[Judge, list[Finding]]:
    if not run.parent_seq:
        return Judge(run, state=new_run(RunId(str(run.id)))), []
    prefix, findings = prefixes.of(run.id, run.parent_seq)
    return Judge(run, after=prefix.seq, head=prefix.head, state=prefix.state), findings


def _anchored(judge: Judge, page: _Page, anchors: Anchors | None, *, only: uuid.UUID | None) -> Iterator[Finding]:
    if anchors is None:
        return
    missed = list(anchors.before(page.retention_class, judge.run.id))
    if only is None:
        yield from map(_gone, missed)
    head = anchors.of(page.retention_class, judge.run.id)
    if head is not None:
        judge.expect(head.seq, head.hash)


def _events(reader: Reader, page: _Page) -> Iterator[EventLine]:
    at = {"class": page.retention_class, "after": page.after, "upto": page.upto}
    for row in reader.stream("read_events", at):
        yield EventLine(*row)


def _strays(reader: Reader, strays: set[uuid.UUID]) -> Iterator[Finding]:
    if not strays:
        return
    for run, retention_class in reader.rows("find_strays", {"runs": sorted(strays)}):
        if retention_class is None:
            yield Finding(check="run", row=f"events: run {run}", what="there is no run of this id")
        else:
            yield Finding(check="class", row=f"events: run {run}", what=f"the run is of class {retention_class}")


class _Named:
    """The blobs that recorded values of runs refer to, asked for many at a time."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._owners: list[str] = []
        self._blobs: list[bytes] = []

    def note(self, run: uuid.UUID, blobs: list[str]) -> Iterator[Finding]:
        """Remember that `run` refers to `blobs`."""
        for blob in blobs:
            self._owners.append(str(run))
            self._blobs.append(bytes.fromhex(blob))
        if len(self._blobs) >= BLOBS_ASKED_MAX:
            yield from self.ask()

    def ask(self) -> Iterator[Finding]:
        """Yield what is not there of all that was noted."""
        yield from self._reader.unreferred("run", self._owners, self._blobs)
        self._owners, self._blobs = [], []


def _gone(head: Head) -> Finding:
    return Finding(
        check="anchor", row=f"runs: {head.run}", what=f"the anchor holds it up to seq {head.seq}; there is no such run"
    )


def class_of(reader: Reader, run: uuid.UUID) -> int | None:
    """Return the retention class of a run, None when there is no such run."""
    rows = list(reader.rows("find_class", {"run": run}))
    return cast("int", rows[0][0]) if rows else None
