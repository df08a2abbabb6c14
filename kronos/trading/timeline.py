"""The total order of all rows: which row of which stream comes when, fixed by the datasets alone.

Rule 1: rows are ordered by (available time, exchange time, stream, the stream's own row): `ordinals[s][i]` is the row
        of the timeline at which row i of stream s becomes known.
Rule 2: rows of one stream stand in the order in which they became available; a row that was known before it happened,
        or without a time, is refused.
Rule 3: nothing is ever reordered into the past: a row whose exchange time lies behind is late, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from kronos.errors import InvalidInput
from kronos.trading.bars import Bars
from kronos.trading.columns import Int64s
from kronos.trading.streams import Stream, kind_of_stream

__all__ = ["Timeline"]


LONG_ROWS: Final = 200_000
"""Rows from which on compiled code is worth its loading."""


INDICES_MAX: Final = 256
"""Answers of `index` that are kept: a block asks for its ends again and again."""


class Timeline:
    """All rows of `streams`, merged; `feed_ns` is how long every row takes from its venue to the strategies."""

    def __init__(self, streams: Sequence[Stream], *, feed_ns: int = 0) -> None:
        """Raise `InvalidInput` naming the stream and row of a time that is missing, disordered or impossible."""
        self.available: list[Int64s] = []
        self.exchange: list[Int64s] = []
        self.late: list[Int64s] = []
        for place, stream in enumerate(streams):
            known, happened, late = _times(stream, place) if stream.rows < LONG_ROWS else _long_times(stream, place)
            self.late.append(late)
            self.exchange.append(np.maximum.accumulate(happened) if late.size else happened)
            self.available.append(known + feed_ns if feed_ns else known)
        self._opens = min(int(_opening(stream)[0]) for stream in streams if stream.rows)
        self.rows = sum(int(times.shape[0]) for times in self.available)
        self.is_lone = len(self.available) == 1
        self.is_instant = all(
            a is e or np.array_equal(a, e) for a, e in zip(self.available, self.exchange, strict=True)
        )
        self._ordinals: list[Int64s] = []
        self._indices: dict[tuple[int, int], int] = {}
        if not self.is_lone:
            self._ordinals = (_merge if self.rows < LONG_ROWS else _long_merge)(self.available, self.exchange)

    def ordinal(self, stream: int, index: int) -> int:
        """Return the timeline's row of row `index` of `stream`; one beyond the stream's end is the end of all."""
        if self.is_lone:
            return index
        ordinals = self._ordinals[stream]
        return int(ordinals[index]) if index < ordinals.shape[0] else self.rows

    def ordinals(self, stream: int, start: int, stop: int) -> Int64s:
        """Return the timeline's rows of rows start..stop-1 of `stream`."""
        return np.arange(start, stop, dtype=np.int64) if self.is_lone else self._ordinals[stream][start:stop]

    def index(self, stream: int, row: int) -> int:
        """Return how many rows of `stream` come before `row`: the first of its own rows at or after it."""
        if self.is_lone:
            return min(max(row, 0), self.rows)
        found = self._indices.get((stream, row))
        if found is None:
            if len(self._indices) >= INDICES_MAX:
                self._indices.clear()
            found = self._indices[stream, row] = int(self._ordinals[stream].searchsorted(row))
        return found

    def time(self, row: int) -> int:
        """Return when `row` becomes known (ns UTC)."""
        if self.is_lone and 0 <= row < self.rows:
            return self.available[0].item(row)
        for stream, times in enumerate(self.available):
            index = self.index(stream, row)
            if index < times.shape[0] and self.ordinal(stream, index) == row:
                return int(times[index])
        raise InvalidInput(f"row {row} is outside the session's {self.rows} rows", field="row", value=str(row))

    def row_at(self, time_ns: int, *, after: bool = False) -> int:
        """Return the first row that becomes known at or after `time_ns`; with `after`, strictly after it."""
        side: Literal["left", "right"] = "right" if after else "left"
        return sum(int(np.searchsorted(times, time_ns, side=side)) for times in self.available)

    def known_at(self, row: int) -> int:
        """Return the time (ns UTC) at which everything before `row` is known; before the first, when it opens."""
        return self.time(row - 1) if row > 0 else self._opens

    def late_before(self, row: int) -> list[int]:
        """Return how many late rows of each stream come before `row`."""
        return [int(np.searchsorted(late, self.index(stream, row))) for stream, late in enumerate(self.late)]


def _opening(stream: Stream) -> Int64s:
    return stream.open_time if isinstance(stream, Bars) else stream.time


def _times(stream: Stream, place: int) -> tuple[Int64s, Int64s, Int64s]:
    """Return when each row is known and when it happened, and which are late; a bar happens, whole, when it closes."""
    name = f"stream {place} ({kind_of_stream(stream)} of {stream.instrument})"
    if isinstance(stream, Bars):
        _refuse(
            stream.open_time < 0,
            f"{name}: no open_time",
            "a backtest needs a time for each row",
            "open_time",
        )
        known = happened = stream.available
    else:
        known, happened = stream.available, stream.time
        _refuse(happened <= 0, f"{name}: no time", "a backtest needs a time for each row", "time")
        _refuse(known < happened, f"{name}: known before it happened", "normalise it: --clock shift", "available")
    disorder = np.zeros(known.shape, dtype=bool)
    disorder[1:] = known[1:] < known[:-1]
    _refuse(
        disorder, f"{name}: known before the row above it", "sort the rows by the time they became known", "available"
    )
    return known, happened, np.flatnonzero(happened < np.maximum.accumulate(happened))


def _long_times(stream: Stream, place: int) -> tuple[Int64s, Int64s, Int64s]:
    """Return what `_times` does, in one pass where nothing is wrong; when all is known at once, one column twice."""
    if isinstance(stream, Bars):
        return _times(stream, place)  # nothing compiled is needed, and loading the compiler takes half a second
    from kronos.trading.fast.merge import check_times

    sound, late, instant = check_times(stream.available, stream.time)
    if sound and not late:
        return stream.available, stream.available if instant else stream.time, np.zeros(0, dtype=np.int64)
    return _times(stream, place)


def _long_merge(available: Sequence[Int64s], exchange: Sequence[Int64s]) -> list[Int64s]:
    from kronos.trading.fast.merge import merge

    return merge(available, exchange)


def _refuse(bad: npt.NDArray[np.bool_], what: str, advice: str, column: str) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        raise InvalidInput(
            f"{what} at row {int(rows[0])} ({rows.size} such rows): {advice}", field=column, value=str(int(rows[0]))
        )


def _merge(available: Sequence[Int64s], exchange: Sequence[Int64s]) -> list[Int64s]:
    """Return the ordinals of each stream's rows; a stable sort of sorted runs is a merge."""
    known, happened = np.concatenate(available), np.concatenate(exchange)
    order = np.argsort(known, kind="stable")
    tied = known[order[1:]] == known[order[:-1]]
    if bool((tied & (happened[order[1:]] < happened[order[:-1]])).any()):
        order = np.lexsort((happened, known))
    ordinals = np.empty(known.shape[0], dtype=np.int64)
    ordinals[order] = np.arange(known.shape[0], dtype=np.int64)
    return np.split(ordinals, np.cumsum([times.shape[0] for times in available])[:-1])
