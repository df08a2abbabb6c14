"""From what a strategy asks for to what a venue has: intent, risk decision, order, each a record with its cause.

Rule 1: every request leaves a record, the nonsensical ones too; none becomes an order without a decision.
Rule 2: requests are answered after the handler returned, in the order in which they were made.
Rule 3: what the strategy hears of its orders it hears after that, and may ask again, ROUNDS_MAX times a row.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kronos.errors import InvalidInput
from kronos.trading.bars import Bars, Split
from kronos.trading.context import Asked, Context, Quantity
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
from kronos.trading.instruments import Instrument
from kronos.trading.orders import Phase
from kronos.trading.positions import cause_id
from kronos.trading.risk import Limits, Question, Watch, judge, rules_for
from kronos.trading.splits import split_cash, split_lots
from kronos.trading.strategy import Strategy
from kronos.trading.tape import Tape
from kronos.trading.terms import MARKET, Terms, read_terms
from kronos.trading.venue import BarVenue

__all__ = ["ROUNDS_MAX", "Desk"]

ROUNDS_MAX: Final = 1_000
"""Times that a strategy may ask again within one row because of what became of its orders: more is a flood."""

_ASKED_MAX: Final = 100
"""Characters kept of a request that is no quantity."""


class Desk:
    """Answers one strategy's requests on one instrument, and brings it what the venue says."""

    def __init__(self, bars: Bars, traded: Instrument, limits: Limits, strategy: Strategy, venue: BarVenue) -> None:
        """Serve `strategy` at `venue`; `attach` names the tape and the context of the run."""
        self._bars, self._traded, self._limits, self._strategy = bars, traded, limits, strategy
        self._venue = venue
        self._rules = rules_for(limits)
        self._watch = Watch(bars.close, traded, limits) if limits.remembers else None
        self._hears_fills = type(strategy).on_fill is not Strategy.on_fill
        self._hears_orders = type(strategy).on_order is not Strategy.on_order

    def attach(self, tape: Tape, context: Context) -> None:
        """Write to `tape` and read requests from `context` from now on."""
        self._tape, self._context = tape, context
        self._venue.attach(tape, self._filled)
        if self._watch is not None:
            self._watch.attach(tape)

    def meet(self, row: int) -> None:
        """Let `row` meet the orders; handlers see nothing of the bar, and their orders wait for the next."""
        heard = len(self._tape.unsealed)
        if self._watch is not None:
            self._watch.look(row, row - 1, self._clock(row, row - 1), cause_id(row, 0))
        self._venue.meet(row)
        self._tell(row, heard)

    def _clock(self, row: int, now: int) -> int:
        """Return the time (ns UTC) at `row` when bars up to `now` are known: its close, or its open before that."""
        opens = int(self._bars.open_time[max(row, 0)])
        return opens + self._bars.interval_ns if now == row >= 0 else opens

    def _filled(self, fill: OrderFilled) -> None:
        if self._watch is not None:
            at, cause = self._clock(fill.row, fill.row - 1), cause_id(fill.row, fill.sub)
            self._watch.booked(fill.row, fill.row - 1, at, cause)
        if self._hears_fills:
            self._context.row, self._context.now = fill.row, fill.row - 1
            self._strategy.on_fill(self._context, fill)
            self._answer(fill.row, cause_id(fill.row, fill.sub))

    def _tell(self, row: int, heard: int) -> None:
        """Tell the strategy what became of its orders since record `heard`, until there is nothing new."""
        if not self._hears_orders:
            return
        for _ in range(ROUNDS_MAX):
            news = [record for record in self._tape.unsealed[heard:] if isinstance(record, OrderReport)]
            heard = len(self._tape.unsealed)
            if not news:
                return
            for report in news:
                self._strategy.on_order(self._context, report)
                self._answer(row, cause_id(row, report.sub))
        raise InvalidInput(f"on_order asks again without end at row {row}: {ROUNDS_MAX} rounds", row=row)

    def split(self, split: Split) -> None:
        """Apply a split before its row opens: to what is held, then to resting orders, then tell the strategy."""
        tape, state, row = self._tape, self._tape.state, split.row
        if self._watch is not None:
            self._watch.look(row, row - 1, self._clock(row, row - 1), cause_id(row, 0))
        held = state.held(0, 0)
        _, rest = split_lots(held, split.numerator, split.denominator)
        price = int(self._bars.close[row - 1]) if row else 0
        cash = split_cash(rest, split.numerator, price, self._traded.unit)
        causes = (cause_id(row, 0),)
        applied = tape.write(SplitApplied, row, 0, causes, 0, split.numerator, split.denominator, cash)
        causes = (cause_id(row, applied.sub),)
        if self._watch is not None:
            self._watch.booked(row, row - 1, self._clock(row, row - 1), causes[0])
        for order in list(state.orders.values()):
            lots, _ = split_lots(order.left, split.numerator, split.denominator)
            if not lots:
                tape.write(OrderCancelled, row, order.origin, causes, order.id, "split_fraction")
            elif order.terms == MARKET:
                tape.write(OrderAdjusted, row, order.origin, causes, order.id, lots)
            else:  # a price of before the split means nothing after it
                tape.write(OrderCancelled, row, order.origin, causes, order.id, "split")
        self._context.row, self._context.now = row, row - 1
        self._strategy.on_split(self._context, applied)
        self.decide(row, causes[0])

    # -- requests

    def decide(self, row: int, cause: int, *, session: bool = True) -> None:
        """Turn what the strategy asked for at `cause` into records; without `session` every order is denied."""
        heard = len(self._tape.unsealed)
        self._answer(row, cause, session=session)
        self._tell(row, heard)
        self._venue.rearm()

    def _answer(self, row: int, cause: int, *, session: bool = True) -> None:
        tape = self._tape
        seen = tape.state.records
        for action, order_id, wanted, asked in self._context.take():
            sub = tape.next_sub(row)
            if action == "note":
                tape.emit(Noted(row, sub, 0, seen, (cause,), str(wanted)))
            elif action == "cancel":
                self._judge(IntentRaised(row, sub, 0, seen, (cause,), order_id, 0, "cancel", 0), session=session)
            elif action == "modify":
                quantity, words, terms = self._changed(order_id, wanted, asked or {})
                intent = IntentRaised(row, sub, 0, seen, (cause,), order_id, 0, "modify", quantity, words, terms)
                self._judge(intent, session=session)
            else:
                quantity, words = self._lots(action, wanted)
                wished = None
                if asked is not None:
                    wished, terms_words = read_terms(asked, self._traded.tick, self._traded.price_max)
                    words = words or terms_words
                intent = IntentRaised(row, sub, 0, seen, (cause,), order_id, 0, "submit", quantity, words, wished)
                self._judge(intent, session=session)

    def _judge(self, intent: IntentRaised, *, session: bool) -> None:
        tape, row, order_id, now = self._tape, intent.row, intent.order_id, self._context.now
        tape.emit(intent)
        price, at = int(self._bars.close[now]) if now >= 0 else 0, self._clock(row, now)
        if self._watch is not None:
            self._watch.look(row, now, at, cause_id(row, intent.sub))
        verdict = judge(
            Question(
                intent=intent, state=tape.state, instrument=self._traded, limits=self._limits, price=price,
                open=session, time=at, seen=self._clock(now, now) if now >= 0 else 0,
            ),
            self._rules,
        )  # fmt: skip
        sub, seen, causes = tape.next_sub(row), tape.state.records, (cause_id(row, intent.sub),)
        allowed, reason = verdict.allowed, verdict.reason
        tape.emit(RiskDecided(row, sub, 0, seen, causes, order_id, allowed, reason, verdict.operands))
        cause = cause_id(row, sub)
        if not allowed:
            if intent.action == "submit":
                tape.emit(OrderDenied(row, sub + 1, 0, seen, (cause,), order_id, reason))
        elif intent.action == "cancel":
            self._venue.cancel(tape.state.orders[order_id], row, cause, "requested")
        elif intent.action == "modify":
            order = tape.state.orders[order_id]
            self._venue.replace(order, row, cause, intent.quantity, intent.terms or order.terms)
        else:
            tape.emit(OrderSubmitted(row, sub + 1, 0, seen, (cause,), order_id))
            if intent.terms is None:
                tape.emit(OrderAccepted(row, sub + 2, 0, seen, (cause_id(row, sub + 1),), order_id))
            else:
                self._venue.accept(tape.state.orders[order_id], row, cause_id(row, sub + 1), price)
        if allowed and self._watch is not None:
            self._watch.requested("cancel" if intent.action == "cancel" else "order", row, at, cause)

    def _lots(self, action: str, wanted: Quantity | None) -> tuple[int, str]:
        """Return the signed lots of a request, or 0 and its words when it is no positive number of lots in bounds."""
        try:
            lots = self._traded.lots(wanted)  # type: ignore[arg-type]  # None is refused as any other nonsense
        except InvalidInput:
            return 0, repr(wanted)[:_ASKED_MAX]
        if not 0 < lots <= self._traded.quantity_max:
            return 0, str(wanted)[:_ASKED_MAX]
        return (lots if action == "buy" else -lots), ""

    def _changed(self, order_id: int, wanted: Quantity | None, asked: Asked) -> tuple[int, str, Terms | None]:
        """Return the whole quantity and the terms that a modification would leave an order with."""
        order = self._tape.state.orders.get(order_id)
        if order is None or order.phase not in {Phase.ACCEPTED, Phase.PARTIALLY_FILLED}:
            return 0, "", None
        quantity, words = order.quantity, ""
        if wanted is not None:
            quantity, words = self._lots("buy" if order.quantity > 0 else "sell", wanted)
            if abs(quantity) <= abs(order.filled):
                quantity, words = 0, words or str(wanted)[:_ASKED_MAX]
        terms, terms_words = self._merged(order.terms, asked)
        return quantity, words or terms_words, terms

    def _merged(self, before: Terms, asked: Asked) -> tuple[Terms, str]:
        fixed = [name for name in ("type", "parent", "group") if name in asked]
        if fixed:
            return before, f"{fixed[0]}: cannot be changed; cancel and submit anew"
        price = self._traded.price
        told: Asked = {"type": before.kind, "tif": before.tif, "reduce_only": before.reduce_only}
        for name in ("limit", "stop", "trail"):
            if ticks := getattr(before, name):
                told[name] = price(ticks)
        if before.until:
            told["until"] = before.until
        terms, words = read_terms({**told, **asked}, self._traded.tick, self._traded.price_max)
        return msgspec.structs.replace(terms, parent=before.parent, group=before.group), words
