"""How allowed commands reach their venues where they cannot all go at once: outbox, wakes and switches of a session.

Rule 1: a session whose routes have no limits and whose venues are simulated has none of this: its commands go to the
        exchange where they are allowed.
Rule 2: a wake ends a run of rows: at the first row that is known at or after its time, before that row is dispatched.
Rule 3: a switch that goes off takes back what waits and has not been sent; cancels stay.
Rule 4: reports of a venue behind an adapter are heard in the order in which they became known, before the row of the
        market that is known after them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kronos.trading.adapters import Reception, VenueAdapter
from kronos.trading.broker import Broker
from kronos.trading.control import Directive, Gap
from kronos.trading.coordinator import Coordinator
from kronos.trading.events import (
    CommandRefused,
    CommandTravels,
    FeedDegraded,
    FeedRestored,
    IntentRaised,
    OrderFilled,
    Switched,
    TradingSwitched,
)
from kronos.trading.orders import Order
from kronos.trading.outbox import CANCEL, NEW, REPLACE, Command, next_wake
from kronos.trading.positions import cause_id
from kronos.trading.tape import Tape
from kronos.trading.terms import MARKET
from kronos.trading.venue.exchange import Exchange

__all__ = ["NEVER", "Sending"]

NEVER: Final = 2**62
"""The row of a wake that nothing waits for."""

_KINDS: Final = {"submit": NEW, "modify": REPLACE, "cancel": CANCEL}


class Sending:
    """Sends commands of a session to `exchange`, through the outbox where `is_queued`."""

    def __init__(
        self, coordinator: Coordinator, exchange: Exchange, tape: Tape, on_fill: Callable[[OrderFilled], None], *,
        venues: Sequence[VenueAdapter | None], order_ns: int,
    ) -> None:  # fmt: skip
        """`venues` are the adapters of the routes, by number (None: the exchange, to which commands travel `order_ns`);
        an origin is strategy · routes + route.
        """
        self._order_ns = order_ns
        self._coordinator, self._exchange, self._tape, self._routes = coordinator, exchange, tape, len(venues)
        self._broker, self._reception = Broker(tape, self._arrive), Reception(tape, on_fill)
        self._by_route = venues
        self._venues = list({id(venue): venue for venue in venues if venue is not None}.values())
        self.is_queued = bool(tape.state.outbox.routes or self._venues)
        self.wake_row = NEVER

    def take(self, intent: IntentRaised, cause: int) -> None:
        """Let what the decision `cause` allowed wait to be sent."""
        order = self._tape.state.orders[intent.order_id]
        kept = intent.action == "cancel"
        command = Command(
            order_id=intent.order_id, instrument=intent.instrument, kind=_KINDS[intent.action],
            route=intent.origin % self._routes, cause=cause, place=cause, origin=intent.origin,
            quantity=order.quantity if kept else intent.quantity,
            terms=order.terms if kept else intent.terms or (order.terms if intent.action == "modify" else MARKET),
        )  # fmt: skip
        self._broker.take(command, intent.row)

    @property
    def is_away(self) -> bool:
        """Whether orders are at venues behind adapters: what is to become of them can only be asked for there."""
        return bool(self._venues)

    def withdraw(self, order: Order, row: int, cause: int) -> None:
        """Let a cancel of an order that is away go to its venue because of `cause`, whatever its strategy asked for."""
        command = Command(
            order_id=order.id, instrument=order.instrument, kind=CANCEL, route=order.origin % self._routes,
            cause=cause, place=cause, origin=order.origin, quantity=order.quantity, terms=order.terms,
        )  # fmt: skip
        self._broker.take(command, row)
        self.pump(row)

    def pump(self, row: int) -> None:
        """Send what may be sent now."""
        if self._tape.state.outbox.queued:
            self._broker.pump(row, self._coordinator.now_ns)
            self.stand()

    def stand(self) -> None:
        """Find the row before which the next deferred command may go, or the next report is heard."""
        due = self._due()
        self.wake_row = self._coordinator.timeline.row_at(due) if due else NEVER

    def _due(self) -> int:
        """Return the time (ns UTC) of the next wake, 0 when there is none."""
        due = next_wake(self._tape.state.outbox)
        known = [at for venue in self._venues if (at := venue.next_known(self._coordinator.last_ns)) is not None]
        return min([due, *known]) if due else min(known, default=0)

    def wake(self, row: int) -> None:
        """Let the time of the next wake come, in the step of `row`: what became known is heard, what may go is sent."""
        due, waits = self._due(), next_wake(self._tape.state.outbox)
        self._coordinator.between_ns = due
        for venue in self._venues:
            for report in venue.poll(due):
                self._reception.receive(report, row)
        if waits and waits <= due:
            self._broker.wake(row, due)
        else:
            self._broker.pump(row, due)
        self._coordinator.between_ns = 0
        self.stand()

    def throw(self, directive: Directive, row: int) -> None:
        """Throw a switch before `row`."""
        cause, (scope, number, enabled, reason) = cause_id(row, 0), directive[2:]
        if scope == "session":
            thrown = self._tape.write(TradingSwitched, row, 0, (cause,), enabled, reason).sub
        else:
            thrown = self._tape.write(Switched, row, 0, (cause,), scope, number, enabled, reason).sub
        if not enabled:
            self._broker.drop(self._named(scope, number), row, cause_id(row, thrown), f"{scope}_off")

    def drop(self, scope: str, number: int, row: int, cause: int, reason: str) -> None:
        """Take back what waits of a strategy that was stopped or an instrument that is gone; cancels stay."""
        if self.is_queued:
            self._broker.drop(self._named(scope, number), row, cause, reason)

    def degrade(self, gap: Gap, row: int) -> None:
        """Record before `row` that rows of a stream are missing, or come again."""
        fields = (gap.stream, gap.instrument, gap.at)
        if gap.is_over:
            self._tape.write(FeedRestored, row, 0, (cause_id(row, 0),), *fields)
            return
        told = self._tape.write(FeedDegraded, row, 0, (cause_id(row, 0),), *fields, "gap")
        self._broker.drop(self._named("instrument", gap.instrument), row, cause_id(row, told.sub), "feed_degraded")

    def _named(self, scope: str, number: int) -> Callable[[Command], bool]:
        match scope:
            case "strategy":
                return lambda command: command.origin // self._routes == number
            case "route":
                return lambda command: command.route == number
            case "instrument":
                return lambda command: command.instrument == number
            case _:
                return lambda _: True

    def _arrive(self, command: Command, row: int, cause: int, at: int) -> None:
        """Let the venue of its route have a command."""
        venue = self._by_route[command.route]
        if venue is not None:
            venue.send(command, at)
            return
        order, exchange = self._tape.state.orders[command.order_id], self._exchange
        if self._order_ns:
            action = next(name for name, kind in _KINDS.items() if kind == command.kind)
            self._tape.write(
                CommandTravels, row, order.origin, (cause,), order.id, action, at + self._order_ns, command.quantity,
                command.terms, "requested",
            )  # fmt: skip
            return
        if command.kind == CANCEL:
            exchange.cancel(order, row, cause, "requested", at=at)
        elif command.kind == NEW:
            exchange.accept(order, row, cause, self._coordinator.price(order.instrument), at)
        elif abs(command.quantity) <= abs(order.filled):
            self._tape.write(CommandRefused, row, order.origin, (cause,), order.id, REPLACE, "quantity")
        else:
            exchange.replace(order, row, cause, command.quantity, command.terms, at=at)
