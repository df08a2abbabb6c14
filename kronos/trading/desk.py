"""From what a strategy asks for to what a venue has: intent, risk decision, order, each a record with its cause.

Rule 1: every request leaves a record, the nonsensical ones too; none becomes an order without a decision.
Rule 2: requests are answered after the handler returned, in the order in which they were made.
Rule 3: what the strategy hears of its orders it hears after that, and may ask again, ROUNDS_MAX times a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kronos.errors import InvalidInput
from kronos.trading.adapters import VenueAdapter
from kronos.trading.bars import Split
from kronos.trading.context import Wish
from kronos.trading.control import Directive, Gap
from kronos.trading.coordinator import Coordinator
from kronos.trading.events import (
    Arrived,
    CommandRefused,
    CommandTravels,
    InstrumentDelisted,
    InstrumentListed,
    IntentRaised,
    Noted,
    OrderAccepted,
    OrderAdjusted,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderReport,
    OrderSubmitted,
    Report,
    ReportTravels,
    RiskDecided,
    SplitApplied,
    StrategyStopped,
    TimerFired,
    TimerSet,
)
from kronos.trading.margin_calls import MarginCalls
from kronos.trading.orders import Order, Phase
from kronos.trading.outbox import REPLACE
from kronos.trading.payments import Due, pay
from kronos.trading.positions import cause_id
from kronos.trading.requests import Reader
from kronos.trading.risk import Limits, Question, Watch, judge, rules_for
from kronos.trading.routes import Routes
from kronos.trading.scheduled import COMMAND, TIMER, Scheduled
from kronos.trading.seats import Seat, words_of_error
from kronos.trading.sending import Sending
from kronos.trading.session_config import Latency
from kronos.trading.splits import split_cash, split_lots
from kronos.trading.tape import Tape
from kronos.trading.terms import MARKET, Terms, read_terms
from kronos.trading.venue.exchange import Exchange

__all__ = ["ROUNDS_MAX", "Desk"]

ROUNDS_MAX: Final = 1_000
"""Times that a strategy may ask again within one row because of what became of its orders: more is a flood."""

_NO_PRICES: Final[Mapping[int, int]] = {}

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
        self._coordinator, self._limits, self._routes, self._tape = coordinator, limits, routes, tape
        self._venue, self._latency, self._isolate = exchange, latency, isolate
        self._reader = Reader(coordinator, routes, tape)
        self._rules = [rules_for(each) for each in limits]
        self._timed = [each.remembers or each.snapshot_age_max_ns is not None for each in limits]
        self._watch = _watch(coordinator, limits, tape)
        self.sending = Sending(coordinator, exchange, tape, self.filled, venues=venues, order_ns=latency.order_ns)
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
            self._look(row, cause_id(row, 0))
        self._venue.meet(stream, index, row, cause)
        if self._calls is not None:
            for account, sub in self._calls.meet(stream, index, row, cause, self._coordinator.clock):
                self._liquidate(account, row, cause_id(row, sub))
            self._venue.rearm()
        if self._hears_orders:
            self._tell(row, heard)

    def filled(self, fill: OrderFilled) -> None:
        """Bring a fill to the strategy whose order it was, at once or when its report arrives."""
        row = self._coordinator.row = fill.row
        cause = cause_id(row, fill.sub)
        if self._watch is not None:
            self._booked(self._tape.state.owners[fill.origin], fill.instrument, row, cause)
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
            self._answer(seat, seat.context.take(), row, cause)
            self.sending.pump(row)

    def wake(self, row: int) -> None:
        """Let deferred commands go whose time has come before `row`."""
        heard, self._coordinator.row = len(self._tape.unsealed), row
        self.sending.wake(row)
        self._tell(row, heard)
        self._venue.rearm()

    def control(self, event: Directive | Gap, row: int) -> None:
        """Throw a switch or record a gap before `row`, and tell the strategies what it ended."""
        heard, self._coordinator.row = len(self._tape.unsealed), row
        if isinstance(event, Gap):
            self.sending.degrade(event, row)
        else:
            self.sending.throw(event, row)
        self._tell(row, heard)
        self._venue.rearm()

    # -- strategies

    def call(self, seat: Seat, name: str, row: int, cause: int, *arguments: Any) -> bool:
        """Call a handler; return whether it returned.  One that raises stops its strategy, where they are isolated."""
        if seat.is_stopped:
            return False
        try:
            getattr(seat.strategy, name)(seat.context, *arguments)
        except Exception as error:
            self.stop(seat, name, row, cause, error)
            return False
        return True

    def stop(self, seat: Seat, handler: str, row: int, cause: int, error: Exception) -> None:
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
            if mine and order.id in self._tape.state.orders:
                self._send(order.id, order.origin, row, why, "cancel", reason="strategy_stopped")
        self._venue.rearm()

    def adopt(self) -> None:
        """Go on from what the state remembers, which is another now."""
        if self._watch is not None:
            self._watch.attach(self._tape)
        self.sending.stand()
        if self._calls is not None:
            self._calls.attach(self._tape)
        self._venue.rearm()

    def pay(self, due: Due, row: int) -> None:
        """Let every account that holds the instrument pay or receive what is due, before `row`."""
        self._coordinator.row = row
        self._look(row, cause_id(row, 0))
        before = self._tape.state.records
        pay(self._tape, due, row, self._coordinator.price(due.instrument), cause_id(row, 0))
        if self._tape.state.records > before:
            for account in range(len(self._tape.state.accounts)):
                self._booked(account, due.instrument, row, cause_id(row, self._tape.state.sub))
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
        self.sending.drop("instrument", number, row, gone, "delisted")
        for order in list(tape.state.orders.values()):
            if order.instrument == number and order.id in tape.state.orders:
                self._venue.cancel(order, row, gone, "delisted")
        self._tell(row, heard)
        self._venue.rearm()

    def _liquidate(self, account: int, row: int, cause: int) -> None:
        """Take an account's orders off and close its margined positions at the market: they meet the next row."""
        state, tape = self._tape.state, self._tape
        for order in list(state.orders.values()):
            if state.owners[order.origin] == account and order.id in state.orders and order.phase in _WORKING:
                self._venue.cancel(order, row, cause, "margin_called")
        origin = state.owners.index(account)
        seat = self.seats[self._routes.strategy(origin)]
        for number, holding in sorted(state.accounts[account].holdings.items()):
            if holding.quantity and self._coordinator.traded[number].margined:
                head = (row, tape.next_sub(row), origin, state.records, (cause,), state.next_order_id, number)
                self._judge(seat, IntentRaised(*head, "submit", -holding.quantity), session=True)

    def _look(self, row: int, cause: int) -> None:
        if self._watch is not None:
            self._watch.look(row, self._coordinator.clock, cause)

    def _booked(self, account: int, number: int, row: int, cause: int) -> None:
        if self._watch is not None:
            self._watch.booked(account, number, row, self._coordinator.clock, cause)

    def _tell(self, row: int, heard: int) -> None:
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
            self._arrive(entry, row, cause)
        elif entry.report is not None:
            self._hear(entry.report, row, cause)
        self.sending.pump(row)  # an answer lets the next command for its order go
        self._tell(row, heard)
        self._venue.rearm()

    def _arrive(self, entry: Scheduled, row: int, cause: int) -> None:
        """Let a command be at the venue; what has ended meanwhile cannot be cancelled or changed any more."""
        order, at = self._tape.state.orders.get(entry.order_id), entry.time
        if order is None or (entry.action == "modify" and abs(entry.quantity) <= abs(order.filled)):
            words = "finished" if order is None else "filled"
            kind = REPLACE if entry.action == "modify" else entry.action
            self._tape.write(CommandRefused, row, entry.origin, (cause,), entry.order_id, kind, words)
        elif entry.action == "cancel":
            self._venue.cancel(order, row, cause, entry.name)
        elif entry.action == "modify":
            self._venue.replace(order, row, cause, entry.quantity, entry.terms or order.terms, at=at)
        else:
            self._venue.accept(order, row, cause, self._coordinator.price(order.instrument), at)

    def split(self, split: Split, number: int, row: int) -> None:
        """Apply a split before its row opens: to what is held, then to resting orders, then tell the strategies."""
        tape, state, traded = self._tape, self._tape.state, self._coordinator.traded[number]
        self._coordinator.row = row
        self._look(row, cause_id(row, 0))
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
            self._booked(account, number, row, cause_id(row, told.sub))
        for order in list(state.orders.values()):
            if order.instrument == number:
                told = applied[state.owners[order.origin]]
                self._split_order(order, split, row, (cause_id(row, told.sub),))
        for seat in self.seats:
            if number in seat.context.numbers:
                told = applied[state.owners[seat.origin]]
                self.call(seat, "on_split", row, cause_id(row, told.sub), told)
        self.decide(row, cause_id(row, next(iter(applied.values())).sub))

    def _split_order(self, order: Order, split: Split, row: int, causes: tuple[int, ...]) -> None:
        lots, _ = split_lots(order.left, split.numerator, split.denominator)
        if not lots:
            self._tape.write(OrderCancelled, row, order.origin, causes, order.id, "split_fraction")
        elif order.terms == MARKET:
            self._tape.write(OrderAdjusted, row, order.origin, causes, order.id, lots)
        else:  # a price of before the split means nothing after it
            self._tape.write(OrderCancelled, row, order.origin, causes, order.id, "split")

    # -- requests

    def decide(self, row: int, cause: int, *, session: bool = True) -> None:
        """Turn what the strategies asked for at `cause` into records, strategy by strategy; without `session` every
        order is denied.
        """
        heard, seen = len(self._tape.unsealed), self._tape.state.records
        asked = [(seat, seat.context.take()) for seat in self.seats if seat.context.wishes]
        for seat, wishes in asked:
            self._answer(seat, wishes, row, cause, seen=seen, session=session)
        self.sending.pump(row)
        self.observe(row, heard)

    def observe(self, row: int, heard: int) -> None:
        """Let strategies hear what became of their orders since record `heard`, and the venue look at what rests."""
        if self._hears_orders:
            self._tell(row, heard)
        self._venue.rearm()

    def _answer(
        self, seat: Seat, wishes: list[Wish], row: int, cause: int, *, seen: int | None = None, session: bool = True
    ) -> None:
        tape = self._tape
        seen = tape.state.records if seen is None else seen
        for action, order_id, wanted, asked in wishes:
            sub = tape.next_sub(row)
            if action == "note":
                tape.emit(Noted(row, sub, seat.origin, seen, (cause,), str(wanted)))
                continue
            if action == "timer":
                tape.emit(TimerSet(row, sub, seat.origin, seen, (cause,), order_id, str(wanted)))
                continue
            if action == "cancel":
                origin, number = self._reader.place_of(seat, order_id)
                intent = IntentRaised(row, sub, origin, seen, (cause,), order_id, number, "cancel", 0)
            elif action == "modify":
                origin, number = self._reader.place_of(seat, order_id)
                quantity, words, terms = self._reader.changed(number, order_id, wanted, asked or {})
                intent = IntentRaised(
                    row, sub, origin, seen, (cause,), order_id, number, "modify", quantity, words, terms
                )
            else:
                origin, number, unknown, rest = self._reader.named(seat, asked)
                quantity, words = self._reader.lots(number, action, wanted)
                wished = None
                if rest is not None:
                    traded = self._coordinator.traded[number]
                    wished, terms_words = read_terms(rest, traded.tick, traded.price_max)
                    words = words or terms_words
                intent = IntentRaised(
                    row, sub, origin, seen, (cause,), order_id, number, "submit", quantity, unknown or words, wished
                )
            self._judge(seat, intent, session=session)

    def _judge(self, seat: Seat, intent: IntentRaised, *, session: bool) -> None:
        tape, row, order_id, number = self._tape, intent.row, intent.order_id, intent.instrument
        tape.emit(intent)
        asked = cause_id(row, intent.sub)
        if self._watch is not None:
            self._look(row, asked)
        verdict = judge(self._question(seat, intent, session=session), self._rules[number])
        origin, sub, seen = intent.origin, tape.next_sub(row), tape.state.records
        allowed, reason = verdict.allowed, verdict.reason
        tape.emit(RiskDecided(row, sub, origin, seen, (asked,), order_id, allowed, reason, verdict.operands))
        cause = cause_id(row, sub)
        if not allowed:
            if intent.action == "submit":
                tape.emit(OrderDenied(row, sub + 1, origin, seen, (cause,), order_id, reason))
        elif self.sending.is_queued:
            self.sending.take(intent, cause)
        elif intent.action == "submit":
            tape.emit(OrderSubmitted(row, sub + 1, origin, seen, (cause,), order_id))
            self._send(order_id, origin, row, cause_id(row, sub + 1), "submit", terms=intent.terms)
        else:
            self._send(order_id, origin, row, cause, intent.action, quantity=intent.quantity, terms=intent.terms)
        if allowed and self._watch is not None:
            request = "cancel" if intent.action == "cancel" else "order"
            self._watch.requested(tape.state.owners[origin], number, request, row, self._coordinator.clock, cause)

    def _question(self, seat: Seat, intent: IntentRaised, *, session: bool) -> Question:
        """Return what an intent is judged on; times are told where a limit compares them."""
        coordinator, number = self._coordinator, intent.instrument
        limits, is_timed = self._limits[number], self._timed[number]
        return Question(
            intent=intent, state=self._tape.state, instrument=coordinator.traded[number], limits=limits,
            price=coordinator.price(number), open=session, time=coordinator.clock if is_timed else 0,
            seen=coordinator.seen(number) if is_timed else 0,
            prices=self._prices() if len(self._limits) > 1 else _NO_PRICES,
            own=intent.action == "submit" or self._owns(seat, intent),
        )  # fmt: skip

    def _send(
        self, order_id: int, origin: int, row: int, cause: int, action: str, *, quantity: int = 0,
        terms: Terms | None = None, reason: str = "requested",
    ) -> None:  # fmt: skip
        """Bring a command to the venue: at once, or by a journey of `latency.order_ns`."""
        tape, at = self._tape, self._coordinator.now_ns
        if self._latency.order_ns:
            travels = at + self._latency.order_ns
            tape.write(CommandTravels, row, origin, (cause,), order_id, action, travels, quantity, terms, reason)
            return
        order = tape.state.orders[order_id]
        if action == "cancel":
            self._venue.cancel(order, row, cause, reason)
        elif action == "modify":
            self._venue.replace(order, row, cause, quantity, terms or order.terms, at=at)
        elif terms is None:
            tape.write(OrderAccepted, row, origin, (cause,), order_id, at)
        else:
            self._venue.accept(order, row, cause, self._coordinator.price(order.instrument), at)

    def _prices(self) -> Mapping[int, int]:
        """Return the last known price of each instrument, where one order is judged on several."""
        return {number: price for number in range(len(self._limits)) if (price := self._coordinator.price(number))}

    def _owns(self, seat: Seat, intent: IntentRaised) -> bool:
        """Return whether an order that is to be changed is the strategy's own."""
        order = self._tape.state.orders.get(intent.order_id)
        return order is None or self._routes.strategy(order.origin) == seat.place


def _margin_calls(coordinator: Coordinator, exchange: Exchange, tape: Tape) -> MarginCalls | None:
    """Return what looks after margined positions, where there can be any."""
    if not any(each.margined for each in coordinator.traded):
        return None
    calls = MarginCalls(exchange.places, coordinator)
    exchange.wake_for(calls)
    calls.attach(tape)
    return calls


def _watch(coordinator: Coordinator, limits: Sequence[Limits], tape: Tape) -> Watch | None:
    """Return what remembers for risk, where a limit needs it."""
    if not any(each.remembers for each in limits):
        return None
    watch = Watch(coordinator, limits[0])
    watch.attach(tape)
    return watch


def _endless(row: int) -> InvalidInput:
    return InvalidInput(f"on_order asks again without end at row {row}: {ROUNDS_MAX} rounds", row=row)
