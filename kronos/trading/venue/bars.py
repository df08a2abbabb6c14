"""The simulated venue on bars: what becomes of the orders that it has, bar by bar.

Rule 1: an order never meets the row that caused it, and a child never the segment of the path that filled its parent:
        it meets the price at which that segment ends, and the path from there.
Rule 2: at the open in the order of ids; inside the bar in the order in which the path touches their levels.
Rule 3: the assumption that filled an order is on its fill; a limit is never filled worse than its price.
Rule 4: what the venue keeps beside the orders (trailing extremes, wakes) follows from orders and bars: it is no state.
Rule 5: a bar meets the orders that were there when it opened: what comes while it is met is looked at when it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Final

from kronos.trading.bars import Bars
from kronos.trading.events import OrderFilled, OrderTriggered
from kronos.trading.instruments import Instrument
from kronos.trading.orders import Order
from kronos.trading.tape import Tape
from kronos.trading.terms import Terms
from kronos.trading.venue.answers import Answers, rests
from kronos.trading.venue.path import path_of
from kronos.trading.venue.rules import VenueRules
from kronos.trading.venue.wakes import Wakes, expiry_of

__all__ = ["BarVenue"]

NEXT_OPEN: Final = "next_open"
"""The whole order at the open of the first bar after its cause."""

_ANY: Final = 2**62


class BarVenue(Answers):
    """Answers for one instrument on its bars."""

    def __init__(self, bars: Bars, traded: Instrument, rules: VenueRules, *, instrument: int = 0) -> None:
        """Serve the orders of `instrument` (its number in the session)."""
        super().__init__(bars.open_time, Fraction(bars.volume_step), traded, rules, instrument=instrument)
        self._bars = bars
        self.wakes, self._is_meeting = Wakes(bars), False

    def attach(self, tape: Tape, on_fill: Callable[[OrderFilled], None]) -> None:
        """Write to `tape` from now on; `on_fill` hears every fill before the next thing happens."""
        self._is_meeting = False
        super().attach(tape, on_fill)

    def rearm(self) -> None:
        """Look at the orders again, unless nothing was written since, or a bar is being met."""
        if not self._is_meeting:
            super().rearm()

    def _look(self) -> None:
        """Find which bars could touch the orders."""
        self.wakes.rearm(self._orders)

    def next_touch(self, index: int, stop: int) -> int:
        """Return the first of the bars index..stop-1 that could touch an order, or `stop`."""
        return self.wakes.search(index, stop)

    # -- what an order meets: a bar has no queue, and an order there keeps its place

    def _crosses(self, order: Order, at: int, last: int) -> bool:
        return bool(last) and (order.terms.limit - last) * order.quantity >= 0

    def _ahead_at(self, order: Order, terms: Terms, at: int) -> int:
        return 0

    def _place(self, order: Order, terms: Terms, at: int) -> tuple[int, int]:
        return 0, 0

    def _expiry(self, order: Order) -> int:
        return expiry_of(order, self._bars)

    # -- a bar

    def meet(self, index: int, row: int, cause: int) -> None:
        """Let bar `index` meet the orders that were there when it opened; `cause` is its own position."""
        bars = self._bars
        self._stand(index, row, cause)
        self._is_meeting, self._left = True, self._offered()
        there = [order for order in self._orders if order.since <= self._now]
        if len(there) < len(self._orders):
            self._orders, self._armed = there, -1
        if self.wakes.expiry <= self._now:
            self._expire()
        opening = bars.open.item(index)
        self._open(opening)
        if self._tape.state.orders:
            high, low, close = (column.item(index) for column in (bars.high, bars.low, bars.close))
            for start, end in pairwise(path_of(opening, high, low, close, rule=self._rules.path)):
                if start != end and self._tape.state.orders:
                    self._segment(start, end)
        self._is_meeting = False
        self.rearm()

    def _offered(self) -> int:
        """Return the lots that our orders may take of a bar."""
        share = self._rules.volume_share
        return _ANY if share is None else int(int(self._bars.volume[self._index]) * self._lots_a_step * share)

    def _working(self) -> list[Order]:
        return [order for order in self._orders if not order.held and self._is_there(order)]

    def _held(self) -> list[Order]:
        return [order for order in self._orders if order.held]

    def _open(self, price: int) -> None:
        there, held = self._working(), self._held()
        for order in there:
            if not self._is_there(order):
                continue  # a fill before it has ended it
            level = self.wakes.level(order, self._index)
            buys = order.quantity > 0
            if level is None:
                self._take(order, price, NEXT_OPEN)
            elif rests(order):
                if price <= level if buys else price >= level:
                    self._give(order, price, "limit_at_open")
            elif price >= level if buys else price <= level:
                self._trigger(order, price, "stop_at_open")
        self._end_immediate(there)
        self._begin(held, price, price)

    def _segment(self, start: int, end: int) -> None:
        """Let the prices from `start` (not again) to `end` touch what rests."""
        up, held = end > start, self._held()
        touched = sorted(self._touched(start, end), key=lambda each: (each[0] if up else -each[0], each[1].id))
        for level, order in touched:
            if not self._is_there(order):
                continue
            if rests(order):
                self._give(order, level, "limit_in_bar", maker=True)
            else:
                self._trigger(order, level, "stop_in_bar")
        self.wakes.follow(end)
        self._begin(held, start, end)

    def _begin(self, held: list[Order], start: int, price: int) -> None:
        """Let those of `held` that began on the way from `start` to `price` meet it.

        A stop that was run through fires there, the worst that can be meant; a limit fills at its own price, or at the
        worst that was there.
        """
        low, high = min(start, price), max(start, price)
        for order in held:
            if order.held or not self._is_there(order):
                continue
            level = self.wakes.level(order, self._index, price=price)
            buys = order.quantity > 0
            if level is None or (price > level if buys == rests(order) else price < level):
                continue
            if rests(order):
                self._give(order, min(level, high) if buys else max(level, low), "limit_in_bar")
            else:
                self._trigger(order, price, "stop_in_bar")

    def _touched(self, start: int, end: int) -> Iterator[tuple[int, Order]]:
        up = end > start
        for order in self._working():
            level = self.wakes.level(order, self._index, price=start)
            if level is None:
                continue
            waits_above = (order.quantity > 0) != rests(order)
            if waits_above == up and (level <= end if up else level >= end):
                yield (max(level, start) if up else min(level, start)), order

    # -- fills

    def _trigger(self, order: Order, price: int, assumption: str) -> None:
        self._tape.write(OrderTriggered, self._row, order.origin, (order.cause, self._market), order.id, "stop")
        if order.terms.kind != "stop_limit":
            self._take(order, price, assumption)
        elif (order.terms.limit - price) * order.quantity >= 0:
            self._give(order, price, assumption)

    def _take(self, order: Order, price: int, assumption: str) -> None:
        self._give(order, self._slipped(order, price), assumption)

    def _give(self, order: Order, price: int, assumption: str, *, maker: bool = False) -> None:
        """Fill an order with what is left of the bar's volume."""
        if self._suffices(order, self._left):
            self._left -= self._fill(order, self._left, price, assumption, maker=maker)
