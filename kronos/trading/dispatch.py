"""The one loop: from the timeline's rows to the venue, the strategies and the desk, step by step.

Rule 1: the step of a row is everything between the row before it and itself, in the order of time, then its dispatch:
        the venue before accounts before strategies, strategies in the order of registration on one snapshot.
Rule 2: between two wakes nothing that is recorded can happen: rows that nobody hears are not looked at one by one, and
        no rich object is made for them.
Rule 3: a market row meets an order that was at the venue before it: a bar one that was there when it opened.
Rule 4: alone on one stream, a handler whose code never names its event is handed `UNREAD` in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, repeat, starmap
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from kronos.trading.bars import Bar, Bars
from kronos.trading.columns import Int64s
from kronos.trading.context import Context
from kronos.trading.coordinator import Coordinator
from kronos.trading.desk import Desk
from kronos.trading.positions import cause_id
from kronos.trading.scheduled import TIMER, Scheduled
from kronos.trading.seats import HANDLERS, STOPPING, Seat
from kronos.trading.streams import Depth, Quotes, Stream, Trades, kind_of_stream
from kronos.trading.tape import Tape
from kronos.trading.ticks import BookTick, QuoteTick, TradeTick
from kronos.trading.unread import UNREAD
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

    def __init__(
        self, coordinator: Coordinator, desk: Desk, exchange: Exchange, seats: Sequence[Seat], tape: Tape, *,
        is_instant: bool,
    ) -> None:  # fmt: skip
        """`is_instant`: nothing travels, neither rows nor orders nor reports."""
        self._tape = tape
        self._coordinator, self._desk, self._exchange, self._seats = coordinator, desk, exchange, seats
        self._timeline = coordinator.timeline
        heard = {stream for seat in seats for stream in seat.hears}
        self._heard = sorted(heard)
        self._silent = [stream for stream in range(len(coordinator.streams)) if stream not in heard]
        self._is_lone = (
            not isinstance(coordinator.streams[0], Depth)
            and is_instant
            and self._timeline.is_lone
            and self._timeline.is_instant
            and len(seats) == 1
        )
        self._touch, self._due = _NONE, _NEVER
        self._head: Scheduled | None = None

    def rows(self, start: int, stop: int) -> int:
        """Dispatch rows start..stop-1, or up to the row before which a deferred command wakes; return that row."""
        if self._is_lone and self._seats[0].hears and not self._tape.state.schedule.entries:
            start = self._lone(start, stop)
        return self._merged(start, stop) if start < min(stop, self._desk.sending.wake_row) else start

    def _lone(self, start: int, stop: int) -> int:
        """Dispatch one stream to one strategy: its rows are the timeline's.  Return the row before which it stands:
        `stop`, or an earlier one when something is scheduled or the strategy is stopped.
        """
        coordinator, desk, seat = self._coordinator, self._desk, self._seats[0]
        cursor, context, next_touch = coordinator.cursors[0], seat.context, self._exchange.next_touch
        name, wishes, state = HANDLERS[kind_of_stream(coordinator.streams[0])], context.wishes, self._tape.state
        handler, scheduled, stopped = getattr(seat.strategy, name), state.schedule.entries, state.stopped
        sending, row, features = desk.sending, start, seat.features
        touch = min(next_touch(0, start, stop), sending.wake_row)
        events: Iterator[Any] = repeat(UNREAD)
        if seat.reads_event(name):
            events = _events(coordinator.streams[0], coordinator.timeline.available[0], start, stop)
        shown = repeat(None) if features is None else map(_show, repeat(context), features.rows(start, stop))
        while row < stop:
            if row >= touch:
                if row >= sending.wake_row:
                    return row
                coordinator.row = row
                desk.meet(0, row, row, cause_id(row, 0))
                if scheduled or stopped:
                    return self._merged(row, row + 1, met=True)
                touch = min(next_touch(0, row + 1, stop), sending.wake_row)
            for event, _ in zip(islice(events, max(touch - row, 1)), shown, strict=False):
                coordinator.row = cursor.now = row
                try:
                    if (given := handler(context, event)) is not None:
                        seat.refuse(name, given)
                except STOPPING as error:
                    desk.stop(seat, name, row, cause_id(row, 0), error)
                    return row + 1
                row += 1
                if wishes:
                    desk.decide(row - 1, cause_id(row - 1, 0))
                    if scheduled or stopped:
                        return row
                    touch = min(next_touch(0, row, stop), sending.wake_row)
                    break
        return stop

    # -- several streams or strategies

    def _merged(self, start: int, stop: int, *, met: bool = False) -> int:
        """Dispatch rows of several streams to several strategies; `met`: the first one has met the orders already."""
        coordinator, desk, timeline, sending = self._coordinator, self._desk, self._timeline, self._desk.sending
        cursors, handlers = coordinator.cursors, self._handlers(start, stop)
        names = [HANDLERS[kind_of_stream(stream)] for stream in coordinator.streams]
        contexts = [seat.context for seat in self._seats]
        end = (timeline.time(stop - 1), stop - 1)
        self._look((timeline.time(start), start) if met else (timeline.known_at(start), start - 1), end)
        for row, stream, event in self._wakes(start, stop):
            if self._due <= row:
                self._between(row, end)
            if row >= sending.wake_row and not met:
                break
            coordinator.row = row
            cursors[stream].now = event.row
            for handler, seat, known in handlers[stream]:
                if known is not None:
                    _show(seat.context, next(known))
                if seat.is_stopped:
                    continue
                try:
                    if (given := handler(seat.context, event)) is not None:
                        seat.refuse(names[stream], given)
                except STOPPING as error:
                    self._catch_up(row + 1)
                    desk.stop(seat, names[stream], row, cause_id(row, 0), error)
                    self._look((event.time, row), end)
            for context in contexts:
                if context.wishes:
                    self._catch_up(row + 1)
                    desk.decide(row, cause_id(row, 0))
                    self._look((event.time, row), end)
                    break
        stop = stop if met else min(stop, sending.wake_row)
        self._between(stop - 1, end)
        stop = stop if met else min(stop, sending.wake_row)
        self._catch_up(stop)
        return stop

    def _handlers(self, start: int, stop: int) -> list[list[tuple[Any, Seat, Iterator[Any] | None]]]:
        """Return by stream who hears its rows, in the order of registration, with what is known of features."""
        return [
            [
                (getattr(seat.strategy, HANDLERS[kind_of_stream(stream)]), seat, self._known(seat, place, start, stop))
                for seat in self._seats
                if place in seat.hears
            ]
            for place, stream in enumerate(self._coordinator.streams)
        ]

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
            ordinals, stream = timeline.ordinals(place, first, last), streams[place]
            if isinstance(stream, Depth):
                ends = _ends(stream, first, last)
                ordinals, made = ordinals[ends - first], _updates(stream, timeline.available[place], ends)
            else:
                made = _events(stream, timeline.available[place], first, last)
            rows.append(ordinals)
            places.append(np.full(ordinals.shape[0], place))
            events.append(made)
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
        """Let everything happen that belongs to steps up to `row`, before its dispatch, in the order of time."""
        coordinator = self._coordinator
        while self._due <= row and self._due < self._desk.sending.wake_row:
            touch, entry = self._touch, self._head
            step = coordinator.row = self._due
            self._catch_up(step)
            if entry is None or touch[:2] < (self._step(entry), entry.time) or touch[:2] == (step, entry.time):
                coordinator.between_ns = 0 if self._timeline.is_instant else touch.time
                self._desk.meet(touch.stream, touch.at, step, cause_id(touch.ordinal, 0))
                after = (touch.time, touch.ordinal)
            else:
                coordinator.between_ns = entry.time
                self._desk.due(entry, step)
                after = (entry.time, self._passed_with(entry.time, step))
            coordinator.between_ns = 0
            self._look(after, end)

    def _passed_with(self, time: int, step: int) -> int:
        """Return the last row that has passed of those that happened at `time`, when something was due then: all of
        them have met the orders before it, unless the row of this step is known at that very time.
        """
        if self._timeline.time(step) == time:
            return step
        return step - 1 if self._timeline.is_instant else _NEVER

    def _look(self, after: tuple[int, int], end: tuple[int, int]) -> None:
        """Look for what is due next after the moment `after`, and in which step."""
        entries = self._tape.state.schedule.entries
        self._touch, self._head = self._find(after, end), entries[0] if entries else None
        self._due = min(self._touch.step, _NEVER if self._head is None else self._step(self._head))

    def _step(self, entry: Scheduled) -> int:
        """Return the step that an entry belongs to: a timer comes after all that is known at its time."""
        return self._timeline.row_at(entry.time, after=entry.kind == TIMER)

    def _catch_up(self, row: int) -> None:
        """Let the streams that nobody hears be known up to before `row`."""
        for stream in self._silent:
            self._coordinator.catch_up(stream, row)

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


def _ends(stream: Depth, start: int, stop: int) -> Int64s:
    """Return the last rows of the updates that end in start..stop-1: rows of one update share their source."""
    after = stream.source[start + 1 : stop + 1]
    ends = start + np.flatnonzero(stream.source[start : start + after.shape[0]] != after)
    return np.append(ends, stop - 1) if start < stop == stream.rows else ends


def _updates(stream: Depth, available: Int64s, ends: Int64s) -> Iterator[BookTick]:
    return starmap(BookTick, zip(ends.tolist(), available[ends].tolist(), repeat(stream.instrument), strict=False))


_MADE: Final[Mapping[type, tuple[type[Any], tuple[str, ...]]]] = {
    Bars: (Bar, ("open", "high", "low", "close", "volume")),
    Trades: (TradeTick, ("price", "quantity", "side")),
    Quotes: (QuoteTick, ("bid", "bid_quantity", "ask", "ask_quantity")),
}
"""The value that a handler is shown for a row, and the columns that it takes."""
