"""All simulated venues of a session behind one door: each order goes to the one that fills its instrument.

Rule: one stream fills the orders of an instrument: its book (and trades, which move the queues), else its
trades, else its bars of the shortest interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from kronos.errors import InvalidInput
from kronos.trading.bars import Bars
from kronos.trading.events import OrderFilled
from kronos.trading.instruments import Instrument
from kronos.trading.margin_calls import MarginCalls
from kronos.trading.orders import Order
from kronos.trading.streams import Depth, Stream, Trades
from kronos.trading.tape import Tape
from kronos.trading.terms import Terms
from kronos.trading.venue.bars import BarVenue
from kronos.trading.venue.depth import BookVenue
from kronos.trading.venue.rules import VenueRules
from kronos.trading.venue.trades import TradeVenue

__all__ = ["MAKERS", "Exchange", "Makers", "Matching"]


class Matching(Protocol):
    """What fills the orders of one instrument on one stream; `index` is the stream's own row.

    `row` is the step in which records are written, `cause` the position of the market row itself.
    """

    def attach(self, tape: Tape, on_fill: Callable[[OrderFilled], None]) -> None: ...
    def accept(self, order: Order, row: int, cause: int, last: int, at: int) -> None: ...
    def cancel(self, order: Order, row: int, cause: int, reason: str, *, at: int | None = None) -> None: ...
    def replace(self, order: Order, row: int, cause: int, quantity: int, terms: Terms, *, at: int) -> None: ...
    def meet(self, index: int, row: int, cause: int) -> None: ...
    def next_touch(self, index: int, stop: int) -> int: ...
    def rearm(self) -> None: ...


class Makers(NamedTuple):
    """What makes the venue on a stream: called with it, its instrument, the rules and `instrument`, the number."""

    bars: Callable[..., Matching]
    trades: Callable[..., Matching]


MAKERS: Final = Makers(BarVenue, TradeVenue)


class Exchange:
    """Matches on `streams`; `numbers` are the instruments' numbers by name, `traded` what they are.

    `places` is the stream that fills the orders of each instrument; `makers` make what fills them.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        numbers: Mapping[str, int],
        traded: Sequence[Instrument],
        rules: VenueRules,
        *,
        makers: Makers = MAKERS,
    ) -> None:
        self._by_stream: dict[int, Matching] = {}
        self._by_instrument: dict[int, Matching] = {}
        self.places: dict[int, int] = {}
        self._calls: MarginCalls | None = None
        for name, number in numbers.items():
            mine = [place for place, stream in enumerate(streams) if stream.instrument == name]
            place = min(mine, key=lambda place: _fineness(streams[place]))
            stream = streams[place]
            if isinstance(stream, Bars):
                self._by_stream[place] = makers.bars(stream, traded[number], rules, instrument=number)
            elif isinstance(stream, Trades):
                self._by_stream[place] = makers.trades(stream, traded[number], rules, instrument=number)
            elif isinstance(stream, Depth):
                self._by_stream[place] = self._book(streams, place, traded[number], rules, number)
            else:
                raise InvalidInput(
                    f"{name}: nothing fills its orders: add bars, trades or depth", field="streams", value=name
                )
            self._by_instrument[number], self.places[number] = self._by_stream[place], place

    def _book(
        self, streams: Sequence[Stream], place: int, traded: Instrument, rules: VenueRules, number: int
    ) -> BookVenue:
        """Return the venue on a book; trades of the same instrument move its queues."""
        stream, name = streams[place], streams[place].instrument
        assert isinstance(stream, Depth), "chosen for being a book"
        beside = next((at for at, each in enumerate(streams) if each.instrument == name and type(each) is Trades), None)
        if beside is None:
            return BookVenue(stream, traded, rules, instrument=number)
        trades = streams[beside]
        assert isinstance(trades, Trades), "chosen for being trades"
        venue = BookVenue(stream, traded, rules, instrument=number, trades=trades)
        self._by_stream[beside] = venue.on_trades
        return venue

    @property
    def venues(self) -> list[Matching]:
        """Return the venues, one a stream that fills orders."""
        return list(self._by_stream.values())

    @property
    def streams(self) -> list[int]:
        """Return the streams whose rows fill orders."""
        return sorted(self._by_stream)

    def attach(self, tape: Tape, on_fill: Callable[[OrderFilled], None]) -> None:
        """Write to `tape` from now on; `on_fill` hears every fill before the next thing happens."""
        for venue in self._by_stream.values():
            venue.attach(tape, on_fill)

    def accept(self, order: Order, row: int, cause: int, last: int, at: int) -> None:
        """Take a submitted order at time `at` (ns UTC), or reject it."""
        self._by_instrument[order.instrument].accept(order, row, cause, last, at)

    def cancel(self, order: Order, row: int, cause: int, reason: str, *, at: int) -> None:
        """Take an order off at time `at` (ns UTC), and what hangs on it."""
        self._by_instrument[order.instrument].cancel(order, row, cause, reason, at=at)

    def replace(self, order: Order, row: int, cause: int, quantity: int, terms: Terms, *, at: int) -> None:
        """Put an order on other terms at time `at` (ns UTC)."""
        self._by_instrument[order.instrument].replace(order, row, cause, quantity, terms, at=at)

    def meet(self, stream: int, index: int, row: int, cause: int) -> None:
        """Let row `index` of `stream` meet the orders of its instrument."""
        self._by_stream[stream].meet(index, row, cause)

    def next_touch(self, stream: int, index: int, stop: int) -> int:
        """Return the first of the rows index..stop-1 of `stream` that could touch an order, or `stop`."""
        venue = self._by_stream.get(stream)
        touch = stop if venue is None else venue.next_touch(index, stop)
        return touch if self._calls is None else self._calls.next_touch(stream, index, touch)

    def rearm(self) -> None:
        """Look at the orders again: they have changed."""
        for venue in self._by_stream.values():
            venue.rearm()
        if self._calls is not None:
            self._calls.rearm()

    def wake_for(self, calls: MarginCalls) -> None:
        """Let rows that may call margin be touches too."""
        self._calls = calls


def _fineness(stream: Stream) -> tuple[int, int]:
    if isinstance(stream, Bars):
        return 2, stream.interval_ns
    return {Depth: 0, Trades: 1}.get(type(stream), 3), 0
