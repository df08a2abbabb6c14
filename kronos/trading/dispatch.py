"""The one loop: from the timeline's rows to the venue, the strategies and the desk, step by step.

Rule 1: the step of a row is everything between the row before it and itself, in the order of time, then its dispatch:
        the venue before accounts before strategies, strategies in the order of registration on one snapshot.
Rule 2: between two wakes nothing that is recorded can happen: rows that nobody hears are not looked at one by one, and
        no rich object is made for them.
Rule 3: a market row meets an order that was at the venue before it: (since, row) of the order < (time, row) of the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat, starmap
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from kronos.trading.bars import Bar, Bars
from kronos.trading.context import Context
from kronos.trading.coordinator import Coordinator
from kronos.trading.desk import Desk
from kronos.trading.positions import cause_id
from kronos.trading.seats import HANDLERS, Seat
from kronos.trading.streams import Quotes, Stream, Trades, kind_of_stream
from kronos.trading.ticks import QuoteTick, TradeTick
from kronos.trading.venue.exchange import Exchange

__all__ = ["Dispatch"]

_SIDES: Final[tuple[Literal["left"], Literal["right"]]] = ("left", "right")
_NEVER: Final = 2**62


class _Touch(NamedTuple):
    """A market row that may touch an order: its step, time, row of the timeline, and row `at` of a stream."""

    step: int
    time: int
    ordinal: int
    stream: int
    at: int


_NONE: Final = _Touch(_NEVER, _NEVER, _NEVER, 0, 0)


class Dispatch:
    """Dispatches rows of the timeline to `seats`."""

    def __init__(self, coordinator: Coordinator, desk: Desk, exchange: Exchange, seats: Sequence[Seat]) -> None:
        self._coordinator, self._desk, self._exchange, self._seats = coordinator, desk, exchange, seats
        self._timeline = coordinator.timeline
        self._hearing = [[seat for seat in seats if stream in seat.hears] for stream in range(len(coordinator.streams))]
        self._heard = [stream for stream, hearing in enumerate(self._hearing) if hearing]
        self._silent = [stream for stream, hearing in enumerate(self._hearing) if not hearing]
        self._is_lone = (
            self._timeline.is_lone and self._timeline.is_instant and len(self._hearing[0]) == 1 == len(seats)
        )

    def rows(self, start: int, stop: int) -> int:
        """Dispatch rows start..stop-1, or up to the row before which a deferred command wakes; return that row."""
        return self._lone(start, stop) if self._is_lone else self._merged(start, stop)

    def _lone(self, start: int, stop: int) -> int:
        """Dispatch one stream to one strategy: its rows are the timeline's."""
        coordinator, desk, seat = self._coordinator, self._desk, self._seats[0]
        cursor, context, next_touch = coordinator.cursors[0], seat.context, self._exchange.next_touch
        handler, wishes = getattr(seat.strategy, HANDLERS[kind_of_stream(coordinator.streams[0])]), context.wishes
        sending, row, shows = desk.sending, start, seat.features is not None
        touch = min(next_touch(0, start, stop), sending.wake_row)
        known = seat.features.rows(start, stop) if seat.features is not None else iter(())
        for event in _events(coordinator.streams[0], coordinator.timeline.available[0], start, stop):
            if row >= touch:
                if row >= sending.wake_row:
                    return row
                coordinator.row = row
                desk.meet(0, row, row, cause_id(row, 0))
                touch = min(next_touch(0, row + 1, stop), sending.wake_row)
            coordinator.row = row
            cursor.now = row
            if shows:
                _show(context, next(known))
            handler(context, event)
            if wishes:
                desk.decide(row, cause_id(row, 0))
                touch = min(next_touch(0, row + 1, stop), sending.wake_row)
            row += 1
        return stop

    # -- several streams or strategies

    def _merged(self, start: int, stop: int) -> int:
        coordinator, desk, sending = self._coordinator, self._desk, self._desk.sending
        cursors, hearing = coordinator.cursors, self._hearing
        handlers = [
            [
                (
                    getattr(seat.strategy, HANDLERS[kind_of_stream(stream)]),
                    seat.context,
                    self._known(seat, place, start, stop),
                )
                for seat in hearing[place]
            ]
            for place, stream in enumerate(coordinator.streams)
        ]
        contexts = [seat.context for seat in self._seats]
        end = (self._timeline.time(stop - 1), stop - 1)
        self._touch = self._find((self._timeline.known_at(start), start - 1), end)
        for row, stream, event in self._wakes(start, stop):
            if self._touch.step <= row:
                self._between(row, end)
            if row >= sending.wake_row:
                break
            coordinator.row = row
            cursors[stream].now = event.row
            for handler, context, known in handlers[stream]:
                if known is not None:
                    _show(context, next(known))
                handler(context, event)
            if any(context.wishes for context in contexts):
                self._catch_up(row + 1)
                desk.decide(row, cause_id(row, 0))
                self._touch = self._find((event.time, row), end)
        self._between(min(stop, sending.wake_row) - 1, end)
        stop = min(stop, sending.wake_row)
        self._catch_up(stop)
        return stop

    def _known(self, seat: Seat, place: int, start: int, stop: int) -> Iterator[Any] | None:
        """Return the declared features of a strategy, one value a row of stream `place`; None where it has none."""
        if seat.features is None or seat.primary != place:
            return None
        return seat.features.rows(self._timeline.index(place, start), self._timeline.index(place, stop))

    def _wakes(self, start: int, stop: int) -> Iterator[tuple[int, int, Any]]:
        """Yield the rows that somebody hears, as (row, stream, event)."""
        timeline, streams = self._timeline, self._coordinator.streams
        rows, places, events = [], [], []
        for place in self._heard:
            first, last = timeline.index(place, start), timeline.index(place, stop)
            rows.append(timeline.ordinals(place, first, last))
            places.append(np.full(last - first, place))
            events.append(_events(streams[place], timeline.available[place], first, last))
        if not rows:
            return
        if len(rows) == 1:
            yield from zip(rows[0].tolist(), repeat(self._heard[0]), events[0], strict=False)
            return
        merged = np.concatenate(rows)
        order = np.argsort(merged, kind="stable")
        of = dict(zip(self._heard, events, strict=True))
        for row, place in zip(merged[order].tolist(), np.concatenate(places)[order].tolist(), strict=True):
            yield row, place, next(of[place])

    def _between(self, row: int, end: tuple[int, int]) -> None:
        """Let everything happen that belongs to steps up to `row`, before its dispatch."""
        while self._touch.step <= row and self._touch.step < self._desk.sending.wake_row:
            touch = self._touch
            self._coordinator.row = touch.step
            self._catch_up(touch.step)
            self._desk.meet(touch.stream, touch.at, touch.step, cause_id(touch.ordinal, 0))
            self._touch = self._find((touch.time, touch.ordinal), end)

    def _catch_up(self, row: int) -> None:
        """Let the streams that nobody hears be known up to before `row`."""
        for stream in self._silent:
            self._coordinator.cursors[stream].now = self._timeline.index(stream, row) - 1

    def _find(self, after: tuple[int, int], end: tuple[int, int]) -> _Touch:
        """Return the first market row after `after` and up to `end`, both (time, row), that may touch an order."""
        found = _NONE
        for stream in self._exchange.streams:
            index, stop = self._passed(stream, after), self._passed(stream, end)
            touched = self._exchange.next_touch(stream, index, stop)
            if touched < stop:
                found = min(found, self._at(stream, touched))
        return found

    def _at(self, stream: int, index: int) -> _Touch:
        timeline = self._timeline
        ordinal, time = timeline.ordinal(stream, index), int(timeline.exchange[stream][index])
        step = ordinal if timeline.is_instant else min(ordinal, timeline.row_at(time, after=True))
        return _Touch(step, time, ordinal, stream, index)

    def _passed(self, stream: int, moment: tuple[int, int]) -> int:
        """Return how many rows of `stream` have (time, row) up to `moment`."""
        time, row = moment
        if self._timeline.is_instant:
            return self._timeline.index(stream, row + 1)
        times = self._timeline.exchange[stream]
        before, upto = (int(np.searchsorted(times, time, side=side)) for side in _SIDES)
        return max(before, min(upto, self._timeline.index(stream, row + 1)))


_show: Final = Context.__dict__["features"].__set__  # the slot's own setter: a context is read-only


def _events(stream: Stream, available: Any, start: int, stop: int) -> Iterator[Any]:
    """Yield rows as handlers see them; columns become Python integers once a block, not once a row."""
    rows, times, name = range(start, stop), available[start:stop].tolist(), repeat(stream.instrument)
    made, names = _MADE[type(stream)]
    values = [getattr(stream, column)[start:stop].tolist() for column in names]
    more = [repeat(stream.interval_ns)] if isinstance(stream, Bars) else []
    return starmap(made, zip(rows, times, *values, name, *more, strict=False))


_MADE: Final[Mapping[type, tuple[type[Any], tuple[str, ...]]]] = {
    Bars: (Bar, ("open", "high", "low", "close", "volume")),
    Trades: (TradeTick, ("price", "quantity", "side")),
    Quotes: (QuoteTick, ("bid", "bid_quantity", "ask", "ask_quantity")),
}
"""The value that a handler is shown for a row, and the columns that it takes."""
