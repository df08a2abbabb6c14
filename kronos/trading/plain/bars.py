"""What bars do to orders, written once more to be read: a bar is walked tick by tick.

Rule 1: at the open in the order of ids; then open, low, high, close or open, high, low, close, one tick after another.
Rule 2: who begins on the way from one of these prices to the next meets the price where it ends, then the way after it.
Rule 3: a trailing stop is measured from the best of: the last close when it was given, every extreme of the bars since,
        and the prices that the path went through while it was watched.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from kronos.trading.bars import Bars
from kronos.trading.events import OrderTriggered
from kronos.trading.orders import Order
from kronos.trading.plain.venue import PlainVenue, is_limit, is_stop, sign
from kronos.trading.terms import Terms

__all__ = ["PlainBarVenue"]

_ALL: Final = 2**62
"""Lots of a bar from which an order may take as much as it wants."""


class PlainBarVenue(PlainVenue):
    """Fills the orders of one instrument on its bars."""

    _stream: Bars

    def _would_take(self, order: Order, at: int, last: int) -> bool:
        return last > 0 and (last <= order.terms.limit if order.quantity > 0 else last >= order.terms.limit)

    def _queue(self, order: Order, terms: Terms, at: int) -> int:
        return 0

    def _place(self, order: Order, terms: Terms, at: int) -> tuple[int, int]:
        return 0, 0

    def _first_day(self, order: Order) -> int:
        """Return when an order came, or the first bar opened: one of midnight is for the day that begins."""
        return max(order.since, int(self._stream.open_time[0]))

    # -- a bar

    def meet(self, index: int, row: int, cause: int) -> None:
        """Let bar `index` meet the orders that were there when it opened."""
        bars, self._watched = self._stream, dict[int, list[int]]()
        self._begin(index, row, cause, int(bars.open_time[index]))
        orders = [order for order in self._orders() if order.since <= self._now]
        self._left = self._volume()
        self._expire(orders)
        self._open(orders, int(bars.open[index]))
        for start, end in pairwise(self._path()):
            if start != end and self._tape.state.orders:
                self._walk(orders, start, end)

    def _volume(self) -> int:
        if self._rules.volume_share is None:
            return _ALL
        units = int(self._stream.volume[self._index]) * self._stream.volume_step
        share = self._rules.volume_share
        numerator, denominator = (units / self._traded.lot).as_integer_ratio()
        return numerator * share.numerator // (denominator * share.denominator)

    def _path(self) -> list[int]:
        bars, at, rule = self._stream, self._index, self._rules.path
        opening, high, low, close = (int(column[at]) for column in (bars.open, bars.high, bars.low, bars.close))
        if rule == "nearest":
            rule = "high_first" if high - opening < opening - low else "low_first"
        return [opening, low, high, close] if rule == "low_first" else [opening, high, low, close]

    def _working(self, orders: list[Order]) -> list[Order]:
        return [order for order in orders if not order.held and self._is_there(order)]

    def _open(self, orders: list[Order], price: int) -> None:
        there, children = self._working(orders), [order for order in orders if order.held]
        for order in there:
            if not self._is_there(order):
                continue
            level = self._level(order)
            if level is None:
                self._take(order, price, "next_open")
            elif is_limit(order) and (price <= level if order.quantity > 0 else price >= level):
                self._give(order, price, "limit_at_open")
            elif is_stop(order) and (price >= level if order.quantity > 0 else price <= level):
                self._trigger(order, price, "stop_at_open")
        self._end_immediate(there)
        self._start(children, [price])

    def _walk(self, orders: list[Order], start: int, end: int) -> None:
        """Go from `start` to `end` tick by tick; each order that waits in this direction is touched once."""
        step = 1 if end > start else -1
        waiting: dict[int, tuple[Order, int]] = {}
        children = [order for order in orders if order.held]
        for order in self._working(orders):
            level = self._level(order, price=start)
            waits_above = (order.quantity > 0) is not is_limit(order)
            if level is not None and waits_above == (step > 0):
                waiting[order.id] = (order, level)
        for price in range(start, end + step, step):
            for order_id in sorted(waiting):
                order, level = waiting[order_id]
                if (price - level) * step < 0:
                    continue
                del waiting[order_id]
                if not self._is_there(order):
                    continue
                if is_limit(order):
                    self._give(order, price, "limit_in_bar", maker=True)
                else:
                    self._trigger(order, price, "stop_in_bar")
        for path in self._watched.values():
            path.append(end)
        self._start(children, list(range(start, end + step, step)))

    def _start(self, children: list[Order], way: list[int]) -> None:
        """Let `children` that began on the `way` meet its end; a limit pays the worst of the way that it allows."""
        for order in children:
            if order.held or not self._is_there(order):
                continue
            level = self._level(order, price=way[-1])
            if level is None:
                continue
            if is_limit(order):
                allowed = [price for price in way if (level - price) * sign(order) >= 0]
                if way[-1] in allowed:
                    self._give(order, max(allowed) if order.quantity > 0 else min(allowed), "limit_in_bar")
            elif (way[-1] - level) * sign(order) >= 0:
                self._trigger(order, way[-1], "stop_in_bar")

    # -- levels

    def _level(self, order: Order, *, price: int | None = None) -> int | None:
        """Return the price (ticks) that touches `order`, None for one that takes any; the path stands at `price`."""
        if is_limit(order):
            return order.terms.limit
        if not is_stop(order):
            return None
        if order.terms.kind != "trailing":
            return order.terms.stop
        path = self._watched.setdefault(order.id, [])
        path += [] if price is None else [price]
        seen = self._seen(order) + path
        return min(seen) + order.terms.trail if order.quantity > 0 else max(seen) - order.terms.trail

    def _seen(self, order: Order) -> list[int]:
        """Return the prices before this bar that a trailing stop has seen: lows for a buy, else highs."""
        bars, column = self._stream, self._stream.low if order.quantity > 0 else self._stream.high
        seen: list[int] = []
        for at in range(self._index - 1, -1, -1):
            if bars.open_time[at] + bars.interval_ns <= order.since:
                return [int(bars.close[at]), *seen]
            seen.append(int(column[at]))
        return [int(bars.open[self._index]), *seen[:-1]]

    # -- fills

    def _trigger(self, order: Order, price: int, assumption: str) -> None:
        self._tape.write(OrderTriggered, self._row, order.origin, (order.cause, self._market), order.id, "stop")
        if order.terms.kind != "stop_limit":
            self._take(order, price, assumption)
        elif (order.terms.limit - price) * sign(order) >= 0:
            self._give(order, price, assumption)

    def _take(self, order: Order, price: int, assumption: str) -> None:
        self._give(order, self._slipped(order, price), assumption)

    def _give(self, order: Order, price: int, assumption: str, *, maker: bool = False) -> None:
        self._left -= self._fill(order, self._left, price, assumption, maker=maker)
