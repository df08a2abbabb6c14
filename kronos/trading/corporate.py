"""What happens to an instrument before a row: splits, listings, delistings, and what holding it pays.

Rule 1: each comes before the first row at or after its time is dispatched, as records, in the order of that time.
Rule 2: what it does to orders is told to the strategies before they see the row.
Rule 3: a split changes the quantity of orders that have no price, also of those that travel; what has one, with what
        hangs together with it, and what still waits in the outbox, ends.  Of orders behind an adapter the venue alone
        says what became: it is sent cancels.
"""

from __future__ import annotations

from kronos.trading.bars import Split
from kronos.trading.coordinator import Coordinator
from kronos.trading.desk import Desk
from kronos.trading.events import InstrumentDelisted, InstrumentListed, OrderAdjusted, OrderCancelled, SplitApplied
from kronos.trading.orders import Order
from kronos.trading.payments import Due, pay
from kronos.trading.positions import cause_id
from kronos.trading.splits import split_cash, split_lots
from kronos.trading.tape import Tape
from kronos.trading.venue.exchange import Exchange

__all__ = ["Corporate"]


class Corporate:
    """Applies the events of instruments to all accounts, and lets `desk` bring the strategies what became of it."""

    def __init__(self, coordinator: Coordinator, desk: Desk, exchange: Exchange, tape: Tape) -> None:
        self._coordinator, self._desk, self._venue, self._tape = coordinator, desk, exchange, tape

    def split(self, split: Split, number: int, row: int) -> None:
        """Apply a split before its row opens: to what is held, then to resting orders, then tell the strategies."""
        tape, state, traded = self._tape, self._tape.state, self._coordinator.traded[number]
        self._coordinator.row, heard = row, len(tape.unsealed)
        self._desk.intents.look(row, cause_id(row, 0))
        price = self._coordinator.price(number)
        causes, applied = (cause_id(row, 0),), {}
        for account in range(len(state.accounts)):
            origin = state.owners.index(account)
            held = state.held(origin, number)
            _, rest = split_lots(held, split.numerator, split.denominator)
            cash = split_cash(rest, split.numerator, price, traded.unit)
            applied[account] = tape.write(
                SplitApplied, row, origin, causes, number, split.numerator, split.denominator, cash
            )
        for account, told in applied.items():
            self._desk.intents.booked(account, number, row, cause_id(row, told.sub))
        last = cause_id(row, next(iter(applied.values())).sub)
        self._desk.sending.drop("instrument", number, row, last, "split")
        ends = self._ended_by(split, number)
        for order in list(state.orders.values()):
            told = applied[state.owners[order.origin]]
            head, lots = (row, order.origin, (cause_id(row, told.sub),), order.id), _lots(order, split)
            if order.id in ends and self._desk.sending.is_away:
                self._desk.sending.withdraw(order, row, last)
            elif order.id in ends:
                tape.write(OrderCancelled, *head, "split" if lots else "split_fraction")
            elif order.instrument == number and not self._desk.sending.is_away:
                tape.write(OrderAdjusted, *head, lots)
        for seat in self._desk.seats:
            if number in seat.context.numbers:
                told = applied[state.owners[seat.origin]]
                self._desk.call(seat, "on_split", row, cause_id(row, told.sub), told)
        self._desk.decide(row, last, heard=heard)

    def _ended_by(self, split: Split, number: int) -> set[int]:
        """Return the ids of the orders that a split ends: a price of before it means nothing after it, and an entry
        and what is held back for it are one request.
        """
        orders = self._tape.state.orders
        ends = {
            order.id
            for order in orders.values()
            if order.instrument == number and (_has_price(order) or not _lots(order, split))
        }
        held = [order for order in orders.values() if order.held]
        for _ in held:  # each may be held back for one that is held back itself
            for order in held:
                if {order.id, order.terms.parent} & ends:
                    ends |= {order.id, order.terms.parent}
        return ends

    def pay(self, due: Due, row: int) -> None:
        """Let every account that holds the instrument pay or receive what is due, before `row`."""
        self._coordinator.row = row
        self._desk.intents.look(row, cause_id(row, 0))
        before = self._tape.state.records
        pay(self._tape, due, row, self._coordinator.price(due.instrument), cause_id(row, 0))
        if self._tape.state.records > before:
            for account in range(len(self._tape.state.accounts)):
                self._desk.intents.booked(account, due.instrument, row, cause_id(row, self._tape.state.sub))
            self._venue.rearm()

    def list_change(self, number: int, at: int, row: int, *, listed: bool) -> None:
        """List or delist an instrument before `row`; what is open in one that is delisted is cancelled."""
        tape, heard = self._tape, len(self._tape.unsealed)
        self._coordinator.row = row
        cause = cause_id(row, 0)
        if listed:
            tape.write(InstrumentListed, row, 0, (cause,), number, at)
            return
        gone = cause_id(row, tape.write(InstrumentDelisted, row, 0, (cause,), number, at).sub)
        self._desk.sending.drop("instrument", number, row, gone, "delisted")
        for order in list(tape.state.orders.values()):
            if order.instrument != number or order.id not in tape.state.orders:
                continue
            if self._desk.sending.is_away:
                self._desk.sending.withdraw(order, row, gone)
            else:
                self._venue.cancel(order, row, gone, "delisted", at=at)
        self._desk.tell(row, heard)
        self._venue.rearm()


def _lots(order: Order, split: Split) -> int:
    """Return the signed lots that are left of an order after a split."""
    return split_lots(order.left, split.numerator, split.denominator)[0]


def _has_price(order: Order) -> bool:
    """Return whether an order waits for a price; a stop that has met its own waits for none."""
    return order.terms.kind != "market" and not (order.triggered and order.terms.kind != "stop_limit")
