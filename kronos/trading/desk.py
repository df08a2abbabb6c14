"""From what a strategy asks for to what a venue has: intent, risk decision, order, each a record with its cause.

Rule 1: every request leaves a record, the nonsensical ones too; none becomes an order without a decision.
Rule 2: requests are answered after the handler returned, in the order in which they were made.
Rule 3: what the strategy hears of its orders it hears after that, and may ask again, ROUNDS_MAX times a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from kronos.errors import InvalidInput
from kronos.trading.bars import Bars, Split
from kronos.trading.context import Asked, Quantity, Wish
from kronos.trading.control import Directive
from kronos.trading.coordinator import Coordinator
from kronos.trading.events import (
    IntentRaised,
    Noted,
    OrderAccepted,
    OrderAdjusted,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderReport,
    OrderSubmitted,
    RiskDecided,
    SplitApplied,
)
from kronos.trading.margin_calls import MarginCalls
from kronos.trading.orders import Order, Phase
from kronos.trading.payments import Due, pay
from kronos.trading.positions import cause_id
from kronos.trading.risk import Limits, Question, Watch, judge, rules_for
from kronos.trading.routes import Routes
from kronos.trading.seats import Seat
from kronos.trading.sending import Sending
from kronos.trading.splits import split_cash, split_lots
from kronos.trading.tape import Tape
from kronos.trading.terms import MARKET, Terms, read_terms
from kronos.trading.venue.exchange import Exchange

__all__ = ["ROUNDS_MAX", "Desk"]

ROUNDS_MAX: Final = 1_000
"""Times that a strategy may ask again within one row because of what became of its orders: more is a flood."""

_WORKING: Final = frozenset({Phase.ACCEPTED, Phase.PARTIALLY_FILLED})
_ASKED_MAX: Final = 100
"""Characters kept of a request that is no quantity."""


class Desk:
    """Answers the requests of all strategies of a session, and brings each what the venue says of its orders."""

    def __init__(
        self, coordinator: Coordinator, limits: Sequence[Limits], routes: Routes, exchange: Exchange, tape: Tape
    ) -> None:
        """Serve at `exchange`; `limits` are those of each instrument."""
        self._coordinator, self._limits, self._routes, self._tape = coordinator, limits, routes, tape
        self._venue = exchange
        self._rules = [rules_for(each) for each in limits]
        self._watch = _watch(coordinator, limits, tape)
        self.sending = Sending(coordinator, exchange, tape, routes=len(routes.ids))
        self._calls = _margin_calls(coordinator, exchange, tape)
        self.seats: list[Seat] = []
        self._hears_orders = False

    def seat(self, seats: Sequence[Seat]) -> None:
        """Serve `seats`, in the order of their numbers."""
        self.seats = list(seats)
        self._hears_orders = any(seat.hears_orders for seat in seats)

    def meet(self, stream: int, index: int, row: int, cause: int) -> None:
        """Let a market row meet the orders; handlers see nothing of it, and their orders wait for the next."""
        heard = len(self._tape.unsealed)
        self._look(row, cause_id(row, 0))
        self._venue.meet(stream, index, row, cause)
        if self._calls is not None:
            for account, sub in self._calls.meet(stream, index, row, cause, self._coordinator.clock):
                self._liquidate(account, row, cause_id(row, sub))
            self._venue.rearm()
        self._tell(row, heard)

    def filled(self, fill: OrderFilled) -> None:
        """Bring a fill to the strategy whose order it was."""
        seat = self.seats[self._routes.strategy(fill.origin)]
        self._coordinator.row = fill.row
        self._booked(fill.row, cause_id(fill.row, fill.sub))
        if seat.hears_fills:
            seat.strategy.on_fill(seat.context, fill)
            self._answer(seat, seat.context.take(), fill.row, cause_id(fill.row, fill.sub))
            self.sending.pump(fill.row)

    def wake(self, row: int) -> None:
        """Let deferred commands go whose time has come before `row`."""
        heard, self._coordinator.row = len(self._tape.unsealed), row
        self.sending.wake(row)
        self._tell(row, heard)
        self._venue.rearm()

    def control(self, directive: Directive, row: int) -> None:
        """Throw a switch before `row`, and tell the strategies what it ended."""
        heard, self._coordinator.row = len(self._tape.unsealed), row
        self.sending.throw(directive, row)
        self._tell(row, heard)
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
            self._booked(row, cause_id(row, self._tape.state.sub))
            self._venue.rearm()

    def _liquidate(self, account: int, row: int, cause: int) -> None:
        """Take an account's orders off and close its margined positions at the market: they meet the next row."""
        state, tape = self._tape.state, self._tape
        for order in list(state.orders.values()):
            if state.owners[order.origin] == account and order.id in state.orders and order.phase in _WORKING:
                self._venue.cancel(order, row, cause, "margin_called")
        origin = state.owners.index(account)
        seat = self.seats[self._routes.strategy(origin)]
        for number, holding in state.accounts[account].holdings.items():
            if holding.quantity and self._coordinator.traded[number].margined:
                head = (row, tape.next_sub(row), origin, state.records, (cause,), state.next_order_id, number)
                self._judge(seat, IntentRaised(*head, "submit", -holding.quantity), session=True)

    def _look(self, row: int, cause: int) -> None:
        if self._watch is not None:
            self._watch.look(row, self._coordinator.cursors[0].now, self._coordinator.clock, cause)

    def _booked(self, row: int, cause: int) -> None:
        if self._watch is not None:
            self._watch.booked(row, self._coordinator.cursors[0].now, self._coordinator.clock, cause)

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
                seat = self.seats[self._routes.strategy(report.origin)]
                if seat.hears_orders:
                    seat.strategy.on_order(seat.context, report)
                    self._answer(seat, seat.context.take(), row, cause_id(row, report.sub))
            self.sending.pump(row)
        raise InvalidInput(f"on_order asks again without end at row {row}: {ROUNDS_MAX} rounds", row=row)

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
        self._booked(row, cause_id(row, applied[0].sub))
        for order in list(state.orders.values()):
            if order.instrument == number:
                told = applied[state.owners[order.origin]]
                self._split_order(order, split, row, (cause_id(row, told.sub),))
        for seat in self.seats:
            if number in seat.context.numbers:
                seat.strategy.on_split(seat.context, applied[state.owners[seat.origin]])
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
            if action == "cancel":
                origin, number = self._place_of(seat, order_id)
                intent = IntentRaised(row, sub, origin, seen, (cause,), order_id, number, "cancel", 0)
            elif action == "modify":
                origin, number = self._place_of(seat, order_id)
                quantity, words, terms = self._changed(number, order_id, wanted, asked or {})
                intent = IntentRaised(
                    row, sub, origin, seen, (cause,), order_id, number, "modify", quantity, words, terms
                )
            else:
                origin, number, unknown, rest = self._named(seat, asked)
                quantity, words = self._lots(number, action, wanted)
                wished = None
                if rest is not None:
                    traded = self._coordinator.traded[number]
                    wished, terms_words = read_terms(rest, traded.tick, traded.price_max)
                    words = words or terms_words
                intent = IntentRaised(
                    row, sub, origin, seen, (cause,), order_id, number, "submit", quantity, unknown or words, wished
                )
            self._judge(seat, intent, session=session)

    def _place_of(self, seat: Seat, order_id: int) -> tuple[int, int]:
        """Return the origin and instrument of an order of this strategy; of another's it knows nothing."""
        order = self._tape.state.orders.get(order_id)
        if order is None or self._routes.strategy(order.origin) != seat.place:
            return seat.origin, seat.context.numbers[0]
        return order.origin, order.instrument

    def _named(self, seat: Seat, asked: Asked | None) -> tuple[int, int, str, Asked | None]:
        """Return the origin and instrument that a request names, "" or what it names that there is not, and the rest
        of its terms.
        """
        context = seat.context
        if asked is None and len(context.numbers) == 1:
            return seat.origin, context.numbers[0], "", None
        rest: dict[str, Any] = dict(asked or {})
        name, route = rest.pop("instrument", None), rest.pop("route", None)
        number = context.number_of(name)
        origin = self._routes.origin(seat.place, route)
        unknown = ""
        if number is None:
            unknown = f"instrument {name!r}: one of {', '.join(context.instruments)}"[:_ASKED_MAX]
        elif origin is None:
            unknown = f"route {route!r}: one of {', '.join(self._routes.ids)}"[:_ASKED_MAX]
        return (
            seat.origin if origin is None else origin,
            context.numbers[0] if number is None else number,
            unknown,
            rest or None,  # type: ignore[return-value]  # what is left of the request's own words
        )

    def _judge(self, seat: Seat, intent: IntentRaised, *, session: bool) -> None:
        tape, row, order_id, number = self._tape, intent.row, intent.order_id, intent.instrument
        tape.emit(intent)
        coordinator = self._coordinator
        price, at = coordinator.price(number), coordinator.clock
        self._look(row, cause_id(row, intent.sub))
        verdict = judge(
            Question(
                intent=intent, state=tape.state, instrument=coordinator.traded[number], limits=self._limits[number],
                price=price, open=session, time=at, seen=coordinator.seen(number), prices=self._prices(),
                own=self._owns(seat, intent),
            ),
            self._rules[number],
        )  # fmt: skip
        origin, sub, seen = intent.origin, tape.next_sub(row), tape.state.records
        causes = (cause_id(row, intent.sub),)
        allowed, reason = verdict.allowed, verdict.reason
        tape.emit(RiskDecided(row, sub, origin, seen, causes, order_id, allowed, reason, verdict.operands))
        cause = cause_id(row, sub)
        if not allowed:
            if intent.action == "submit":
                tape.emit(OrderDenied(row, sub + 1, origin, seen, (cause,), order_id, reason))
        elif self.sending.is_queued:
            self.sending.take(intent, cause)
        elif intent.action == "cancel":
            self._venue.cancel(tape.state.orders[order_id], row, cause, "requested")
        elif intent.action == "modify":
            order = tape.state.orders[order_id]
            terms = intent.terms or order.terms
            self._venue.replace(order, row, cause, intent.quantity, terms, at=coordinator.now_ns)
        else:
            at = coordinator.now_ns
            tape.emit(OrderSubmitted(row, sub + 1, origin, seen, (cause,), order_id))
            if intent.terms is None:
                tape.emit(OrderAccepted(row, sub + 2, origin, seen, (cause_id(row, sub + 1),), order_id, at))
            else:
                self._venue.accept(tape.state.orders[order_id], row, cause_id(row, sub + 1), price, at)

        if allowed and self._watch is not None:
            self._watch.requested("cancel" if intent.action == "cancel" else "order", row, coordinator.clock, cause)

    def _prices(self) -> Mapping[int, int]:
        """Return the last known price of each instrument, where one order is judged on several."""
        if len(self._limits) == 1:
            return {}
        return {number: price for number in range(len(self._limits)) if (price := self._coordinator.price(number))}

    def _owns(self, seat: Seat, intent: IntentRaised) -> bool:
        """Return whether an order that is to be changed is the strategy's own."""
        order = self._tape.state.orders.get(intent.order_id)
        return intent.action == "submit" or order is None or self._routes.strategy(order.origin) == seat.place

    def _lots(self, number: int, action: str, wanted: Quantity | str | None) -> tuple[int, str]:
        """Return the signed lots of a request, or 0 and its words when it is no positive number of lots in bounds."""
        traded = self._coordinator.traded[number]
        try:
            lots = traded.lots(wanted)  # type: ignore[arg-type]  # None is refused as any other nonsense
        except InvalidInput:
            return 0, repr(wanted)[:_ASKED_MAX]
        if not 0 < lots <= traded.quantity_max:
            return 0, str(wanted)[:_ASKED_MAX]
        return (lots if action == "buy" else -lots), ""

    def _changed(
        self, number: int, order_id: int, wanted: Quantity | str | None, asked: Asked
    ) -> tuple[int, str, Terms | None]:
        """Return the whole quantity and the terms that a modification would leave an order with."""
        order = self._tape.state.orders.get(order_id)
        if order is None or order.phase is Phase.INTENDED:
            return 0, "", None
        quantity, words = order.quantity, ""
        if wanted is not None:
            quantity, words = self._lots(number, "buy" if order.quantity > 0 else "sell", wanted)
            if abs(quantity) <= abs(order.filled):
                quantity, words = 0, words or str(wanted)[:_ASKED_MAX]
        terms, terms_words = self._merged(number, order.terms, asked)
        return quantity, words or terms_words, terms

    def _merged(self, number: int, before: Terms, asked: Asked) -> tuple[Terms, str]:
        fixed = [name for name in ("type", "parent", "group", "instrument", "route") if name in asked]
        if fixed:
            return before, f"{fixed[0]}: cannot be changed; cancel and submit anew"
        traded = self._coordinator.traded[number]
        price = traded.price
        told: Asked = {"type": before.kind, "tif": before.tif, "reduce_only": before.reduce_only}
        for name in ("limit", "stop", "trail"):
            if ticks := getattr(before, name):
                told[name] = price(ticks)
        if before.until:
            told["until"] = before.until
        terms, words = read_terms({**told, **asked}, traded.tick, traded.price_max)
        return msgspec.structs.replace(terms, parent=before.parent, group=before.group), words


def _margin_calls(coordinator: Coordinator, exchange: Exchange, tape: Tape) -> MarginCalls | None:
    """Return what looks after margined positions, where there can be any."""
    if not any(each.margined for each in coordinator.traded):
        return None
    calls = MarginCalls(exchange.places, coordinator)
    exchange.wake_for(calls)
    calls.attach(tape)
    return calls


def _watch(coordinator: Coordinator, limits: Sequence[Limits], tape: Tape) -> Watch | None:
    """Return what remembers for risk, where a limit needs it; raise `InvalidInput` where it would not see enough."""
    if not any(each.remembers for each in limits):
        return None
    stream = coordinator.streams[0]
    if len(coordinator.streams) > 1 or len(tape.state.accounts) > 1 or not isinstance(stream, Bars):
        raise InvalidInput(
            "risk: drawdown_max, rolling_loss_max, order_rate and cancel_rate need a session of one account on one "
            "stream of bars",
            field="risk",
        )
    watch = Watch(stream.close, coordinator.traded[0], limits[0])
    watch.attach(tape)
    return watch
