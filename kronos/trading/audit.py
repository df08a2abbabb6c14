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

import hashlib
from collections.abc import Callable, Iterable
from math import gcd
from typing import Any, Final

import msgspec
import numpy as np

from kronos.trading.backtest import Backtest
from kronos.trading.bars import Bars
from kronos.trading.config import BacktestConfig
from kronos.trading.events import Record
from kronos.trading.features import FeatureStore
from kronos.trading.positions import Position
from kronos.trading.strategy import Strategy

__all__ = ["CUTS", "REPLAYED_MAX", "Audit", "Reading", "audit"]

CUTS: Final = 20
REPLAYED_MAX: Final = 2
"""Rows that are made again, in rows of the run: with the run itself an audit costs three of them."""

_COLUMNS: Final = ("open", "high", "low", "close", "volume")
_NEAR: Final = 4_096
"""Rows after a cut that are replaced where the run begins at a checkpoint; from the start, all are."""

_KEY: Final = b"an audit's checkpoints stay here"

_UNREPEATED: Final = (
    "made again with the same rows it is another (random numbers without a seed, a clock, what an earlier run left in "
    "the process); whether it reads the future can be told once it repeats"
)

Maker = Callable[[Bars], Strategy]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The decision of row `decision` depends on `column` of the rows `first` to `last`, which come after `cut`."""

    decision: int
    cut: int
    column: str
    first: int
    last: int
    at_start: bool

    def __str__(self) -> str:
        """Return the finding as a sentence."""
        rows = f"[{self.first}]" if self.first == self.last else f"[{self.first}..{self.last}]"
        where = ", which was read before the first bar was over (on_start or __init__)" if self.at_start else ""
        return f"the decision of row {self.decision} depends on {self.column}{rows}{where}"


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit found: nothing when it `is_clean`; `replayed` rows were made again for it.

    `unrepeated` is a row whose decision is another when it is made again with the same rows: then nothing is said about
    readings.
    """

    rows: int
    cuts: int
    replayed: int
    readings: tuple[Reading, ...]
    unrepeated: int | None = None
    opened: tuple[str, ...] = ()
    note: str = ""

    @property
    def is_clean(self) -> bool:
        """Return whether decisions repeat, nothing of the future was read, and nothing beside the data opened."""
        return not self.findings

    @property
    def findings(self) -> tuple[str, ...]:
        """Return what was found, each as a sentence."""
        lines = [str(each) for each in self.readings] + [f"opened: {each}" for each in self.opened]
        if self.unrepeated is not None:
            lines.insert(0, f"the decision of row {self.unrepeated} does not repeat: {_UNREPEATED}")
        return tuple(lines)


class _Cut(msgspec.Struct, frozen=True):
    """Decisions of rows begin..row are made again with other rows after `row`, up to `reach`."""

    begin: int
    row: int
    reach: int
    checkpoint: bytes | None


class _Suspect(msgspec.Struct, frozen=True):
    """A cut at which `decision` moved when the rows after it became `other`."""

    cut: _Cut
    other: dict[str, Any]
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
    return _Audit(bars, make, BacktestConfig() if config is None else config).run(cuts)


class _Audit:
    def __init__(self, bars: Bars, make: Maker, config: BacktestConfig) -> None:
        ends = {"price_max": int(bars.high.max())} if bars.price_max is None else {}
        self._bars = msgspec.structs.replace(bars, **ends)  # bounds, and with them lots, stay those of the data
        self._make, self._config, self._store = make, config, FeatureStore()
        self._replayed = 0
        self._first: bytes | None = None
        self._unrepeated: int | None = None

    def run(self, cuts: int) -> Audit:
        run = self._session(self._bars, self._store)
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
            unrepeated=self._unrepeated,
        )  # fmt: skip

    def _original(self, run: Backtest, cuts: int, window: int) -> tuple[dict[int, bytes], str]:
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
        other = self._other(cut, mirrored=mirrored)
        decision = self._differs(cut, other, _COLUMNS, cut.row + 1, cut.reach, until=cut.row)
        if decision is None:
            return None
        at_start = cut.checkpoint is None and self._first is not None and decision > self._start
        if at_start:
            later = _Cut(self._start + 1, cut.row, cut.reach, self._first)
            at_start = self._differs(later, other, _COLUMNS, cut.row + 1, cut.reach, until=decision) is None
        return _Suspect(cut, other, decision, at_start)

    def _named(self, suspects: list[_Suspect]) -> list[Reading]:
        """Name the reads that there are rows left for, the cheapest first, and that one in any case."""
        readings: list[Reading] = []
        for each in suspects:
            probes = len(_COLUMNS) + (each.cut.reach - each.cut.row).bit_length() + 3
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
        again = self._differs(cut, suspect.other, _COLUMNS, cut.row + 1, cut.reach, until=decision)
        return None if again == decision else min(again or decision, decision)

    def _name(self, suspect: _Suspect) -> Reading:
        """Halve over columns and rows until the read has a name, or the rows that may be made again are used up."""
        cut, other, decision = suspect.cut, suspect.other, suspect.decision

        def moves(columns: tuple[str, ...], first: int, stop: int) -> bool:
            return self._differs(cut, other, columns, first, stop, until=decision) is not None

        after = cut.row + 1
        columns = next(((each,) for each in _COLUMNS if moves((each,), after, cut.reach)), _COLUMNS)
        low, high = after, cut.reach
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if moves(columns, after, middle) else (middle, high)
        first = low if low == after or moves(columns, low, high) else after
        name = columns[0] if len(columns) == 1 else "several columns"
        return Reading(
            decision=decision, cut=cut.row, column=name, first=first, last=high - 1, at_start=suspect.at_start
        )

    def _differs(
        self, cut: _Cut, other: dict[str, Any], columns: tuple[str, ...], first: int, stop: int, *, until: int
    ) -> int | None:
        """Return the first row up to `until` whose records differ when `columns` of first..stop-1 are others."""
        cost = until + 1 - cut.begin
        if self._replayed + cost > self._budget:
            return None
        self._replayed += cost
        changed = {}
        for name in columns:
            values = getattr(self._bars, name).copy()
            values[first:stop] = other[name][first - cut.row - 1 : stop - cut.row - 1]
            changed[name] = values
        bars = msgspec.structs.replace(self._bars, **changed)
        run = self._session(bars, FeatureStore(like=self._store))
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

    def _other(self, cut: _Cut, *, mirrored: bool) -> dict[str, Any]:
        """Return other rows for those after the cut: those of the data in another order, or these upside down."""
        seed = hashlib.sha256(f"{self._bars.dataset} {cut.row} {mirrored}".encode()).digest()
        step, begin = 1 + int.from_bytes(seed[:4], "big") % self._bars.rows, int.from_bytes(seed[4:8], "big")
        while gcd(step, self._bars.rows) > 1:
            step += 1
        order = (np.arange(cut.reach - cut.row - 1) * step + begin) % self._bars.rows
        found = {name: getattr(self._bars, name)[order] for name in _COLUMNS}
        if mirrored:
            ends = int(self._bars.low.min()) + int(self._bars.high.max())
            upside = {"open": "open", "high": "low", "low": "high", "close": "close"}
            found |= {name: ends - getattr(self._bars, source)[order] for name, source in upside.items()}
            found["volume"] = int(self._bars.volume.max()) - found["volume"]
        return found

    def _session(self, bars: Bars, store: FeatureStore) -> Backtest:
        return Backtest(bars, self._make(bars), self._config, key=_KEY, features=store)
