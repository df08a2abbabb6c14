"""How allowed commands reach their venues where they cannot all go at once: outbox, wakes and switches of a session.

Rule 1: a session whose routes have no limits has none of this: its commands go to the exchange where they are allowed.
Rule 2: a wake ends a run of rows: at the first row that is known at or after its time, before that row is dispatched.
Rule 3: a switch that goes off takes back what waits and has not been sent; cancels stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kronos.trading.broker import Broker
from kronos.trading.control import Directive
from kronos.trading.coordinator import Coordinator
from kronos.trading.events import CommandRefused, CommandTravels, IntentRaised, Switched, TradingSwitched
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

    def __init__(self, coordinator: Coordinator, exchange: Exchange, tape: Tape, *, routes: int, order_ns: int) -> None:
        """`routes` is how many a strategy has: an origin is strategy · routes + route; commands travel `order_ns`."""
        self._order_ns = order_ns
        self._coordinator, self._exchange, self._tape, self._routes = coordinator, exchange, tape, routes
        self._broker = Broker(tape, self._arrive)
        self.is_queued = bool(tape.state.outbox.routes)
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

    def pump(self, row: int) -> None:
        """Send what may be sent now."""
        if self._tape.state.outbox.queued:
            self._broker.pump(row, self._coordinator.now_ns)
            self.stand()

    def stand(self) -> None:
        """Find the row before which the next deferred command may go."""
        due = next_wake(self._tape.state.outbox)
        self.wake_row = self._coordinator.timeline.row_at(due) if due else NEVER

    def wake(self, row: int) -> None:
        """Let the time of the next wake come, in the step of `row`."""
        due = next_wake(self._tape.state.outbox)
        self._coordinator.between_ns = due
        self._broker.wake(row, due)
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

    def drop(self, strategy: int, row: int, cause: int) -> None:
        """Take back what waits of a strategy that was stopped; cancels stay."""
        if self.is_queued:
            self._broker.drop(self._named("strategy", strategy), row, cause, "strategy_stopped")

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
        """Let the exchange have a command."""
        order, exchange = self._tape.state.orders[command.order_id], self._exchange
        if self._order_ns:
            action = next(name for name, kind in _KINDS.items() if kind == command.kind)
            self._tape.write(
                CommandTravels, row, order.origin, (cause,), order.id, action, at + self._order_ns, command.quantity,
                command.terms, "requested",
            )  # fmt: skip
            return
        if command.kind == CANCEL:
            exchange.cancel(order, row, cause, "requested")
        elif command.kind == NEW:
            exchange.accept(order, row, cause, self._coordinator.price(order.instrument), at)
        elif abs(command.quantity) <= abs(order.filled):
            self._tape.write(CommandRefused, row, order.origin, (cause,), order.id, REPLACE, "quantity")
        else:
            exchange.replace(order, row, cause, command.quantity, command.terms, at=at)
        exchange.rearm()
