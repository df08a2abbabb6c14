"""The simulated venue on bars: what becomes of the orders that it has, bar by bar.

Rule 1: an order never meets the row that caused it, and a child never the segment of the path that filled its parent.
Rule 2: at the open in the order of ids; inside the bar in the order in which the path touches their levels.
Rule 3: the assumption that filled an order is on its fill; a limit is never filled worse than its price.
Rule 4: what the venue keeps beside the orders (trailing extremes, wakes) follows from orders and bars: it is no state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Final

import msgspec

from kronos.trading.bars import Bars
from kronos.trading.events import (
    OrderAccepted,
    OrderAdjusted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
)
from kronos.trading.instruments import Instrument
from kronos.trading.orders import Order, Phase
from kronos.trading.positions import cause_id
from kronos.trading.tape import Tape
from kronos.trading.terms import Terms
from kronos.trading.venue.path import path_of
from kronos.trading.venue.wakes import Wakes, expiry_of

__all__ = ["BarVenue", "Fees", "VenueRules"]

Fees = Callable[[int], int]
Filled = Callable[[OrderFilled], None]

NEXT_OPEN: Final = "next_open"
"""The whole order at the open of the first bar after its cause."""

_WORKING: Final = frozenset({Phase.ACCEPTED, Phase.PARTIALLY_FILLED})


class VenueRules(msgspec.Struct, frozen=True, kw_only=True):
    """How rows fill orders: `path` of a bar, `slippage` of market and stop fills, and the share of a bar's volume that
    our orders may take (None: any; of a trade never more than the trade).

    On trades and books: `slippage_ticks` more, the `queue` at a price (`averse`: what stood there is before us and only
    trades take it; `probable`: what is cancelled there is taken from before us in proportion, remainders by `seed`),
    and whether the younger of two orders of one account that would meet is cancelled.
    """

    path: str = "nearest"
    slippage: Fraction = Fraction(0)
    volume_share: Fraction | None = None
    slippage_ticks: int = 0
    queue: str = "averse"
    seed: int = 0
    prevents_self_trade: bool = True


class BarVenue:
    """Answers for one instrument on its bars; `on_fill` hears every fill before the next thing happens."""

    def __init__(self, bars: Bars, traded: Instrument, rules: VenueRules, *, instrument: int = 0) -> None:
        """Serve the orders of `instrument` (its number in the session) on its bars."""
        self._bars, self._traded, self._rules, self._instrument = bars, traded, rules, instrument
        self._volume_unit = Fraction(bars.volume_step) / Fraction(traded.lot)
        self.wakes = Wakes(bars)

    def attach(self, tape: Tape, on_fill: Filled) -> None:
        """Write to `tape` from now on."""
        self._tape, self._on_fill = tape, on_fill
        self.rearm()

    def rearm(self) -> None:
        """Look at the orders again: which bars could touch them."""
        self.wakes.rearm(self._mine())

    def next_touch(self, index: int, stop: int) -> int:
        """Return the first of the bars index..stop-1 that could touch an order, or `stop`."""
        return self.wakes.search(index, stop)

    def _mine(self) -> list[Order]:
        orders = self._tape.state.orders.values()
        return [order for order in orders if order.instrument == self._instrument and order.phase in _WORKING]

    # -- answers

    def accept(self, order: Order, row: int, cause: int, last: int, at: int) -> None:
        """Take a submitted order at time `at`, or reject one that must not take liquidity and would at `last`."""
        terms = order.terms
        if terms.post_only and last and (terms.limit >= last if order.quantity > 0 else terms.limit <= last):
            self._tape.write(OrderRejected, row, order.origin, (cause,), order.id, "post_only_would_cross")
            self._ended(order, row, cause)
        else:
            self._tape.write(OrderAccepted, row, order.origin, (cause,), order.id, at)

    def cancel(self, order: Order, row: int, cause: int, reason: str) -> None:
        """Take an order off, and what hangs on it."""
        self._tape.write(OrderCancelled, row, order.origin, (cause,), order.id, reason)
        self._ended(order, row, cause)

    def replace(self, order: Order, row: int, cause: int, quantity: int, terms: Terms, *, at: int) -> None:
        """Put an order on other terms; on bars it keeps its place."""
        self._tape.write(OrderReplaced, row, order.origin, (cause,), order.id, quantity, terms)

    # -- a bar

    def meet(self, index: int, row: int, cause: int) -> None:
        """Let bar `index` meet the orders that were there when it opened; `cause` is its own position."""
        bars = self._bars
        self._index, self._cause, self._opens = index, cause, int(bars.open_time[index])
        opening, high, low, close = (int(column[index]) for column in (bars.open, bars.high, bars.low, bars.close))
        self._volume = self._offered(index)
        if self.wakes.expiry <= self._opens:
            self._expire(row)
        self._open(row, opening)
        points = path_of(opening, high, low, close, rule=self._rules.path)
        for start, end in pairwise(points):
            if start != end and self._tape.state.orders:
                self._segment(row, start, end)
        self.rearm()

    def _offered(self, index: int) -> int | None:
        """Return the lots that our orders may take of a bar, None for any."""
        if self._rules.volume_share is None:
            return None
        return int(int(self._bars.volume[index]) * self._volume_unit * self._rules.volume_share)

    def _working(self) -> list[Order]:
        return [order for order in self._there() if not order.held]

    def _there(self) -> list[Order]:
        return [order for order in self._mine() if order.since <= self._opens]

    def _expire(self, row: int) -> None:
        for order in self._there():
            if expiry_of(order, self._bars) <= self._opens:
                tape, cause = self._tape, self._cause
                tape.write(OrderExpired, row, order.origin, (cause,), order.id, order.terms.tif)
                self._ended(order, row, cause)

    def _open(self, row: int, price: int) -> None:
        for order in self._working():
            if order.id not in self._tape.state.orders:
                continue  # a fill before it has ended it
            level = self.wakes.level(order, self._index)
            buys = order.quantity > 0
            if level is None:
                self._market(row, order, price, NEXT_OPEN)
            elif self._is_limit(order):
                if price <= level if buys else price >= level:
                    self._fill(row, order, price, "limit_at_open")
            elif price >= level if buys else price <= level:
                self._trigger(row, order, price, "stop_at_open")
            if order.terms.is_immediate and order.id in self._tape.state.orders:
                self.cancel(order, row, self._cause, order.terms.tif.lower())

    def _segment(self, row: int, start: int, end: int) -> None:
        """Let the prices from `start` (not again) to `end` touch what rests."""
        up = end > start
        touched = sorted(self._touched(row, start, end), key=lambda each: (each[0] if up else -each[0], each[1].id))
        for level, order in touched:
            if order.id not in self._tape.state.orders:
                continue
            if self._is_limit(order):
                self._fill(row, order, level, "limit_in_bar")
            else:
                self._trigger(row, order, level, "stop_in_bar")
        self.wakes.follow(end)

    def _touched(self, row: int, start: int, end: int) -> Iterator[tuple[int, Order]]:
        up = end > start
        for order in self._working():
            level = self.wakes.level(order, self._index, price=start)
            if level is None:
                continue
            waits_above = (order.quantity > 0) != self._is_limit(order)
            if waits_above == up and (level <= end if up else level >= end):
                yield (max(level, start) if up else min(level, start)), order

    @staticmethod
    def _is_limit(order: Order) -> bool:
        kind = order.terms.kind
        return kind == "limit" or (kind == "stop_limit" and order.triggered)

    # -- fills and what follows from them

    def _trigger(self, row: int, order: Order, price: int, assumption: str) -> None:
        self._tape.write(OrderTriggered, row, order.origin, (order.cause, self._cause), order.id, "stop")
        if order.terms.kind != "stop_limit":
            self._market(row, order, price, assumption)
        elif price <= order.terms.limit if order.quantity > 0 else price >= order.terms.limit:
            self._fill(row, order, price, assumption)

    def _market(self, row: int, order: Order, price: int, assumption: str) -> None:
        slip = self._rules.slippage
        if slip:
            factor = 1 + slip if order.quantity > 0 else 1 - slip
            moved = price * factor
            price = -int(-moved // 1) if order.quantity > 0 else max(1, int(moved // 1))
        self._fill(row, order, price, assumption)

    def _fill(self, row: int, order: Order, price: int, assumption: str) -> None:
        quantity = self._fillable(row, order)
        if not quantity:
            return
        tape, market = self._tape, self._cause
        maker = assumption == "limit_in_bar"
        fee = self._traded.fee(self._traded.value(price, quantity), maker=maker)
        fill = tape.write(
            OrderFilled,
            row,
            order.origin,
            (order.cause, market),
            order.id,
            order.instrument,
            quantity,
            price,
            fee,
            assumption,
            "maker" if maker else "taker",
        )
        if self._volume is not None:
            self._volume -= abs(quantity)
        cause = cause_id(row, fill.sub)
        self._peers(row, order, cause)
        if not order.left:
            self._ended(order, row, cause)
        self._on_fill(fill)

    def _fillable(self, row: int, order: Order) -> int:
        """Return the lots (signed) that may be filled now: what is left, what is offered, what only reduces."""
        sign = 1 if order.quantity > 0 else -1
        lots = abs(order.left)
        if order.terms.reduce_only:
            held = self._tape.state.held(order.origin, order.instrument) * -sign
            lots = min(lots, max(0, held))
            if not lots:
                self.cancel(order, row, self._cause, "reduce_only")
                return 0
        if self._volume is not None:
            if order.terms.tif == "FOK" and lots > self._volume:
                return 0
            lots = min(lots, self._volume)
        return lots * sign

    def _peers(self, row: int, order: Order, cause: int) -> None:
        """Let a fill reduce or cancel the other orders of its group."""
        if not order.terms.group:
            return
        for peer in list(self._tape.state.orders.values()):
            if peer.terms.group != order.terms.group or peer.id == order.id:
                continue
            if not order.left:
                self.cancel(peer, row, cause, "oco")
            elif abs(peer.left) > abs(order.left):
                left = abs(order.left) * (1 if peer.quantity > 0 else -1)
                self._tape.write(OrderAdjusted, row, peer.origin, (cause,), peer.id, left)

    def _ended(self, order: Order, row: int, cause: int) -> None:
        """Let the children of a finished order begin, as far as it was filled, or end with it."""
        for child in list(self._tape.state.orders.values()):
            if child.terms.parent != order.id or not child.held:
                continue
            if not order.filled:
                self.cancel(child, row, cause, "parent")
                continue
            if abs(child.left) > abs(order.filled):
                left = abs(order.filled) * (1 if child.quantity > 0 else -1)
                self._tape.write(OrderAdjusted, row, child.origin, (cause,), child.id, left)
            self._tape.write(OrderTriggered, row, child.origin, (cause,), child.id, "parent")
