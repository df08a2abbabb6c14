"""The simulated venue on trades: orders take from the trades that happen, or wait in the queue of their price.

Rule 1: who takes pays the trade's price, worse by the slippage, its limit protected.
Rule 2: who rests fills at its own price: when a trade passes it, or when what stood before it has been traded.
Rule 3: one trade is the liquidity of all our orders together: better prices first, then who waits shorter in the queue.
Rule 4: what was last traded at a price, and what has been traded before an order since it came, follow from the trades;
        only `Order.ahead` is state.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from kronos.trading.columns import Int64s
from kronos.trading.events import OrderTriggered
from kronos.trading.instruments import Instrument
from kronos.trading.orders import Order
from kronos.trading.streams import Trades
from kronos.trading.terms import Terms
from kronos.trading.venue.answers import Answers, rests, waits
from kronos.trading.venue.rules import VenueRules

__all__ = ["TradeVenue"]

_FAR = 2**62


class TradeVenue(Answers):
    """Answers for one instrument on its trades."""

    def __init__(self, trades: Trades, traded: Instrument, rules: VenueRules, *, instrument: int = 0) -> None:
        """Serve the orders of `instrument` (its number in the session)."""
        super().__init__(trades.time, Fraction(trades.volume_step), traded, rules, instrument=instrument)
        from kronos.trading.fast import trades as kernels

        self._trades, self._kernels = trades, kernels
        self._queues: dict[int, tuple[int, int, int]] = {}
        self._extremes: dict[int, tuple[int, int, int]] = {}
        self._ranges: tuple[Int64s, Int64s] | None = None

    def _look(self) -> None:
        """Forget the orders that are gone."""
        there = self._tape.state.orders
        for kept in (self._queues, self._extremes):
            for order_id in [each for each in kept if each not in there]:
                del kept[order_id]

    # -- what an order meets

    def _crosses(self, order: Order, at: int, last: int) -> bool:
        """Return whether the last trade before `at` says that a limit order would take."""
        last = int(np.searchsorted(self._time, at, side="right")) - 1
        if last < 0:
            return False
        sign = 1 if order.quantity > 0 else -1
        better = (order.terms.limit - int(self._trades.price[last])) * sign
        return better > 0 or (better == 0 and int(self._trades.side[last]) == sign)

    def _ahead_at(self, order: Order, terms: Terms, at: int) -> int:
        """Return the quantity before an order: what was last traded at its price, and our own orders there."""
        if not terms.limit:
            return 0
        if self._ranges is None:
            self._ranges = self._kernels.block_ranges(self._trades.price)
        before = int(np.searchsorted(self._time, at, side="right"))
        last = int(self._kernels.last_at(self._trades.price, *self._ranges, before, terms.limit))
        return (int(self._trades.quantity[last]) if last >= 0 else 0) + self._own_ahead(order, terms.limit)

    def _ahead(self, order: Order, index: int) -> int:
        """Return the quantity still before an order when row `index` happens."""
        since, done, ahead = self._queues.get(order.id, (-1, 0, 0))
        if since != order.since or done > index:
            done, ahead = self._first(order), order.ahead
        if ahead and done < index:
            rows, sign = self._trades, 1 if order.quantity > 0 else -1
            ahead = int(
                self._kernels.fold_queue(
                    rows.price, rows.quantity, rows.side, done, index, order.terms.limit, sign, ahead
                )
            )
        self._queues[order.id] = (order.since, max(done, index), ahead)
        return ahead

    def _extreme(self, order: Order, index: int) -> int:
        """Return the price that a trailing stop is measured from when row `index` happens."""
        since, done, extreme = self._extremes.get(order.id, (-1, 0, 0))
        if since != order.since or done > index:  # changed at the venue, it is measured anew
            done = max(self._first(order) - 1, 0)
            extreme = int(self._trades.price[done])
        if done < index:
            seen = self._trades.price[done:index]
            extreme = min(extreme, int(seen.min())) if order.quantity > 0 else max(extreme, int(seen.max()))
        self._extremes[order.id] = (order.since, max(done, index), extreme)
        return extreme

    # -- wakes

    def next_touch(self, index: int, stop: int) -> int:
        """Return the first of the rows index..stop-1 that could touch an order, or `stop`."""
        if not self._orders or index >= stop:
            return stop
        stop = self._next_expiry(index, stop)
        resting = []
        for order in self._orders:
            if order.held:
                continue
            if rests(order):
                resting.append(order)
                first = self._first(order)
                if index <= first:
                    stop = min(stop, first)  # what it takes when it comes, it takes from its first trade
            elif waits(order):
                stop = self._next_stop(order, index, stop)
            else:
                stop = min(stop, max(index, self._first(order)))
        return self._next_fill(resting, index, stop) if resting and index < stop else stop

    def _next_fill(self, resting: list[Order], index: int, stop: int) -> int:
        signs = np.array([1 if order.quantity > 0 else -1 for order in resting], dtype=np.int64)
        levels = np.array([order.terms.limit for order in resting], dtype=np.int64)
        ahead = np.array([self._ahead(order, index) for order in resting], dtype=np.int64)
        rows = self._trades
        return int(
            self._kernels.advance_trades(rows.price, rows.quantity, rows.side, index, stop, levels, signs, ahead)
        )

    def _next_stop(self, order: Order, index: int, stop: int) -> int:
        start, sign = max(index, self._first(order)), 1 if order.quantity > 0 else -1
        if start >= stop:
            return stop
        if order.terms.kind == "trailing":
            extreme = self._extreme(order, start)
            return int(self._kernels.next_trail(self._trades.price, start, stop, extreme, order.terms.trail, sign))
        low, high = (-_FAR, order.terms.stop) if sign > 0 else (order.terms.stop, _FAR)
        return int(self._kernels.next_touch_trades(self._trades.price, start, stop, low, high))

    # -- a trade

    def meet(self, index: int, row: int, cause: int) -> None:
        """Let trade `index` meet the orders that were there before it; `cause` is its position."""
        self._stand(index, row, cause)
        self._expire()
        there = [order for order in self._orders if not order.held and self._first(order) <= index]
        there = [order for order in there if self._is_there(order)]
        queues = {order.id: self._ahead(order, index) for order in there if rests(order)}
        left = self._take(there)
        self._rest([order for order in there if order.id in queues], queues, left)
        self._end_immediate(there)
        self.rearm()

    def _offered(self) -> int:
        """Return the lots of the trade that our orders may take."""
        share = self._rules.volume_share or 1
        return int(int(self._trades.quantity[self._index]) * self._lots_a_step * share)

    def _take(self, there: list[Order]) -> int:
        """Let those who take do so, in the order of ids; return the lots that they left."""
        left, price = self._offered(), int(self._trades.price[self._index])
        for order in there:
            assumption = self._reason_to_take(order, price) if self._is_there(order) else ""
            if (
                assumption
                and self._suffices(order, left)
                and (not order.terms.limit or (order.terms.limit - price) * order.quantity >= 0)
            ):
                left -= self._fill(order, left, self._slipped(order, price), assumption)
        return left

    def _reason_to_take(self, order: Order, price: int) -> str:
        """Return why an order takes from this trade, "" when it does not; a stop that is met is triggered."""
        if waits(order):
            if not self._is_triggered(order, price):
                return ""
            causes, ahead = (order.cause, self._market), self._ahead_at(order, order.terms, self._now)
            self._tape.write(OrderTriggered, self._row, order.origin, causes, order.id, "stop", self._now, ahead)
            return "stop_on_trade"
        if not rests(order):
            return "next_trade"
        takes = self._index == self._first(order) and self._crosses(order, order.since, 0)
        return "limit_at_trade" if takes else ""

    def _is_triggered(self, order: Order, price: int) -> bool:
        sign = 1 if order.quantity > 0 else -1
        if order.terms.kind == "trailing":
            return (price - self._extreme(order, self._index)) * sign >= order.terms.trail
        return (price - order.terms.stop) * sign >= 0

    def _rest(self, there: list[Order], queues: dict[int, int], left: int) -> None:
        """Fill those who rest: passed ones first, then those whose queue this trade has consumed."""
        price, side = int(self._trades.price[self._index]), int(self._trades.side[self._index])
        whole = self._offered()
        there.sort(key=lambda order: (-abs(order.terms.limit - price), queues[order.id]))
        for order in there:
            sign = 1 if order.quantity > 0 else -1
            beyond = (order.terms.limit - price) * sign
            if not self._is_there(order) or beyond < 0 or (beyond == 0 and side == sign):
                continue
            offered, assumption = left, "trade_through"
            if beyond == 0:
                queue = -int(-queues[order.id] * self._lots_a_step // 1)
                offered, assumption = min(left, whole - queue), "queue_consumed"
            if self._suffices(order, offered):
                left -= self._fill(order, offered, order.terms.limit, assumption, maker=True)
