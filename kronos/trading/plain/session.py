"""Several streams of bars and trades, several strategies, and what travels between them, step by step.

Rule 1: all rows are put in order as one list of tuples; every moment is compared with that list, none is searched for.
Rule 2: a step is what happens up to its row, in the order of time, a bar before what is due at the same time; then the
        row itself, for every strategy that hears it.
Rule 3: an oracle for tests: bars and trades, and no route with limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from kronos.errors import InvalidInput
from kronos.trading.bars import Bar, Bars
from kronos.trading.coordinator import Coordinator
from kronos.trading.desk import Desk
from kronos.trading.plain.loop import PLAIN
from kronos.trading.positions import cause_id
from kronos.trading.scheduled import TIMER
from kronos.trading.seats import STOPPING, Seat
from kronos.trading.session import Session
from kronos.trading.streams import Trades
from kronos.trading.tape import Tape
from kronos.trading.ticks import TradeTick
from kronos.trading.venue.exchange import Exchange, Makers

__all__ = ["PlainSession"]


class _PlainSteps:
    """Plays steps; a row is (when it is known, when it happened, stream, its own number there)."""

    def __init__(
        self, streams: Sequence[Bars | Trades], feed_ns: int, *, coordinator: Coordinator, desk: Desk,
        exchange: Exchange, seats: Sequence[Seat], tape: Tape,
    ) -> None:  # fmt: skip
        self._streams, self._coordinator, self._desk, self._seats = streams, coordinator, desk, seats
        self._tape = tape
        self._rows = sorted(
            (known + feed_ns, happened, place, index)
            for place, stream in enumerate(streams)
            for index, (known, happened) in enumerate(_times(stream))
        )
        self._is_delayed = any(known != happened for known, happened, *_ in self._rows)
        self._meets = sorted(
            (self._step_of(row, known), known[1], row, *known[2:])
            for row, known in enumerate(self._rows)
            if known[2] in exchange.streams
        )

    def _step_of(self, row: int, known: tuple[int, int, int, int]) -> int:
        """Return the step in which a bar meets the orders: before the first row known later than it happened."""
        if not self._is_delayed:
            return row
        return min([row, *(at for at, other in enumerate(self._rows[:row]) if other[0] > known[1])])

    def rows(self, start: int, stop: int) -> int:
        """Play steps start..stop-1 and return `stop`."""
        for row in range(start, stop):
            self._happen(row)
            _, _, place, index = self._rows[row]
            self._coordinator.row = row
            self._coordinator.cursors[place].now = index
            for seat in self._seats:
                if place in seat.hears and not seat.is_stopped:
                    self._show(seat, place, index, row)
            self._desk.decide(row, cause_id(row, 0))
        return stop

    def _happen(self, row: int) -> None:
        """Let what belongs to the step of `row` happen before it."""
        coordinator = self._coordinator
        meets = [each for each in self._meets if each[0] == row]
        while True:
            entries = self._tape.state.schedule.entries
            due = entries[0] if entries and self._is_due(entries[0].time, entries[0].kind, row) else None
            if not meets and due is None:
                break
            coordinator.row = row
            if meets and (due is None or meets[0][1] <= due.time):
                _, time, ordinal, place, index = meets.pop(0)
                coordinator.between_ns = time if self._is_delayed else 0
                self._desk.meet(place, index, row, cause_id(ordinal, 0))
            elif due is not None:
                coordinator.between_ns = due.time
                self._desk.due(due, row)
            coordinator.between_ns = 0

    def _is_due(self, time: int, kind: int, row: int) -> bool:
        known = self._rows[row][0]
        return known > time if kind == TIMER else known >= time

    def _show(self, seat: Seat, place: int, index: int, row: int) -> None:
        if seat.features is not None and seat.primary == place:
            seat.features.attach(seat.context)
        stream, time = self._streams[place], self._rows[row][0]
        name = "on_bar" if isinstance(stream, Bars) else "on_trade"
        event = _bar(stream, index, time) if isinstance(stream, Bars) else _trade(stream, index, time)
        try:
            given = getattr(seat.strategy, name)(seat.context, event)
            if given is not None:
                seat.refuse(name, given)
        except STOPPING as error:
            self._desk.stop(seat, name, row, cause_id(row, 0), error)


def _times(stream: Bars | Trades) -> list[tuple[int, int]]:
    """Return when each row is known and when it happened, not before the row above it."""
    if isinstance(stream, Bars):
        return [(int(each) + stream.interval_ns,) * 2 for each in stream.open_time]
    happened = stream.time.tolist()
    return [(int(known), max(happened[: row + 1])) for row, known in enumerate(stream.available)]


def _bar(bars: Bars, index: int, time: int) -> Bar:
    return Bar(
        row=index,
        time=time,
        open=int(bars.open[index]),
        high=int(bars.high[index]),
        low=int(bars.low[index]),
        close=int(bars.close[index]),
        volume=int(bars.volume[index]),
        instrument=bars.instrument,
        interval_ns=bars.interval_ns,
    )


def _trade(trades: Trades, index: int, time: int) -> TradeTick:
    return TradeTick(
        row=index,
        time=time,
        price=int(trades.price[index]),
        quantity=int(trades.quantity[index]),
        side=int(trades.side[index]),
        instrument=trades.instrument,
    )


class PlainSession(Session):
    """A `Session` on plain steps."""

    _makers: ClassVar[Makers] = PLAIN

    def _build(self, rules: Any) -> None:
        super()._build(rules)
        streams = [stream for stream in self.streams if isinstance(stream, Bars | Trades)]
        limited = any(each.order_rate or each.cancel_rate for each in self.session_config.routes)
        if len(streams) != len(self.streams) or limited:
            raise InvalidInput("plain steps read bars and trades, and know no limits of routes", field="streams")
        self._dispatch = _PlainSteps(  # type: ignore[assignment]
            streams, self.session_config.latency.feed_ns, coordinator=self._coordinator, desk=self._desk,
            exchange=self._exchange, seats=self._seats, tape=self._tape,
        )  # fmt: skip
