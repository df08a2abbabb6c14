"""The simulated venue on a book: takers walk its levels, makers wait in the queue of theirs.

Rule 1: an order takes from the book as it stood when it came; the fill is known with the feed's next row.  What comes
        because of a fill looks at a book of its own: the one that is met stays where it stands.
Rule 2: what was taken is gone for the next order, until the feed sets the level again.
Rule 3: who rests fills at its own price: when the other side comes to it, when a trade passes it, or when what stood
        before it has been traded or, as the queue's rule has it, cancelled.
Rule 4: a stop is met by its own side of the book: a buy by a bid at its stop, a sell by an ask; one that trails is
        measured from the best of that side since it came (`trailing`).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from kronos.trading.columns import Int64s
from kronos.trading.events import LevelsTaken, OrderFilled, OrderTriggered
from kronos.trading.instruments import Instrument
from kronos.trading.orders import Order
from kronos.trading.streams import ASK, BID, Depth, Trades
from kronos.trading.tape import Tape
from kronos.trading.terms import Terms
from kronos.trading.venue.answers import Answers, exchange_times, rests, waits
from kronos.trading.venue.rules import VenueRules

if TYPE_CHECKING:
    from kronos.trading.fast.ladder import Ladder
    from kronos.trading.venue.trailing import Trails

__all__ = ["BookTrades", "BookVenue"]

LEVELS_MAX: Final = 1_000
"""Levels that one order may walk at once."""

LEVELS_FIRST: Final = 16
"""Levels that are looked at first: most orders want no more."""

_FAR: Final = 2**62
_NONE: Final = np.zeros(0, dtype=np.int64)


class BookVenue(Answers):
    """Answers for one instrument on its book; with `trades`, those too move the queues (`on_trades`)."""

    def __init__(
        self, depth: Depth, traded: Instrument, rules: VenueRules, *, instrument: int = 0, trades: Trades | None = None
    ) -> None:
        """Serve the orders of `instrument`; raise `InvalidInput` for a book whose prices span too many ticks."""
        super().__init__(depth.time, Fraction(depth.volume_step), traded, rules, instrument=instrument)
        from kronos.trading.fast import ladder, queues

        self._depth, self._trades, self._kernels = depth, trades, queues
        self._ladder, self._aside, self._is_meeting = ladder.Ladder(depth), ladder.Ladder(depth), False
        self._trade_time = exchange_times(trades.time) if trades is not None else _NONE
        self._places: dict[int, tuple[int, Int64s]] = {}
        self._trails: Trails | None = None
        self.on_trades = BookTrades(self)

    def _look(self) -> None:
        """Forget the orders that are gone."""
        for order_id in [each for each in self._places if each not in self._tape.state.orders]:
            del self._places[order_id]
        if self._trails is not None:
            self._trails.forget(self._tape.state.orders)

    # -- the book as orders find it

    def attach(self, tape: Tape, on_fill: Callable[[OrderFilled], None]) -> None:
        """Write to `tape` from now on; `on_fill` hears every fill before the next thing happens."""
        self._is_meeting = False
        super().attach(tape, on_fill)

    def _book_at(self, at: int) -> Ladder:
        """Return the book as it was at time `at`."""
        ladder = self._aside if self._is_meeting else self._ladder
        ladder.advance(int(np.searchsorted(self._time, at, side="right")))
        return ladder

    def _crosses(self, order: Order, at: int, last: int) -> bool:
        book = self._book_at(at)
        best = book.ask if order.quantity > 0 else book.bid
        return best is not None and (order.terms.limit - best[0]) * order.quantity >= 0

    def _ahead_at(self, order: Order, terms: Terms, at: int) -> int:
        """Return the quantity that stands at an order's price, ours of before included."""
        if not terms.limit:
            return 0
        side = BID if order.quantity > 0 else ASK
        return self._book_at(at).quantity(side, terms.limit) + self._own_ahead(order, terms.limit)

    def _offers(self, order: Order, limit: int | None) -> list[tuple[int, int]]:
        """Return (price, lots) that are there for an order, best first, down to `limit`: all that it can want."""
        side = ASK if order.quantity > 0 else BID
        wanted = _FAR if order.terms.reduce_only else abs(order.left)  # one that only reduces ends when it has
        found = self._levels(side, limit, LEVELS_FIRST, wanted)
        if sum(lots for _, lots in found) >= wanted:
            return found
        return self._levels(side, limit, LEVELS_MAX, wanted)

    def _levels(self, side: int, limit: int | None, count: int, wanted: int) -> list[tuple[int, int]]:
        taken: dict[int, int] = {}
        for taken_side, price, lots, row in self._tape.state.taken.get(self._instrument, ()):
            if taken_side == side and self._ladder.set_at(price) <= row:
                taken[price] = taken.get(price, 0) + lots
        found, up, down = list[tuple[int, int]](), self._lots_a_step.numerator, self._lots_a_step.denominator
        for price, quantity in self._ladder.levels(side, count, limit):
            lots = quantity * up // down - taken.get(price, 0)
            if lots > 0:
                found.append((price, lots))
                wanted -= lots
                if wanted <= 0:
                    break
        return found

    def _took(self, fresh: list[tuple[int, int, int, int]]) -> None:
        """Write down what is gone: what is still gone of before, and what we took now."""
        before = self._tape.state.taken.get(self._instrument, ())
        kept = [level for level in before if self._ladder.set_at(level[1]) <= level[3]]
        levels = (*kept, *fresh)
        self._tape.write(LevelsTaken, self._row, 0, (self._market,), self._instrument, levels)

    # -- wakes

    def next_touch(self, index: int, stop: int) -> int:
        """Return the first of the rows index..stop-1 that could touch an order, or `stop`."""
        if not self._orders or index >= stop:
            return stop
        stop = self._next_expiry(index, stop)
        low, high = -_FAR, _FAR
        for order in self._orders:
            if order.held:
                continue
            first = self._first(order)
            if index <= first or not (rests(order) or waits(order)):
                stop = min(stop, max(index, first))
            elif waits(order) and order.terms.kind == "trailing":
                stop = self._trailing().next_turn(order, first, index, stop)
            elif waits(order) == (order.quantity > 0):  # a sell at its limit and a buy at its stop wait for bids
                high = min(high, order.terms.stop if waits(order) else order.terms.limit)
            else:
                low = max(low, order.terms.stop if waits(order) else order.terms.limit)
        if index >= stop or (low == -_FAR and high == _FAR):
            return stop
        rows = self._depth
        return int(self._kernels.next_touch_depth(rows.side, rows.price, rows.quantity, index, stop, low, high))

    # -- a depth row

    def meet(self, index: int, row: int, cause: int) -> None:
        """Let depth row `index` meet the orders that came before it; `cause` is its position."""
        self._stand(index, row, cause)
        self._is_meeting = True
        self._expire()
        there = [order for order in self._orders if not order.held and self._first(order) <= index]
        self._ladder.advance(index)
        for order in there:
            if self._is_there(order) and not waits(order):
                if not rests(order):
                    self._walk(order, "book_walk")
                elif index == self._first(order):
                    self._walk(order, "limit_at_book")
        self._end_immediate(there)
        self._ladder.advance(index + 1)
        for order in there:
            if self._is_there(order):
                if waits(order):
                    self._trigger(order)
                elif rests(order):
                    self._come_to(order)
        self._is_meeting = False
        self.rearm()

    def _walk(self, order: Order, assumption: str) -> None:
        """Let an order take what it finds, level by level."""
        side = ASK if order.quantity > 0 else BID
        offers = self._offers(order, order.terms.limit or None)
        if not self._suffices(order, sum(lots for _, lots in offers)):
            return
        fresh = []
        for price, lots in offers:
            if not self._is_there(order):
                break
            if self._rules.prevents_self_trade and self._own_at(order, price):
                self.cancel(order, self._row, self._market, "self_trade")
                break
            filled = self._fill(order, lots, self._slipped(order, price), assumption)
            if filled:
                fresh.append((side, price, filled, self._ladder.row))
        if fresh:
            self._took(fresh)

    def _own_at(self, order: Order, price: int) -> bool:
        """Return whether an older order of the same account rests where a taker would trade at `price`."""
        owners = self._tape.state.owners
        return any(
            rests(other)
            and not other.held
            and other.id < order.id
            and other.quantity * order.quantity < 0
            and owners[other.origin] == owners[order.origin]
            and (price - other.terms.limit) * order.quantity >= 0
            for other in self._orders
            if self._is_there(other)
        )

    def _trailing(self) -> Trails:
        if self._trails is None:
            from kronos.trading.venue.trailing import Trails

            self._trails = Trails(self._depth)
        return self._trails

    def _is_met(self, order: Order) -> bool:
        if order.terms.kind == "trailing":
            return self._trailing().is_met(order, self._first(order), self._index)
        best = self._ladder.bid if order.quantity > 0 else self._ladder.ask
        return best is not None and (best[0] - order.terms.stop) * order.quantity >= 0

    def _trigger(self, order: Order) -> None:
        if self._is_met(order):
            ahead = self._ahead_at(order, order.terms, self._now)
            causes = (order.cause, self._market)
            self._tape.write(OrderTriggered, self._row, order.origin, causes, order.id, "stop", self._now, ahead)

    def _come_to(self, order: Order) -> None:
        """Fill an order that rests with what the other side brings to its price."""
        side = ASK if order.quantity > 0 else BID
        fresh = []
        for price, lots in self._offers(order, order.terms.limit):
            if not self._is_there(order):
                break
            filled = self._fill(order, lots, order.terms.limit, "book_through", maker=True)
            if filled:
                fresh.append((side, price, filled, self._ladder.row))
        if fresh:
            self._took(fresh)

    # -- a trade

    def meet_trade(self, index: int, row: int, cause: int) -> None:
        """Let a trade meet those who rest: passed ones first, then those whose queue it has consumed."""
        trades = self._trades
        assert trades is not None, "there is a stream of trades"
        self._row, self._market, self._now = row, cause, int(self._trade_time[index])
        price, side = int(trades.price[index]), int(trades.side[index])
        whole = left = int(int(trades.quantity[index]) * self._lots_a_step * (self._rules.volume_share or 1))
        there = [order for order in self._orders if rests(order) and not order.held and order.since < self._now]
        queues = {order.id: self._ahead(order, index) for order in there}
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
        self.rearm()

    def _ahead(self, order: Order, trade: int) -> int:
        """Return the quantity still before an order when trade `trade` happens."""
        trades, depth = self._trades, self._depth
        assert trades is not None, "there is a stream of trades"
        since, place = self._places.get(order.id, (-1, _NONE))
        sign = 1 if order.quantity > 0 else -1
        if since != order.since or int(place[1]) > trade:
            first = int(np.searchsorted(self._trade_time, order.since, side="right"))
            standing = order.ahead  # as good as known: what stood there, and ours
            place = np.array([self._first(order), first, order.ahead, standing, 0], dtype=np.int64)
            self._places[order.id] = (order.since, place)
        until = int(np.searchsorted(self._time, self._trade_time[trade], side="left"))
        self._kernels.fold_book_queue(
            self._time, depth.side, depth.price, depth.quantity, self._trade_time, trades.side, trades.price,
            trades.quantity, place, until, trade, order.terms.limit, sign, self._rules.queue == "probable",
            self._rules.seed, order.id,
        )  # fmt: skip
        return int(place[2])

    def next_trade(self, index: int, stop: int) -> int:
        """Return the first of the trades index..stop-1 at or beyond the price of an order that rests, or `stop`."""
        low, high = -_FAR, _FAR
        for order in self._orders:
            if rests(order) and not order.held:
                if order.quantity > 0:
                    low = max(low, order.terms.limit)
                else:
                    high = min(high, order.terms.limit)
        if self._trades is None or index >= stop or (low == -_FAR and high == _FAR):
            return stop
        from kronos.trading.fast.trades import next_touch_trades

        return int(next_touch_trades(self._trades.price, index, stop, low, high))


class BookTrades:
    """The trades of a book's instrument, which move its queues: the same venue, met by its other stream."""

    def __init__(self, venue: BookVenue) -> None:
        """Meet the orders of `venue`."""
        self.meet, self.next_touch = venue.meet_trade, venue.next_trade
        self.attach, self.rearm = venue.attach, venue.rearm
        self.accept, self.cancel, self.replace = venue.accept, venue.cancel, venue.replace
