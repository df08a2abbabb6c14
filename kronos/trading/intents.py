"""From what a strategy asks for to what a venue has: intent, risk decision, order, each a record with its cause.

Rule 1: every request leaves a record, the nonsensical ones too; none becomes an order without a decision.
Rule 2: what is asked for as one is judged as one: an entry whose stop or target is denied is denied with its reason.
Rule 3: an allowed command goes to its venue at once, waits in the outbox, or travels `order_ns`: never two of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kronos.trading.context import Wish
from kronos.trading.coordinator import Coordinator
from kronos.trading.events import (
    CommandRefused,
    CommandTravels,
    IntentRaised,
    Noted,
    OrderAccepted,
    OrderDenied,
    OrderSubmitted,
    RiskDecided,
    TimerSet,
)
from kronos.trading.outbox import REPLACE
from kronos.trading.positions import Position, cause_id
from kronos.trading.requests import Reader
from kronos.trading.risk import Limits, Question, Watch, judge, rules_for
from kronos.trading.routes import Routes
from kronos.trading.scheduled import Scheduled
from kronos.trading.seats import Seat
from kronos.trading.sending import Sending
from kronos.trading.tape import Tape
from kronos.trading.terms import Terms, read_terms
from kronos.trading.venue.exchange import Exchange
from kronos.trading.words import text_of

__all__ = ["Intents"]

_NO_PRICES: Final[Mapping[int, int]] = {}


class Intents:
    """Judges the requests of all strategies of a session and brings what is allowed to the venues."""

    def __init__(
        self, coordinator: Coordinator, routes: Routes, exchange: Exchange, tape: Tape, *,
        limits: Sequence[Limits], sending: Sending, order_ns: int,
    ) -> None:  # fmt: skip
        """Judge within `limits` by instrument; commands to `exchange` travel `order_ns` unless `sending` is queued."""
        self._coordinator, self._limits, self._routes, self._tape = coordinator, limits, routes, tape
        self._venue, self._sending, self._order_ns = exchange, sending, order_ns
        self._reader = Reader(coordinator, routes, tape)
        self._rules = [rules_for(each) for each in limits]
        self._timed = [each.remembers or each.snapshot_age_max_ns is not None for each in limits]
        self.watch = _watch(coordinator, limits, tape)

    def answer(
        self, seat: Seat, wishes: list[Wish], row: int, cause: int, *, seen: int | None = None, session: bool = True
    ) -> None:
        """Turn what a strategy asked for at `cause` into records, in the order of its asking."""
        tape = self._tape
        seen = tape.state.records if seen is None else seen
        for action, order_id, wanted, asked in wishes:
            sub, legs = tape.next_sub(row), list[IntentRaised]()
            if action == "note":
                tape.emit(Noted(row, sub, seat.origin, seen, (cause,), text_of(wanted)))
                continue
            if action == "timer":
                tape.emit(TimerSet(row, sub, seat.origin, seen, (cause,), order_id, text_of(wanted)))
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
                intent = self._submit(seat, (action, order_id, wanted, asked), Position(row, sub), cause, seen)
                if len(wishes) > 1:
                    legs = [
                        self._submit(seat, wish, Position(row, sub), cause, seen)
                        for wish in wishes
                        if wish[0] in {"buy", "sell"} and _parent(wish) == order_id
                    ]
            self.weigh(seat, intent, session=session, legs=legs)

    def _submit(self, seat: Seat, wish: Wish, at: Position, cause: int, seen: int) -> IntentRaised:
        action, order_id, wanted, asked = wish
        origin, number, unknown, rest = self._reader.named(seat, asked)
        quantity, words = self._reader.lots(number, action, wanted)
        wished = None
        if rest is not None:
            traded = self._coordinator.traded[number]
            wished, terms_words = read_terms(rest, traded.tick, traded.price_max)
            words = words or terms_words
        return IntentRaised(
            at.row, at.sub, origin, seen, (cause,), order_id, number, "submit", quantity, unknown or words, wished
        )

    def weigh(self, seat: Seat, intent: IntentRaised, *, session: bool, legs: Sequence[IntentRaised] = ()) -> None:
        """Record an intent and its risk decision, and send what is allowed; without `session` every order is denied.

        What its fill would begin is judged with it: a bracket whose stop is no order has no entry either.
        """
        tape, row, order_id, number = self._tape, intent.row, intent.order_id, intent.instrument
        tape.emit(intent)
        asked = cause_id(row, intent.sub)
        if self.watch is not None:
            self.look(row, asked)
        verdict = judge(self._question(seat, intent, session=session), self._rules[number])
        for leg in legs:
            if not verdict.allowed:
                break
            verdict = judge(self._question(seat, leg, session=session), self._rules[leg.instrument])
        origin, sub, seen = intent.origin, tape.next_sub(row), tape.state.records
        allowed, reason = verdict.allowed, verdict.reason
        tape.emit(RiskDecided(row, sub, origin, seen, (asked,), order_id, allowed, reason, verdict.operands))
        cause = cause_id(row, sub)
        if not allowed:
            if intent.action == "submit":
                tape.emit(OrderDenied(row, sub + 1, origin, seen, (cause,), order_id, reason))
        elif self._sending.is_queued:
            self._sending.take(intent, cause)
        elif intent.action == "submit":
            tape.emit(OrderSubmitted(row, sub + 1, origin, seen, (cause,), order_id))
            self.send(order_id, origin, row, cause_id(row, sub + 1), "submit", terms=intent.terms)
        else:
            self.send(order_id, origin, row, cause, intent.action, quantity=intent.quantity, terms=intent.terms)
        if allowed and self.watch is not None:
            request = "cancel" if intent.action == "cancel" else "order"
            self.watch.requested(tape.state.owners[origin], number, request, row, self._coordinator.clock, cause)

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

    def send(
        self, order_id: int, origin: int, row: int, cause: int, action: str, *, quantity: int = 0,
        terms: Terms | None = None, reason: str = "requested",
    ) -> None:  # fmt: skip
        """Bring a command to the venue: at once, or by a journey of `latency.order_ns`."""
        tape, at = self._tape, self._coordinator.now_ns
        if self._order_ns:
            travels = at + self._order_ns
            tape.write(CommandTravels, row, origin, (cause,), order_id, action, travels, quantity, terms, reason)
            return
        order = tape.state.orders[order_id]
        if action == "cancel":
            self._venue.cancel(order, row, cause, reason, at=at)
        elif action == "modify":
            self._venue.replace(order, row, cause, quantity, terms or order.terms, at=at)
        elif terms is None:
            tape.write(OrderAccepted, row, origin, (cause,), order_id, at)
        else:
            self._venue.accept(order, row, cause, self._coordinator.price(order.instrument), at)

    def arrive(self, entry: Scheduled, row: int, cause: int) -> None:
        """Let a command be at the venue; what has ended meanwhile cannot be cancelled or changed any more."""
        order, at = self._tape.state.orders.get(entry.order_id), entry.time
        if order is None or (entry.action == "modify" and abs(entry.quantity) <= abs(order.filled)):
            words = "finished" if order is None else "filled"
            kind = REPLACE if entry.action == "modify" else entry.action
            self._tape.write(CommandRefused, row, entry.origin, (cause,), entry.order_id, kind, words)
        elif entry.action == "cancel":
            self._venue.cancel(order, row, cause, entry.name, at=at)
        elif entry.action == "modify":
            self._venue.replace(order, row, cause, entry.quantity, entry.terms or order.terms, at=at)
        else:
            self._venue.accept(order, row, cause, self._coordinator.price(order.instrument), at)

    def _prices(self) -> Mapping[int, int]:
        """Return the last known price of each instrument, where one order is judged on several."""
        return {number: price for number in range(len(self._limits)) if (price := self._coordinator.price(number))}

    def _owns(self, seat: Seat, intent: IntentRaised) -> bool:
        """Return whether an order that is to be changed is the strategy's own."""
        order = self._tape.state.orders.get(intent.order_id)
        return order is None or self._routes.strategy(order.origin) == seat.place

    def look(self, row: int, cause: int) -> None:
        """Let what remembers for risk see the time and prices of now."""
        if self.watch is not None:
            self.watch.look(row, self._coordinator.clock, cause)

    def booked(self, account: int, number: int, row: int, cause: int) -> None:
        """Let what remembers for risk see that an account's holding of an instrument has changed."""
        if self.watch is not None:
            self.watch.booked(account, number, row, self._coordinator.clock, cause)


def _watch(coordinator: Coordinator, limits: Sequence[Limits], tape: Tape) -> Watch | None:
    """Return what remembers for risk, where a limit needs it."""
    if not any(each.remembers for each in limits):
        return None
    watch = Watch(coordinator, limits[0])
    watch.attach(tape)
    return watch


def _parent(wish: Wish) -> int:
    """Return the order that a wish is held back for, 0 for none."""
    parent = (wish[3] or {}).get("parent")
    return parent if type(parent) is int else 0
