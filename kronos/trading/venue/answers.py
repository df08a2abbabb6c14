"""What a venue says of an order, whatever fills it: taken, put on other terms, filled, ended, and what hangs on it.

Rule 1: an order meets what happened strictly after its venue got it.
Rule 2: a fill is cut to what is left, to what may only reduce, and to the liquidity that is there: all or nothing for
        FOK.
Rule 3: of two orders of one account that would meet each other, the younger is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Final

import numpy as np

from kronos.trading.columns import Int64s
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
from kronos.trading.venue.wakes import NEVER

__all__ = ["Answers", "exchange_times", "rests", "waits"]

_DAY_NS: Final = 86_400_000_000_000
_WORKING: Final = frozenset({Phase.ACCEPTED, Phase.PARTIALLY_FILLED})


def exchange_times(time: Int64s) -> Int64s:
    """Return times that never go back: a late row happens when the row before it did."""
    return time if bool((time[1:] >= time[:-1]).all()) else np.maximum.accumulate(time)


def rests(order: Order) -> bool:
    """Return whether an order waits at its limit."""
    return order.terms.kind == "limit" or (order.terms.kind == "stop_limit" and order.triggered)


def waits(order: Order) -> bool:
    """Return whether an order waits for its stop to be met."""
    return order.terms.kind in {"stop", "stop_limit", "trailing"} and not order.triggered


class Answers:
    """Answers for one instrument; what fills its orders is the subclass's business."""

    def __init__(
        self, time: Int64s, step: Fraction, traded: Instrument, rules: VenueRules, *, instrument: int = 0
    ) -> None:
        """`time` are the rows' times at the venue, `step` what one step of their quantities is in units."""
        self._time, self._traded, self._rules, self._instrument = exchange_times(time), traded, rules, instrument
        self._lots_a_step = step / Fraction(traded.lot)
        self._slips = bool(rules.slippage or rules.slippage_ticks)

    def attach(self, tape: Tape, on_fill: Callable[[OrderFilled], None]) -> None:
        """Write to `tape` from now on; `on_fill` hears every fill before the next thing happens."""
        self._tape, self._on_fill = tape, on_fill
        self._now, self._armed_for, self._armed = 0, tape.state, -1
        self.rearm()

    def rearm(self) -> None:
        """Look at the orders again, unless nothing was written since."""
        state = self._tape.state
        if self._armed != state.records or self._armed_for is not state:
            self._armed_for, self._armed, number = state, state.records, self._instrument
            self._orders = [
                order for order in state.orders.values() if order.instrument == number and order.phase in _WORKING
            ]
            self._look()

    def _look(self) -> None:
        """Prepare for the orders that are there now."""

    def _first(self, order: Order) -> int:
        """Return the first row that the order may meet."""
        return int(np.searchsorted(self._time, order.since, side="right"))

    def _is_there(self, order: Order) -> bool:
        return order.id in self._tape.state.orders

    # -- answers

    def accept(self, order: Order, row: int, cause: int, last: int, at: int) -> None:
        """Take a submitted order at time `at` (ns UTC), or reject one that must not take liquidity and would."""
        if order.terms.post_only and self._crosses(order, at, last):
            self._tape.write(OrderRejected, row, order.origin, (cause,), order.id, "post_only_would_cross")
            self._ended(order, row, cause, at)
            return
        ahead = self._ahead_at(order, order.terms, at)
        self._tape.write(OrderAccepted, row, order.origin, (cause,), order.id, at, ahead)
        if self._rules.prevents_self_trade and self._meets_own(order):
            self.cancel(order, row, order.cause, "self_trade", at=at)

    def cancel(self, order: Order, row: int, cause: int, reason: str, *, at: int | None = None) -> None:
        """Take an order off at time `at` (None: that of the row that is met), and what hangs on it."""
        self._tape.write(OrderCancelled, row, order.origin, (cause,), order.id, reason)
        self._ended(order, row, cause, self._now if at is None else at)

    def replace(self, order: Order, row: int, cause: int, quantity: int, terms: Terms, *, at: int) -> None:
        """Put an order on other terms at time `at`: it keeps its place only at the same price and for no more."""
        if terms.limit == order.terms.limit and abs(quantity) <= abs(order.quantity):
            self._tape.write(OrderReplaced, row, order.origin, (cause,), order.id, quantity, terms)
        else:
            place = self._place(order, terms, at)
            self._tape.write(OrderReplaced, row, order.origin, (cause,), order.id, quantity, terms, *place)

    def _crosses(self, order: Order, at: int, last: int) -> bool:
        """Return whether a limit order would take at time `at`; `last` is the price last seen, 0 for none."""
        raise NotImplementedError

    def _ahead_at(self, order: Order, terms: Terms, at: int) -> int:
        raise NotImplementedError

    def _place(self, order: Order, terms: Terms, at: int) -> tuple[int, int]:
        """Return since when an order has its new place in a queue, and behind how many steps; (0, 0): as before."""
        return at, self._ahead_at(order, terms, at)

    def _own_ahead(self, order: Order, limit: int) -> int:
        """Return the quantity (steps, rounded up) of our own orders that rest at `limit` before `order`."""
        lots = sum(
            abs(other.left)
            for other in self._tape.state.orders.values()
            if other.id != order.id
            and other.instrument == self._instrument
            and other.phase in _WORKING
            and not other.held
            and other.terms.limit == limit
            and (other.quantity > 0) == (order.quantity > 0)
        )
        return -int(-Fraction(lots) / self._lots_a_step // 1)

    def _meets_own(self, order: Order) -> bool:
        """Return whether a limit order would trade with one of its own account that rests."""
        if order.terms.kind != "limit" or order.held:
            return False
        owners = self._tape.state.owners
        for other in self._tape.state.orders.values():
            if (
                other.instrument == self._instrument
                and other.phase in _WORKING
                and not other.held
                and other.terms.kind == "limit"
                and other.quantity * order.quantity < 0
                and owners[other.origin] == owners[order.origin]
                and (other.terms.limit - order.terms.limit) * order.quantity <= 0
            ):
                return True
        return False

    # -- time

    def _expiry(self, order: Order) -> int:
        """Return the time (ns UTC) from which an order is no more; a DAY order ends with the day it was given in."""
        if order.terms.tif == "GTD":
            return order.terms.until
        return (order.since // _DAY_NS + 1) * _DAY_NS if order.terms.tif == "DAY" else NEVER

    def _next_expiry(self, index: int, stop: int) -> int:
        """Return the first row from `index` on at which an order is no more, or `stop`."""
        expiry = min((self._expiry(order) for order in self._orders), default=NEVER)
        return stop if expiry == NEVER else min(stop, max(index, int(np.searchsorted(self._time, expiry))))

    def _expire(self) -> None:
        for order in list(self._orders):
            if self._is_there(order) and self._expiry(order) <= self._now:
                self._tape.write(OrderExpired, self._row, order.origin, (self._market,), order.id, order.terms.tif)
                self._ended(order, self._row, self._market, self._now)

    def _end_immediate(self, there: list[Order]) -> None:
        """Cancel what has met its first liquidity and must not wait for more."""
        for order in there:
            if order.terms.is_immediate and self._is_there(order) and not waits(order):
                self.cancel(order, self._row, self._market, order.terms.tif.lower())

    # -- fills and what follows from them

    def _slipped(self, order: Order, price: int) -> int:
        """Return what a taker pays for `price`: worse by the slippage, never worse than its limit."""
        sign, limit, moved = 1 if order.quantity > 0 else -1, order.terms.limit, price
        if self._slips:
            worse = abs(price * self._rules.slippage)
            moved += sign * (-int(-worse // 1) + self._rules.slippage_ticks)
        return max(1, min(moved, limit) if limit and sign > 0 else max(moved, limit))

    def _stand(self, index: int, row: int, cause: int) -> None:
        """Let row `index` be the one that is met: records go to `row`, its position is `cause`."""
        self._index, self._row, self._market, self._now = index, row, cause, int(self._time[index])

    def _fill(self, order: Order, offered: int, price: int, assumption: str, *, maker: bool = False) -> int:
        """Fill up to `offered` lots; return how many were."""
        lots = self._fillable(order, offered)
        if not lots:
            return 0
        quantity = lots if order.quantity > 0 else -lots
        fee = self._traded.fee(self._traded.value(price, quantity), maker=maker)
        fill = self._tape.write(
            OrderFilled, self._row, order.origin, (order.cause, self._market), order.id, self._instrument, quantity,
            price, fee, assumption, "maker" if maker else "taker",
        )  # fmt: skip
        cause = cause_id(self._row, fill.sub)
        self._peers(self._row, order, cause)
        if not order.left:
            self._ended(order, self._row, cause, self._now)
        self._on_fill(fill)
        return lots

    def _fillable(self, order: Order, offered: int) -> int:
        lots = abs(order.left)
        if order.terms.reduce_only:
            sign = 1 if order.quantity > 0 else -1
            lots = min(lots, max(0, -sign * self._tape.state.held(order.origin, order.instrument)))
            if not lots:
                self.cancel(order, self._row, self._market, "reduce_only")
                return 0
        return min(lots, offered)

    @staticmethod
    def _suffices(order: Order, offered: int) -> bool:
        """Return whether an order may take part of what is offered: FOK takes the whole that it wants or nothing."""
        return offered > 0 and (order.terms.tif != "FOK" or offered >= abs(order.left))

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

    def _ended(self, order: Order, row: int, cause: int, at: int) -> None:
        """Let the children of an order that is finished at time `at` begin, as far as it was filled, or end with it."""
        for child in list(self._tape.state.orders.values()):
            if child.terms.parent != order.id or not child.held:
                continue
            if not order.filled:
                self.cancel(child, row, cause, "parent", at=at)
                continue
            if abs(child.left) > abs(order.filled):
                left = abs(order.filled) * (1 if child.quantity > 0 else -1)
                self._tape.write(OrderAdjusted, row, child.origin, (cause,), child.id, left)
            place = self._place(child, child.terms, at)
            self._tape.write(OrderTriggered, row, child.origin, (cause,), child.id, "parent", *place)
