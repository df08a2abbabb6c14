"""What the streams of a run say of prices and times at its rows: what a ledger is marked with.

Rule 1: a price is the last one known at a row: trades, else the finest bars' close, else the middle of quotes.
Rule 2: worth is sampled at `points`: the last row known at each time at which one of the finest bars closes, without
        bars the last row of every minute; of one stream of bars these are all its rows.
Rule 3: a split changes prices and lots together; nothing here is adjusted backwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from kronos.trading.bars import Bars
from kronos.trading.columns import Int64s
from kronos.trading.coordinator import source_of
from kronos.trading.instruments import Instrument
from kronos.trading.positions import position_of
from kronos.trading.streams import Quotes, Stream, Trades
from kronos.trading.timeline import Timeline

__all__ = ["MINUTE_NS", "Pricing"]

Floats: TypeAlias = npt.NDArray[np.float64]

MINUTE_NS: Final = 60_000_000_000


class Pricing:
    """Prices of `traded` by their numbers, from `streams` merged as `timeline` has them."""

    def __init__(self, streams: Sequence[Stream], timeline: Timeline, traded: Sequence[Instrument]) -> None:
        self.streams, self.timeline, self.traded = streams, timeline, traded
        self._sources = [source_of(streams, each.symbol) for each in traded]
        self._bars = [stream for stream in streams if isinstance(stream, Bars)]
        self._points: dict[tuple[int, int], Int64s] = {}
        self._prices: dict[tuple[int, int, int], Int64s] = {}

    @classmethod
    def of_bars(cls, bars: Bars, traded: Instrument) -> Self:
        """Return that of one stream of bars."""
        return cls([bars], Timeline([bars]), [traded])

    @property
    def interval_ns(self) -> int:
        """Return the time between two points: the interval of the finest bars, without bars a minute."""
        return min((bars.interval_ns for bars in self._bars), default=MINUTE_NS)

    @cached_property
    def _merged(self) -> Int64s:
        """When each row becomes known (ns UTC; shape (rows,))."""
        available = self.timeline.available
        return available[0] if self.timeline.is_lone else np.sort(np.concatenate(available))

    def points(self, first_row: int, stop_row: int) -> Int64s:
        """Return the rows in first_row..stop_row-1 at which worth is sampled, ascending; the last is always one."""
        found = self._points.get((first_row, stop_row))
        if found is None:
            found = self._points[first_row, stop_row] = self._sampled(first_row, stop_row)
        return found

    def _sampled(self, first_row: int, stop_row: int) -> Int64s:
        timeline, merged = self.timeline, self._merged
        if timeline.is_lone and self._bars:
            return np.arange(first_row, stop_row, dtype=np.int64)
        finest = [
            times for stream, times in zip(self.streams, timeline.available, strict=True)
            if isinstance(stream, Bars) and stream.interval_ns == self.interval_ns
        ]  # fmt: skip
        if finest:
            rows = np.searchsorted(merged, np.unique(np.concatenate(finest)), side="right") - 1
        else:
            rows = np.flatnonzero(np.diff(merged // MINUTE_NS, append=-1))
        rows = rows[(rows >= first_row) & (rows < stop_row)].astype(np.int64)
        return np.union1d(rows, [stop_row - 1]).astype(np.int64) if stop_row > first_row else rows

    def times(self, rows: Int64s) -> Int64s:
        """Return when `rows` became known (ns UTC; shape of `rows`)."""
        return np.asarray(self._merged[rows])

    def prices(self, number: int, first_row: int, stop_row: int) -> Int64s | None:
        """Return the last price of an instrument known at each point of first_row..stop_row-1 in ticks, 0 before the
        first (shape (points,)); None where no stream gives one.
        """
        place, asked = self._sources[number], (number, first_row, stop_row)
        values = _values(self.streams[place])
        if values is None:
            return None
        if asked not in self._prices:
            rows = self.points(first_row, stop_row)
            ordinals = self.timeline.ordinals(place, 0, values.shape[0])
            known = rows if self.timeline.is_lone else np.searchsorted(ordinals, rows, side="right") - 1
            self._prices[asked] = np.where(known >= 0, values[np.maximum(known, 0)], 0)
        return self._prices[asked]

    def price(self, number: int, row: int) -> int:
        """Return the last price of an instrument known at `row` in ticks, 0 before the first."""
        place = self._sources[number]
        index = self.timeline.index(place, row + 1) - 1
        return _value(self.streams[place], index) if index >= 0 else 0

    def opening(self, number: int, row: int) -> tuple[int, int] | None:
        """Return the first price of an instrument that something decided at `row` can meet, as (row, ticks): the open
        of the first bar that opens after it, or what the next trade or quote says; None where none follows.
        """
        place = self._sources[number]
        stream, index = self.streams[place], self.timeline.index(place, row + 1)
        if isinstance(stream, Bars) and row >= 0 and not self.timeline.is_lone:
            index = max(index, int(np.searchsorted(stream.open_time, int(self._merged[row]))))
        if index >= stream.rows:
            return None
        ticks = int(stream.open[index]) if isinstance(stream, Bars) else _value(stream, index)
        return (self.timeline.ordinal(place, index), ticks) if ticks else None

    def quoted(self, number: int, row: int) -> tuple[int, int] | None:
        """Return the best bid and ask that were quoted before `row`, None where no stream of quotes says."""
        for place, stream in enumerate(self.streams):
            if isinstance(stream, Quotes) and stream.instrument == self.traded[number].symbol:
                index = self.timeline.index(place, row) - 1
                if index >= 0:
                    return int(stream.bid[index]), int(stream.ask[index])
        return None

    def happened(self, row: int, causes: Sequence[int] = ()) -> int:
        """Return when a thing of `row` happened (ns UTC): when the market row that caused it did, for a bar when it
        opened; else when `row` became known.
        """
        market = next((at.row for at in map(position_of, causes) if not at.sub and at.row >= row), row)
        for place, stream in enumerate(self.streams):
            index = self.timeline.index(place, market)
            if index < stream.rows and self.timeline.ordinal(place, index) == market:
                return int(stream.open_time[index] if isinstance(stream, Bars) else stream.time[index])
        return self.timeline.known_at(row)

    def held(self, first_row: int, stop_row: int) -> list[Floats]:
        """Return by instrument what buying it at its first open and holding, splits followed, has grown to at each
        point (1 before its first price; shape (points,)); those that have no price are left out.
        """
        found, rows = [], self.points(first_row, stop_row)
        for number, place in enumerate(self._sources):
            prices, start = self.prices(number, first_row, stop_row), self.opening(number, first_row - 1)
            if prices is not None and start is not None:
                grown = prices * self._factor(place, rows, first_row) / start[1]
                found.append(np.where(prices > 0, grown, 1.0))
        return found

    def _factor(self, place: int, rows: Int64s, first_row: int) -> Floats:
        """Return how many lots one lot at the start has become at `rows`."""
        factor, stream = np.ones(len(rows)), self.streams[place]
        for split in stream.splits if isinstance(stream, Bars) else ():
            row = self.timeline.ordinal(place, split.row)
            if row > first_row:
                factor[rows >= row] *= split.numerator / split.denominator
        return factor


def _value(stream: Stream, index: int) -> int:
    """Return the price that a row of a stream gives, 0 for a book's."""
    if isinstance(stream, Quotes):
        return int(stream.bid[index] + stream.ask[index]) // 2
    if isinstance(stream, Bars):
        return stream.close.item(index)
    return stream.price.item(index) if isinstance(stream, Trades) else 0


def _values(stream: Stream) -> Int64s | None:
    """Return the prices that a stream gives, a row each; None for a book."""
    if isinstance(stream, Bars):
        return stream.close
    if isinstance(stream, Quotes):
        return np.asarray((stream.bid + stream.ask) // 2)
    return stream.price if isinstance(stream, Trades) else None
