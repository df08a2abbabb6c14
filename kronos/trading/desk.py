"""Between strategies and what becomes of their orders: market rows, fills, reports, timers, switches, and the answers.

Rule 1: requests are answered after the handler returned, in the order in which they were made (`intents`).
Rule 2: what the strategy hears of its orders it hears after that, and may ask again, ROUNDS_MAX times a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kronos.errors import InvalidInput
from kronos.trading.adapters import VenueAdapter
from kronos.trading.control import Directive, Gap
from kronos.trading.coordinator import Coordinator
from kronos.trading.events import (
    Arrived,
    IntentRaised,
    OrderDenied,
    OrderFilled,
    OrderReport,
    Report,
    ReportTravels,
    StrategyStopped,
    TimerFired,
)
from kronos.trading.intents import Intents
from kronos.trading.margin_calls import MarginCalls
from kronos.trading.orders import Phase
from kronos.trading.positions import cause_id
from kronos.trading.risk import Limits
from kronos.trading.routes import Routes
from kronos.trading.scheduled import COMMAND, TIMER, Scheduled
from kronos.trading.seats import STOPPING, Seat, words_of_error
from kronos.trading.sending import Sending
from kronos.trading.session_config import Latency
from kronos.trading.tape import Tape
from kronos.trading.venue.exchange import Exchange

__all__ = ["ROUNDS_MAX", "Desk"]

ROUNDS_MAX: Final = 1_000
"""Times that a strategy may ask again within one row because of what became of its orders: more is a flood."""

_WORKING: Final = frozenset({Phase.ACCEPTED, Phase.PARTIALLY_FILLED})


class Desk:
    """Answers the requests of all strategies of a session, and brings each what the venue says of its orders."""

    def __init__(
        self, coordinator: Coordinator, limits: Sequence[Limits], routes: Routes, exchange: Exchange, tape: Tape,
        *, latency: Latency, isolate: bool, venues: Sequence[VenueAdapter | None],
    ) -> None:  # fmt: skip
        """Serve at `exchange`, or at the `venues` of routes that have one, within `limits` by instrument; unless
        `isolate`, what a handler raises passes.
        """
        self._coordinator, self._routes, self._tape = coordinator, routes, tape
        self._venue, self._latency, self._isolate = exchange, latency, isolate
        self.sending = Sending(coordinator, exchange, tape, self.filled, venues=venues, order_ns=latency.order_ns)
        self.intents = Intents(
            coordinator, routes, exchange, tape, limits=limits, sending=self.sending, order_ns=latency.order_ns
        )
        self._watch = self.intents.watch
        self._calls = _margin_calls(coordinator, exchange, tape)
        self.seats: list[Seat] = []
        self._hears_orders = False

    def seat(self, seats: Sequence[Seat]) -> None:
        """Serve `seats`, in the order of their numbers."""
        self.seats = list(seats)
        self._hears_orders = any(seat.hears_orders for seat in seats)
        self.sending.stand()

    def meet(self, stream: int, index: int, row: int, cause: int) -> None:
        """Let a market row meet the orders; handlers see nothing of it, and their orders wait for the next."""
        heard = len(self._tape.unsealed)
        if self._watch is not None:
            self.intents.look(row, cause_id(row, 0))
        self._venue.meet(stream, index, row, cause)
        if self._calls is not None:
            for account, sub in self._calls.meet(stream, index, row, cause, self._coordinator.clock):
                self._liquidate(account, row, cause_id(row, sub))
        if self._hears_orders:
            self.tell(row, heard)
        self._venue.rearm()  # a fill may have been answered with orders in other instruments

    def filled(self, fill: OrderFilled) -> None:
        """Bring a fill to the strategy whose order it was, at once or when its report arrives."""
        row = self._coordinator.row = fill.row
        cause = cause_id(row, fill.sub)
        if self._watch is not None:
            self.intents.booked(self._tape.state.owners[fill.origin], fill.instrument, row, cause)
        if self._latency.report_ns:
            self._travel(fill, row)
        else:
            self._hear(fill, row, cause)

    def _travel(self, report: Report, row: int) -> None:
        at = self._coordinator.now_ns + self._latency.report_ns
        self._tape.write(ReportTravels, row, report.origin, (cause_id(report.row, report.sub),), at, report)

    def _hear(self, report: Any, row: int, cause: int) -> None:
        """Let a strategy hear of its order, and answer what it asks for."""
        seat = self.seats[self._routes.strategy(report.origin)]
        is_fill = isinstance(report, OrderFilled)
        if (seat.hears_fills if is_fill else seat.hears_orders) and self.call(
            seat, "on_fill" if is_fill else "on_order", row, cause, report
        ):
            self.intents.answer(seat, seat.context.take(), row, cause)
            self.sending.pump(row)

    def wake(self, row: int) -> None:
        """Let deferred commands go whose time has come before `row`."""
        heard, self._coordinator.row = len(self._tape.unsealed), row
        self.sending.wake(row)
        self.tell(row, heard)
        self._venue.rearm()

    def control(self, event: Directive | Gap, row: int) -> None:
        """Throw a switch or record a gap before `row`, and tell the strategies what it ended."""
        heard, self._coordinator.row = len(self._tape.unsealed), row
        if isinstance(event, Gap):
            self.sending.degrade(event, row)
        else:
            self.sending.throw(event, row)
        self.tell(row, heard)
        self._venue.rearm()

    # -- strategies

    def call(self, seat: Seat, name: str, row: int, cause: int, *arguments: Any) -> bool:
        """Call a handler; return whether it returned.  One that raises, or returns something, stops its strategy, where
        they are isolated.
        """
        if seat.is_stopped:
            return False
        try:
            if (given := getattr(seat.strategy, name)(seat.context, *arguments)) is not None:
                seat.refuse(name, given)
        except STOPPING as error:
            self.stop(seat, name, row, cause, error)
            return False
        return True

    def stop(self, seat: Seat, handler: str, row: int, cause: int, error: BaseException) -> None:
        """Stop a strategy whose handler raised: its requests are dropped, its orders cancelled; or raise it again."""
        if not self._isolate:
            raise error
        seat.context.take()
        message, line = words_of_error(error, getattr(type(seat.strategy), handler))
        stopped = self._tape.write(
            StrategyStopped, row, seat.origin, (cause,), handler, type(error).__name__, message, line
        )
        why = cause_id(row, stopped.sub)
        self.sending.drop("strategy", seat.place, row, why, "strategy_stopped")
        for order in list(self._tape.state.orders.values()):
            mine = self._routes.strategy(order.origin) == seat.place
            if not mine or order.id not in self._tape.state.orders:
                continue
            if self.sending.is_away:
                self.sending.withdraw(order, row, why)
            else:
                self.intents.send(order.id, order.origin, row, why, "cancel", reason="strategy_stopped")
        self._venue.rearm()

    def adopt(self) -> None:
        """Go on from what the state remembers, which is another now."""
        if self._watch is not None:
            self._watch.attach(self._tape)
        self.sending.stand()
        if self._calls is not None:
            self._calls.attach(self._tape)
        self._venue.rearm()

    def _liquidate(self, account: int, row: int, cause: int) -> None:
        """Take an account's orders off and close its margined positions at the market: they meet the next row."""
        state, tape = self._tape.state, self._tape
        for order in list(state.orders.values()):
            if state.owners[order.origin] == account and order.id in state.orders and order.phase in _WORKING:
                self._venue.cancel(order, row, cause, "margin_called", at=self._coordinator.now_ns)
        origin = state.owners.index(account)
        seat = self.seats[self._routes.strategy(origin)]
        for number, holding in sorted(state.accounts[account].holdings.items()):
            if holding.quantity and self._coordinator.traded[number].margined:
                head = (row, tape.next_sub(row), origin, state.records, (cause,), state.next_order_id, number)
                self.intents.weigh(seat, IntentRaised(*head, "submit", -holding.quantity), session=True)

    def tell(self, row: int, heard: int) -> None:
        """Tell strategies what became of their orders since record `heard`, until there is nothing new."""
        if not self._hears_orders:
            return
        for _ in range(ROUNDS_MAX):
            news = [record for record in self._tape.unsealed[heard:] if isinstance(record, OrderReport)]
            heard = len(self._tape.unsealed)
            if not news:
                return
            for report in news:
                if self._latency.report_ns and not isinstance(report, OrderDenied):
                    self._travel(report, row)
                else:
                    self._hear(report, row, cause_id(row, report.sub))
            self.sending.pump(row)
        if not self._isolate:
            raise _endless(row)
        for seat in self.seats:
            if seat.hears_orders and any(self._routes.strategy(each.origin) == seat.place for each in news):
                self.stop(seat, "on_order", row, cause_id(row, 0), _endless(row))

    def due(self, entry: Scheduled, row: int) -> None:
        """Let what is due happen in the step of `row`: a command arrives, a report is heard, a timer fires."""
        tape, causes, heard = self._tape, (entry.cause,), len(self._tape.unsealed)
        if entry.kind == TIMER:
            fired = tape.write(TimerFired, row, entry.origin, causes, entry.number, entry.time, entry.name)
            seat, cause = self.seats[self._routes.strategy(entry.origin)], cause_id(row, fired.sub)
            if self.call(seat, "on_timer", row, cause, fired):
                self.decide(row, cause)
            return
        arrived = tape.write(Arrived, row, entry.origin, causes, entry.number, entry.time)
        cause = cause_id(row, arrived.sub)
        if entry.kind == COMMAND:
            self.intents.arrive(entry, row, cause)
        elif entry.report is not None:
            self._hear(entry.report, row, cause)
        self.sending.pump(row)  # an answer lets the next command for its order go
        self.tell(row, heard)
        self._venue.rearm()

    def decide(self, row: int, cause: int, *, session: bool = True, heard: int | None = None) -> None:
        """Turn what the strategies asked for at `cause` into records, strategy by strategy; without `session` every
        order is denied.  They hear what became of their orders since record `heard` (None: of what they asked for).
        """
        heard, seen = len(self._tape.unsealed) if heard is None else heard, self._tape.state.records
        asked = [(seat, seat.context.take()) for seat in self.seats if seat.context.wishes]
        for seat, wishes in asked:
            self.intents.answer(seat, wishes, row, cause, seen=seen, session=session)
        self.sending.pump(row)
        self.observe(row, heard)

    def observe(self, row: int, heard: int) -> None:
        """Let strategies hear what became of their orders since record `heard`, and the venue look at what rests."""
        if self._hears_orders:
            self.tell(row, heard)
        self._venue.rearm()


def _margin_calls(coordinator: Coordinator, exchange: Exchange, tape: Tape) -> MarginCalls | None:
    """Return what looks after margined positions, where there can be any."""
    if not any(each.margined for each in coordinator.traded):
        return None
    calls = MarginCalls(exchange.places, coordinator)
    exchange.wake_for(calls)
    calls.attach(tape)
    return calls


def _endless(row: int) -> InvalidInput:
    return InvalidInput(f"on_order asks again without end at row {row}: {ROUNDS_MAX} rounds", row=row)
