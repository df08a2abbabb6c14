"""Whether a strategy knows the future: other futures are put behind it, and its past decisions must not move.

Rule 1: at each cut the rows after it are replaced by other bars of the same range, and decisions up to it are made
        again: from a checkpoint shortly before the cut, and once from the start (a checkpoint holds what `on_start` has
        learnt).
Rule 2: a decision that differs, and is itself when it is made again with the same rows, has read a later row; halving
        over columns and rows names which.
Rule 3: where one made again with the same rows is another, that is the finding: of what it reads nothing can be said.
Rule 4: at most `REPLAYED_MAX` times the rows of the run are made again, whatever is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from kronos.trading.backtest import Backtest
from kronos.trading.bars import Bars
from kronos.trading.config import BacktestConfig
from kronos.trading.events import Record
from kronos.trading.features import FeatureStore
from kronos.trading.findings import Audit, Reading
from kronos.trading.futures import Column, Future, Streams
from kronos.trading.positions import Position
from kronos.trading.session import Session
from kronos.trading.session_config import SessionConfig
from kronos.trading.strategy import Strategy
from kronos.trading.streams import Stream, on_time

__all__ = ["CUTS", "REPLAYED_MAX", "Audit", "Reading", "audit", "audit_session"]

CUTS: Final = 20
REPLAYED_MAX: Final = 2
"""Rows that are made again, in rows of the run: with the run itself an audit costs three of them."""

_NEAR: Final = 4_096
"""Rows after a cut that are replaced where the run begins at a checkpoint; from the start, all are."""

_KEY: Final = b"an audit's checkpoints stay here"

Maker: TypeAlias = Callable[[Bars], Strategy]
_Runs: TypeAlias = Callable[[list[Stream], FeatureStore], Session]
"""Makes the run of streams, with what is known of its features."""


class _Cut(msgspec.Struct, frozen=True):
    """Decisions of rows begin..row are made again with other rows after `row`, up to `reach`."""

    begin: int
    row: int
    reach: int
    checkpoint: bytes | None


class _Suspect(msgspec.Struct, frozen=True):
    """A cut at which `decision` moved when the rows after it became `other`."""

    cut: _Cut
    other: Future
    decision: int
    at_start: bool

    def cost(self) -> int:
        """Return the rows that one more question about it makes again."""
        return self.decision + 1 - self.cut.begin


def audit(bars: Bars, make: Maker, config: BacktestConfig | None = None, *, cuts: int = CUTS) -> Audit:
    """Return what the strategy of `make(bars)` reads of the future when it runs over `bars`.

    `make` is called with the bars of each re-execution: what it fits, it must fit on them.  Raises what the strategy
    raises on the data as they are.
    """
    settings = BacktestConfig() if config is None else config

    def runs(streams: list[Stream], store: FeatureStore) -> Session:
        (one,) = streams
        assert isinstance(one, Bars), "bars were given"
        return Backtest(one, make(one), settings, key=_KEY, features=store)

    return _Audit(Streams([bars]), runs).run(cuts)


def audit_session(
    streams: Sequence[Stream],
    make: Callable[[Sequence[Stream]], Sequence[Strategy]],
    config: SessionConfig,
    *,
    cuts: int = CUTS,
) -> Audit:
    """Return what the strategies of `make(streams)` read of the future in a session over bars, trades and quotes.

    `make` is called with the streams of each re-execution.  Raises `InvalidInput` for a book (see `futures.Streams`).
    """
    kept, _ = on_time(streams, config.late)

    def runs(changed: list[Stream], store: FeatureStore) -> Session:
        return Session(changed, make(changed), config, key=_KEY, features=store)

    return _Audit(Streams(kept, feed_ns=config.latency.feed_ns), runs).run(cuts)


class _Audit:
    def __init__(self, streams: Streams, runs: _Runs) -> None:
        self._streams, self._runs, self._store = streams, runs, FeatureStore()
        self._columns = streams.columns
        self._replayed = 0
        self._first: bytes | None = None
        self._unrepeated: int | None = None

    def run(self, cuts: int) -> Audit:
        run = self._runs(self._streams.given, self._store)
        first, rows = run.row, run.stop_row - run.row
        self._budget, self._start = REPLAYED_MAX * rows, first
        window = max(2, min(rows // (4 * cuts), 20_000))
        saved, note = self._original(run, cuts, window)
        suspects: list[_Suspect] = []
        for each in self._cuts(saved, first + rows, window):
            found = self._look(each, mirrored=False) or self._look(each, mirrored=True)
            suspects += [] if found is None else [found]
            if found is not None and found.at_start:
                break  # whatever follows stands on it
        readings = self._named(sorted(suspects, key=_Suspect.cost))
        distinct = {(each.column, each.first - each.decision, each.at_start): each for each in reversed(readings)}
        kept = sorted(distinct.values(), key=lambda each: (each.decision, each.column))
        return Audit(
            rows=rows, cuts=len(saved) + 1, replayed=self._replayed, readings=tuple(kept), note=note,
            unrepeated=self._unrepeated, core_chain=run.result().core_chain,
        )  # fmt: skip

    def _original(self, run: Session, cuts: int, window: int) -> tuple[dict[int, bytes], str]:
        """Run on the data as they are; return checkpoints by row, each a window before its cut."""
        rows, saved, note = run.stop_row - run.row, {}, ""
        places = {run.row + 1 + (rows - window - 1) * number // cuts for number in range(cuts)} if rows > window else ()
        self._records: list[Record] = []
        for row in sorted({*places, run.stop_row}):
            run.run(Position(row))
            self._records += run.take()
            if row == run.stop_row or note:
                continue
            try:
                saved[row] = run.checkpoint()
            except Exception as error:
                note = f"re-executed from the start alone, as a checkpoint fails: {type(error).__name__}: {error}"
        self._first = saved.get(self._start + 1)
        return saved, note

    def _cuts(self, saved: dict[int, bytes], stop: int, window: int) -> Iterable[_Cut]:
        """Return cuts from the start, and one in the window after each checkpoint: at the last decision there."""
        decided = sorted({record.row for record in self._records})
        for share in (2,) if saved else (40, 20, 10, 2):
            end = self._start + (stop - self._start) // share
            yield _Cut(self._start, max([self._start, *(each for each in decided if each < end)]), stop, None)
        for row, checkpoint in saved.items():
            inside = [each for each in decided if row <= each < row + window]
            cut = inside[-1] if inside else row + window - 1
            if cut + 1 < stop:
                yield _Cut(row, cut, min(stop, cut + 1 + _NEAR), checkpoint)

    # -- one cut

    def _look(self, cut: _Cut, *, mirrored: bool) -> _Suspect | None:
        if mirrored and cut.checkpoint is None and 4 * (cut.row - self._start) > self._budget // REPLAYED_MAX:
            return None  # a long re-execution is made once
        other = self._streams.after(cut.row, cut.reach, mirrored=mirrored)
        decision = self._differs(cut, other, self._columns, cut.row + 1, cut.reach, until=cut.row)
        if decision is None:
            return None
        at_start = cut.checkpoint is None and self._first is not None and decision > self._start
        if at_start:
            later = _Cut(self._start + 1, cut.row, cut.reach, self._first)
            at_start = self._differs(later, other, self._columns, cut.row + 1, cut.reach, until=decision) is None
        return _Suspect(cut, other, decision, at_start)

    def _named(self, suspects: list[_Suspect]) -> list[Reading]:
        """Name the reads that there are rows left for, the cheapest first, and that one in any case."""
        readings: list[Reading] = []
        for each in suspects:
            probes = len(self._columns) + (each.cut.reach - each.cut.row).bit_length() + 3
            if readings and self._replayed + probes * each.cost() > self._budget:
                continue
            self._unrepeated = self._repeat(each)
            if self._unrepeated is not None:
                return []
            readings.append(self._name(each))
        return readings

    def _repeat(self, suspect: _Suspect) -> int | None:
        """Return the first row whose decision is another on the same rows: those of the data, then the other ones.

        As many decisions as there are up to the cut are made again, since one alone may repeat by chance.
        """
        cut, decision = suspect.cut, suspect.decision
        affords = self._replayed + cut.row + 1 - cut.begin <= self._budget
        same = self._differs(cut, suspect.other, (), cut.row + 1, cut.reach, until=cut.row if affords else decision)
        if same is not None or self._replayed + suspect.cost() > self._budget:
            return same
        again = self._differs(cut, suspect.other, self._columns, cut.row + 1, cut.reach, until=decision)
        return None if again == decision else min(again or decision, decision)

    def _name(self, suspect: _Suspect) -> Reading:
        """Halve over columns and rows until the read has a name, or the rows that may be made again are used up."""
        cut, other, decision = suspect.cut, suspect.other, suspect.decision

        def moves(columns: tuple[Column, ...], first: int, stop: int) -> bool:
            return self._differs(cut, other, columns, first, stop, until=decision) is not None

        after = cut.row + 1
        columns = next(((each,) for each in self._columns if moves((each,), after, cut.reach)), self._columns)
        low, high = after, cut.reach
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if moves(columns, after, middle) else (middle, high)
        first, stop = low if low == after or moves(columns, low, high) else after, high
        column, stream = "several columns", ""
        if len(columns) == 1:
            ((place, column),) = columns
            first, stop = self._streams.own_rows(place, first, stop)
            stream = self._streams.name(place)
        return Reading(
            decision=decision, cut=cut.row, column=column, first=first, last=max(first, stop - 1),
            at_start=suspect.at_start, stream=stream,
        )  # fmt: skip

    def _differs(
        self, cut: _Cut, other: Future, columns: tuple[Column, ...], first: int, stop: int, *, until: int
    ) -> int | None:
        """Return the first row up to `until` whose records differ when `columns` of first..stop-1 are others."""
        cost = until + 1 - cut.begin
        if self._replayed + cost > self._budget:
            return None
        self._replayed += cost
        changed = self._streams.replaced(other, columns, first, stop)
        run = self._runs(changed, FeatureStore(like=self._store))
        if cut.checkpoint is not None:
            run.restore(cut.checkpoint)
        expected = [each for each in self._records if cut.begin - (cut.checkpoint is None) <= each.row <= until]
        try:
            run.run(Position(until + 1))
        except Exception:  # what it raises on another future, it raises because of that future
            found = run.take()
            return found[-1].row if found else cut.begin
        found = run.take()
        for one, mine in zip(expected, found, strict=False):
            if one != mine:
                return min(one.row, mine.row)
        if len(expected) != len(found):
            return (expected + found if not found else max(expected, found, key=len))[
                min(len(expected), len(found))
            ].row
        return None
