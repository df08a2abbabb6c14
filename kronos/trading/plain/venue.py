"""What a venue says of an order, written once more to be read: taken, changed, filled, ended.  Nothing of it is shared.

Rule 1: every row is looked at, and every order at every row; nothing is remembered that can be counted again.
Rule 2: each tick of price is tried in turn, from the best one on, until it is bad enough.
Rule 3: two orders meet when there is a price at which both would trade.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor
from typing import Any, Final

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
from kronos.trading.venue.rules import VenueRules

__all__ = ["DAY_NS", "PlainVenue", "is_limit", "is_stop", "sign"]

DAY_NS: Final = 24 * 60 * 60 * 10**9


def sign(order: Order) -> int:
    """Return 1 for a purchase and -1 for a sale."""
    return 1 if order.quantity > 0 else -1


def is_limit(order: Order) -> bool:
    """Return whether an order now stands at its limit."""
    return {"limit": True, "stop_limit": order.triggered}.get(order.terms.kind, False)


def is_stop(order: Order) -> bool:
    """Return whether an order still waits for its stop."""
    return not order.triggered and order.terms.kind not in {"market", "limit"}


class PlainVenue:
    """Serves the orders of one instrument; what a row does to them is the subclass's business."""

    def __init__(self, stream: Any, traded: Instrument, rules: VenueRules, *, instrument: int = 0) -> None:
        """Serve the orders of `instrument` (its number in the session) on the rows of `stream`."""
        self._stream, self._traded, self._rules, self._instrument = stream, traded, rules, instrument
        self._now = self._index = 0

    def attach(self, tape: Tape, on_fill: Callable[[OrderFilled], None]) -> None:
        """Write to `tape` from now on; `on_fill` hears every fill before the next thing happens."""
        self._tape, self._on_fill, self._now = tape, on_fill, 0

    def rearm(self) -> None:
        """Remember nothing."""

    def next_touch(self, index: int, stop: int) -> int:
        """Return the next row: each may touch every order."""
        return min(index, stop)

    # -- what the subclass knows

    def meet(self, index: int, row: int, cause: int) -> None:
        """Let row `index` of the stream meet the orders."""
        raise NotImplementedError

    def _would_take(self, order: Order, at: int, last: int) -> bool:
        raise NotImplementedError

    def _queue(self, order: Order, terms: Terms, at: int) -> int:
        raise NotImplementedError

    def _place(self, order: Order, terms: Terms, at: int) -> tuple[int, int]:
        return at, self._queue(order, terms, at)

    def _first_day(self, order: Order) -> int:
        """Return a time (ns UTC) of the day that a DAY order is for."""
        return order.since

    # -- what orders are there

    def _orders(self) -> list[Order]:
        every = self._tape.state.orders.values()
        return [each for each in every if each.instrument == self._instrument and self._has(each)]

    @staticmethod
    def _has(order: Order) -> bool:
        return order.phase is Phase.ACCEPTED or order.phase is Phase.PARTIALLY_FILLED

    def _is_there(self, order: Order) -> bool:
        return any(each is order for each in self._tape.state.orders.values())

    # -- commands

    def accept(self, order: Order, row: int, cause: int, last: int, at: int) -> None:
        """Take an order at time `at` (ns UTC), or say why not."""
        if order.terms.post_only and self._would_take(order, at, last):
            self._tape.write(OrderRejected, row, order.origin, (cause,), order.id, "post_only_would_cross")
            self._release(order, row, cause, at)
            return
        queue = self._queue(order, order.terms, at)
        self._tape.write(OrderAccepted, row, order.origin, (cause,), order.id, at, queue)
        if self._rules.prevents_self_trade and self._meets_own(order):
            self.cancel(order, row, order.cause, "self_trade", at=at)

    def cancel(self, order: Order, row: int, cause: int, reason: str, *, at: int | None = None) -> None:
        """Take an order off at time `at`, or that of the row that is met, and its children."""
        self._tape.write(OrderCancelled, row, order.origin, (cause,), order.id, reason)
        self._release(order, row, cause, self._now if at is None else at)

    def replace(self, order: Order, row: int, cause: int, quantity: int, terms: Terms, *, at: int) -> None:
        """Change an order: for less at the same price it keeps its place."""
        stays = terms.limit == order.terms.limit and abs(quantity) <= abs(order.quantity)
        place = () if stays else self._place(order, terms, at)
        self._tape.write(OrderReplaced, row, order.origin, (cause,), order.id, quantity, terms, *place)

    def _meets_own(self, order: Order) -> bool:
        """Return whether there is a price at which this limit order and another of its account would both trade."""
        owners = self._tape.state.owners
        for other in self._orders():
            buy, sell = (order, other) if order.quantity > 0 else (other, order)
            both_rest = all(each.terms.kind == "limit" and not each.held for each in (buy, sell))
            if not (both_rest and owners[buy.origin] == owners[sell.origin]):
                continue
            if buy.quantity > 0 > sell.quantity and buy.terms.limit >= sell.terms.limit:
                return True
        return False

    def _release(self, order: Order, row: int, cause: int, at: int) -> None:
        """Let the children of an order that ended at time `at` begin with as much as it filled, or end with it."""
        for child in [each for each in self._tape.state.orders.values() if each.held and each.terms.parent == order.id]:
            if order.filled == 0:
                self.cancel(child, row, cause, "parent", at=at)
                continue
            most = abs(order.filled)
            if abs(child.left) > most:
                self._tape.write(OrderAdjusted, row, child.origin, (cause,), child.id, sign(child) * most)
            place = self._place(child, child.terms, at)
            self._tape.write(OrderTriggered, row, child.origin, (cause,), child.id, "parent", *place)

    # -- a row

    def _begin(self, index: int, row: int, cause: int, now: int) -> None:
        self._index, self._row, self._market, self._now = index, row, cause, now

    def _expire(self, orders: list[Order]) -> None:
        for order in orders:
            tif, day = order.terms.tif, self._first_day(order)
            end = {"GTD": order.terms.until, "DAY": day - day % DAY_NS + DAY_NS}.get(tif)
            if end is not None and end <= self._now and self._is_there(order):
                self._tape.write(OrderExpired, self._row, order.origin, (self._market,), order.id, tif)
                self._release(order, self._row, self._market, self._now)

    def _end_immediate(self, orders: list[Order]) -> None:
        for order in orders:
            if order.terms.tif in {"IOC", "FOK"} and not is_stop(order) and self._is_there(order):
                self.cancel(order, self._row, self._market, order.terms.tif.lower())

    # -- a fill

    def _slipped(self, order: Order, price: int) -> int:
        """Return the first price that is as much worse as the rules say; a sale is for one tick at least."""
        rules, paid = self._rules, price
        while abs(paid - price) < price * rules.slippage:
            paid += sign(order)
        paid += sign(order) * rules.slippage_ticks
        if not order.terms.limit:
            return max(paid, 1)
        return min(paid, order.terms.limit) if order.quantity > 0 else max(paid, order.terms.limit)

    def _fill(self, order: Order, offered: int, price: int, assumption: str, *, maker: bool = False) -> int:
        """Fill an order with at most `offered` lots, all or nothing for FOK; return how many lots were filled."""
        if offered <= 0 or (order.terms.tif == "FOK" and abs(order.left) > offered):
            return 0
        lots = min(abs(order.left), offered)
        if order.terms.reduce_only:
            against = -sign(order) * self._tape.state.held(order.origin, order.instrument)
            if against <= 0:
                self.cancel(order, self._row, self._market, "reduce_only")
                return 0
            lots = min(lots, against)
        fill = self._tape.write(
            OrderFilled, self._row, order.origin, (order.cause, self._market), order.id, self._instrument,
            sign(order) * lots, price, self._fee(price, lots, maker=maker), assumption, "maker" if maker else "taker",
        )  # fmt: skip
        cause = cause_id(self._row, fill.sub)
        self._reduce_group(order, cause)
        if order.left == 0:
            self._release(order, self._row, cause, self._now)
        self._on_fill(fill)
        return lots

    def _fee(self, price: int, lots: int, *, maker: bool) -> int:
        """Return the fee in 1e-8 of the currency, halves away from zero; a rebate is negative."""
        of = self._traded
        rate = (
            Fraction(of.maker_numerator, of.maker_denominator)
            if maker
            else Fraction(of.fee_numerator, of.fee_denominator)
        )
        value = Fraction(lots * of.unit, price) if of.inverse else Fraction(price * lots * of.unit)
        exact = rate * floor(value + Fraction(1, 2))
        return floor(exact + Fraction(1, 2)) if exact > 0 else ceil(exact - Fraction(1, 2))

    def _reduce_group(self, order: Order, cause: int) -> None:
        """Let the other orders of its group go, or have no more left than this one."""
        group = order.terms.group
        for other in [each for each in self._tape.state.orders.values() if group and each.terms.group == group]:
            if other is order:
                continue
            if order.left == 0:
                self.cancel(other, self._row, cause, "oco")
            elif abs(other.left) > abs(order.left):
                left = sign(other) * abs(order.left)
                self._tape.write(OrderAdjusted, self._row, other.origin, (cause,), other.id, left)
