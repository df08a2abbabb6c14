"""From what a strategy asks for to what a venue has: intent, risk decision, order, each a record with its cause.

Rule 1: every request leaves a record, the nonsensical ones too; none becomes an order without a decision.
Rule 2: requests are answered after the handler returned, in the order in which they were made.
"""

from __future__ import annotations

from kronos.errors import InvalidInput
from kronos.trading.bars import Bars, Split
from kronos.trading.context import Context, Quantity
from kronos.trading.events import (
    IntentRaised,
    Noted,
    OrderAccepted,
    OrderAdjusted,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderSubmitted,
    RiskDecided,
    SplitApplied,
)
from kronos.trading.instruments import Instrument
from kronos.trading.matching import NEXT_OPEN, due, split_cash, split_lots
from kronos.trading.positions import cause_id
from kronos.trading.risk import Limits, Question, judge
from kronos.trading.state import Holding
from kronos.trading.strategy import Strategy
from kronos.trading.tape import Tape

__all__ = ["Desk"]

_ASKED_MAX = 100
"""Characters kept of a request that is no quantity."""


class Desk:
    """Answers one strategy's requests on one instrument, and brings it the fills and splits of the next open."""

    def __init__(self, bars: Bars, traded: Instrument, limits: Limits, strategy: Strategy) -> None:
        """Serve `strategy`; `attach` names the tape and the context of the run."""
        self._bars, self._traded, self._limits, self._strategy = bars, traded, limits, strategy
        self._hears_fills = type(strategy).on_fill is not Strategy.on_fill

    def attach(self, tape: Tape, context: Context) -> None:
        """Write to `tape` and read requests from `context` from now on."""
        self._tape, self._context = tape, context

    def open(self, row: int, price: int) -> None:
        """Fill what the open of `row` fills; `on_fill` sees nothing of the bar, and its orders wait for the next."""
        tape, context, market = self._tape, self._context, cause_id(row, 0)
        for order in due(tape.state, row):
            quantity = order.quantity - order.filled
            fee = self._traded.fee(self._traded.value(price, quantity))
            sub, seen, causes = tape.next_sub(row), tape.state.records, (order.cause, market)
            fill = OrderFilled(row, sub, order.origin, seen, causes, order.id, 0, quantity, price, fee, NEXT_OPEN)
            tape.emit(fill)
            if self._hears_fills:
                context.row, context.now = row, row - 1
                self._strategy.on_fill(context, fill)
                self.decide(row, cause_id(row, sub))

    def split(self, split: Split) -> None:
        """Apply a split before its row opens: to what is held, then to resting orders, then tell the strategy."""
        tape, state, row = self._tape, self._tape.state, split.row
        held = state.holdings.get(0, Holding()).quantity
        _, rest = split_lots(held, split.numerator, split.denominator)
        price = int(self._bars.close[row - 1]) if row else 0
        cash = split_cash(rest, split.numerator, price, self._traded.unit)
        sub, causes = tape.next_sub(row), (cause_id(row, 0),)
        applied = SplitApplied(row, sub, 0, state.records, causes, 0, split.numerator, split.denominator, cash)
        tape.emit(applied)
        causes = (cause_id(row, sub),)
        for order in list(state.orders.values()):
            lots, _ = split_lots(order.quantity - order.filled, split.numerator, split.denominator)
            sub, seen = tape.next_sub(row), state.records
            if lots:
                tape.emit(OrderAdjusted(row, sub, order.origin, seen, causes, order.id, lots))
            else:
                tape.emit(OrderCancelled(row, sub, order.origin, seen, causes, order.id, "split_fraction"))
        self._context.row, self._context.now = row, row - 1
        self._strategy.on_split(self._context, applied)
        self.decide(row, causes[0])

    def decide(self, row: int, cause: int, *, session: bool = True) -> None:
        """Turn what the strategy asked for at `cause` into records; without `session` every order is denied."""
        tape = self._tape
        seen = tape.state.records
        for action, order_id, wanted in self._context.take():
            sub = tape.next_sub(row)
            if action == "note":
                tape.emit(Noted(row, sub, 0, seen, (cause,), str(wanted)))
                continue
            quantity, asked = (0, "") if action == "cancel" else self._lots(action, wanted)
            kind = "cancel" if action == "cancel" else "submit"
            intent = IntentRaised(row, sub, 0, seen, (cause,), order_id, 0, kind, quantity, asked)
            tape.emit(intent)
            self._judge(intent, session=session)

    def _judge(self, intent: IntentRaised, *, session: bool) -> None:
        tape, row, order_id, now = self._tape, intent.row, intent.order_id, self._context.now
        price = int(self._bars.close[now]) if now >= 0 else 0
        verdict = judge(
            Question(
                intent=intent, state=tape.state, instrument=self._traded, limits=self._limits, price=price, open=session
            )
        )
        sub, seen, causes = tape.next_sub(row), tape.state.records, (cause_id(row, intent.sub),)
        allowed, reason = verdict.allowed, verdict.reason
        tape.emit(RiskDecided(row, sub, 0, seen, causes, order_id, allowed, reason, verdict.operands))
        causes = (cause_id(row, sub),)
        if intent.action == "cancel":
            if allowed:
                tape.emit(OrderCancelled(row, sub + 1, 0, seen, causes, order_id, "requested"))
        elif allowed:
            tape.emit(OrderSubmitted(row, sub + 1, 0, seen, causes, order_id))
            tape.emit(OrderAccepted(row, sub + 2, 0, seen, (cause_id(row, sub + 1),), order_id))
        else:
            tape.emit(OrderDenied(row, sub + 1, 0, seen, causes, order_id, reason))

    def _lots(self, action: str, wanted: Quantity) -> tuple[int, str]:
        """Return the signed lots of a request, or 0 and its words when it is no positive number of lots in bounds."""
        try:
            lots = self._traded.lots(wanted)
        except InvalidInput:
            return 0, repr(wanted)[:_ASKED_MAX]
        if not 0 < lots <= self._traded.quantity_max:
            return 0, str(wanted)[:_ASKED_MAX]
        return (lots if action == "buy" else -lots), ""
