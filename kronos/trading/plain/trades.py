"""What trades do to orders, written once more to be read: each queue is counted again from the first trade on.

Rule 1: an order meets the trades that happened after it came, one by one; who takes pays the trade's price, slipped.
Rule 2: who rests waits behind what was last traded at its price and our own orders there; a trade beyond it passes all.
Rule 3: one trade is the liquidity of all our orders together: better prices first, then who waits shorter.
"""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from math import ceil

from kronos.trading.events import OrderTriggered
from kronos.trading.instruments import Instrument
from kronos.trading.orders import Order
from kronos.trading.plain.venue import PlainVenue, is_limit, is_stop, sign
from kronos.trading.streams import Trades
from kronos.trading.terms import Terms
from kronos.trading.venue.rules import VenueRules

__all__ = ["PlainTradeVenue"]


class PlainTradeVenue(PlainVenue):
    """Fills the orders of one instrument on its trades."""

    _stream: Trades

    def __init__(self, trades: Trades, traded: Instrument, rules: VenueRules, *, instrument: int = 0) -> None:
        """Know when each trade happened: a late one happens when the one before it did."""
        super().__init__(trades, traded, rules, instrument=instrument)
        latest, self._times = 0, list[int]()
        for time in trades.time.tolist():
            latest = max(latest, time)
            self._times.append(latest)

    def _last(self, at: int) -> int:
        """Return the last trade that happened until `at`, -1 before the first."""
        return bisect_right(self._times, at) - 1

    def _lots(self, steps: Fraction | int) -> Fraction:
        return steps * Fraction(self._stream.volume_step) / Fraction(self._traded.lot)

    # -- what an order finds

    def _would_take(self, order: Order, at: int, last: int) -> bool:
        """Return whether the last trade says so: it was better than the limit, or at it with the same aggressor."""
        before = self._last(at)
        if before < 0:
            return False
        better = (order.terms.limit - int(self._stream.price[before])) * sign(order)
        return better > 0 or (better == 0 and int(self._stream.side[before]) == sign(order))

    def _queue(self, order: Order, terms: Terms, at: int) -> int:
        """Return the quantity (steps) that stands before an order which comes to its price at time `at`."""
        if not terms.limit:
            return 0
        queue = 0
        for time, price, quantity in zip(self._times, self._stream.price, self._stream.quantity, strict=True):
            if time <= at and price == terms.limit:
                queue = int(quantity)
        own = [
            abs(other.left)
            for other in self._orders()
            if other is not order and not other.held and other.terms.limit == terms.limit and sign(other) == sign(order)
        ]
        return queue + ceil(sum(own) / self._lots(1))

    def _ahead(self, order: Order) -> int:
        """Return what is left of its queue before this trade, counted from the first trade after it came."""
        ahead, rows = order.ahead, self._stream
        for row, time in enumerate(self._times[: self._index]):
            beyond = (order.terms.limit - int(rows.price[row])) * sign(order)
            if time <= order.since or beyond < 0:
                continue
            if beyond > 0:
                return 0
            if int(rows.side[row]) != sign(order):
                ahead = max(0, ahead - int(rows.quantity[row]))
        return ahead

    # -- a trade

    def meet(self, index: int, row: int, cause: int) -> None:
        """Let trade `index` meet the orders that were there before it happened."""
        self._begin(index, row, cause, self._times[index])
        orders = self._orders()
        self._expire(orders)
        there = [each for each in orders if not each.held and each.since < self._now and self._is_there(each)]
        queues = {order.id: self._ahead(order) for order in there if is_limit(order)}
        self._left = self._share()
        for order in there:
            if self._is_there(order):
                self._take(order)
        price = int(self._stream.price[index])
        for order in sorted(there, key=lambda each: (-abs(each.terms.limit - price), queues.get(each.id, 0), each.id)):
            if order.id in queues and self._is_there(order):
                self._rest(order, queues[order.id])
        self._end_immediate(there)

    def _share(self) -> int:
        """Return the lots of this trade that are ours to have."""
        share = 1 if self._rules.volume_share is None else self._rules.volume_share
        return int(self._lots(int(self._stream.quantity[self._index])) * share)

    def _take(self, order: Order) -> None:
        price, assumption = int(self._stream.price[self._index]), "next_trade"
        if is_stop(order):
            if not self._is_met(order, price):
                return
            queue = self._queue(order, order.terms, self._now)
            causes = (order.cause, self._market)
            self._tape.write(OrderTriggered, self._row, order.origin, causes, order.id, "stop", self._now, queue)
            assumption = "stop_on_trade"
        elif is_limit(order):
            if self._index != self._last(order.since) + 1 or not self._would_take(order, order.since, 0):
                return
            assumption = "limit_at_trade"
        if order.terms.limit and (order.terms.limit - price) * sign(order) < 0:
            return
        self._left -= self._fill(order, self._left, self._slipped(order, price), assumption)

    def _is_met(self, order: Order, price: int) -> bool:
        """Return whether a trade at `price` meets a stop, or one that trails from the best price since it came."""
        if order.terms.kind != "trailing":
            return (price - order.terms.stop) * sign(order) >= 0
        since = max(self._last(order.since), 0)
        seen: list[int] = self._stream.price[since : max(self._index, since + 1)].tolist()
        best = min(seen) if order.quantity > 0 else max(seen)
        return (price - best) * sign(order) >= order.terms.trail

    def _rest(self, order: Order, queue: int) -> None:
        price, side = int(self._stream.price[self._index]), int(self._stream.side[self._index])
        beyond = (order.terms.limit - price) * sign(order)
        if beyond > 0:
            self._left -= self._fill(order, self._left, order.terms.limit, "trade_through", maker=True)
        elif beyond == 0 and side != sign(order):
            behind = self._share() - ceil(self._lots(queue))
            self._left -= self._fill(order, min(self._left, behind), order.terms.limit, "queue_consumed", maker=True)
