"""The simulated venue behind the port: it keeps books of its own, and says what it does as any venue would.

Rule 1: the venue's orders are its own: nothing is shared with the session but commands and reports.
Rule 2: commands arrive `order_ns` after they were sent and reports are known `report_ns` after they happened.
Rule 3: rows and arrivals happen in the order of their times; at one time the market comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import numpy as np

from kronos.trading.accounts import Contract, new_account
from kronos.trading.adapters.reports import (
    Accepted,
    Cancelled,
    Expired,
    Filled,
    Refused,
    Rejected,
    Replaced,
    Report,
    Triggered,
)
from kronos.trading.columns import Int64s
from kronos.trading.events import (
    IntentRaised,
    OrderAccepted,
    OrderAdjusted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderSubmitted,
    OrderTriggered,
    Origin,
)
from kronos.trading.orders import Order
from kronos.trading.outbox import CANCEL, NEW, Command
from kronos.trading.positions import cause_id
from kronos.trading.state import TradingState
from kronos.trading.tape import Tape
from kronos.trading.terms import Terms

__all__ = ["Matching", "SimulatedVenue"]

_VENUE: Final = Origin(strategy_id="venue", execution_id="venue", route_id="venue", broker_id="venue")


class Matching(Protocol):
    """Who fills orders by rows: `venue.trades.TradeVenue` and its like."""

    def attach(self, tape: Tape, on_fill: Callable[[OrderFilled], None]) -> None: ...
    def accept(self, order: Order, row: int, cause: int, last: int, at: int) -> None: ...
    def cancel(self, order: Order, row: int, cause: int, reason: str, *, at: int | None = None) -> None: ...
    def replace(self, order: Order, row: int, cause: int, quantity: int, terms: Terms, *, at: int) -> None: ...
    def meet(self, index: int, row: int, cause: int) -> None: ...
    def next_touch(self, index: int, stop: int) -> int: ...
    def rearm(self) -> None: ...


class SimulatedVenue:
    """Lets `matching` work the orders of one instrument on rows that happen at `times` (ns UTC, ascending)."""

    def __init__(
        self, matching: Matching, times: Int64s, contract: Contract, *, instrument: int = 0, order_ns: int = 0,
        report_ns: int = 0,
    ) -> None:  # fmt: skip
        """`contract` says what a lot is worth; the venue does not ask who can pay."""
        self._matching, self._times, self._order_ns, self._report_ns = matching, times, order_ns, report_ns
        state = TradingState(accounts=[new_account({contract.currency: 0})], contracts={instrument: contract})
        self._tape = Tape(state, [_VENUE], lambda: b"", row=0)
        matching.attach(self._tape, lambda _: None)
        self._inbox: list[tuple[int, Command]] = []
        self._outgoing: list[Report] = []
        self._index, self._step, self._numbered = 0, 0, 0

    def send(self, command: Command, at: int) -> None:
        """Let the command arrive after its latency."""
        self._inbox.append((at + self._order_ns, command))

    def poll(self, until: int) -> list[Report]:
        """Let everything happen up to `until`, and return what of it is known and was not told."""
        self._advance(until)
        told = [report for report in self._outgoing if report.known <= until]
        self._outgoing = self._outgoing[len(told) :]
        return told

    def next_known(self, until: int) -> int | None:
        """Return when the next report may become known, as things stand."""
        known = [report.known for report in self._outgoing[:1]]
        known += [at + self._report_ns for at, _ in self._inbox[:1]]
        stop = int(np.searchsorted(self._times, until, side="right"))
        touched = self._matching.next_touch(self._index, stop)
        if touched < stop:
            known.append(int(self._times[touched]) + self._report_ns)
        first = min(known, default=until + 1)
        return first if first <= until else None

    def _advance(self, until: int) -> None:
        while self._inbox and self._inbox[0][0] <= until:
            at, command = self._inbox.pop(0)
            self._market(at)
            self._arrive(command, at)
        self._market(until)

    def _market(self, until: int) -> None:
        """Let the rows up to `until` meet the orders that they could touch."""
        stop = int(np.searchsorted(self._times, until, side="right"))
        while (touched := self._matching.next_touch(self._index, stop)) < stop:
            self._begin_step()
            self._matching.meet(touched, self._step, cause_id(self._step, 0))
            self._index = touched + 1
            self._say(int(self._times[touched]))
        self._index = max(self._index, stop)

    def _begin_step(self) -> None:
        """Begin a row of the venue's own records; those of the row before were told."""
        self._step += 1
        self._tape.begin_segment(self._step)
        self._tape.block.clear()

    def _arrive(self, command: Command, at: int) -> None:
        self._begin_step()
        order = self._tape.state.orders.get(command.order_id)
        if command.kind == NEW:
            self._take(command, order, at)
        elif order is None:
            self._tell(Refused, at, order_id=command.order_id, command=command.kind, reason="unknown_order")
        elif command.kind == CANCEL:
            self._matching.cancel(order, self._step, command.cause, "requested", at=at)
        elif command.quantity * order.quantity <= 0 or abs(command.quantity) <= abs(order.filled):
            self._tell(Refused, at, order_id=order.id, command=command.kind, reason="quantity")
        else:
            self._matching.replace(order, self._step, command.cause, command.quantity, command.terms, at=at)
        self._matching.rearm()
        self._say(at)

    def _take(self, command: Command, known: Order | None, at: int) -> None:
        tape, row, causes = self._tape, self._step, (command.cause,)
        if known is not None or command.order_id < tape.state.next_order_id:
            self._tell(Rejected, at, order_id=command.order_id, reason="duplicate_id")
            return
        tape.state.next_order_id = command.order_id
        asked = (command.order_id, command.instrument, "submit", command.quantity, "", command.terms)
        tape.write(IntentRaised, row, 0, causes, *asked)
        tape.write(OrderSubmitted, row, 0, causes, command.order_id)
        self._matching.accept(tape.state.orders[command.order_id], row, command.cause, 0, at)

    def _say(self, at: int) -> None:
        """Tell what the records of this step are to the outside."""
        for record in list[Any](self._tape.unsealed):
            for kind, fields in _spoken(record, self._tape.state):
                self._tell(kind, at, order_id=record.order_id, **fields)

    def _tell(self, kind: type[Any], at: int, **fields: Any) -> None:
        self._numbered += 1
        self._outgoing.append(kind(number=self._numbered, at=at, known=at + self._report_ns, **fields))


def _spoken(record: Any, state: TradingState) -> Iterator[tuple[type[Any], dict[str, Any]]]:
    match record:
        case OrderAccepted():
            yield Accepted, {}
        case OrderRejected(reason=reason):
            yield Rejected, {"reason": reason}
        case OrderCancelled(reason=reason):
            yield Cancelled, {"reason": reason}
        case OrderExpired(reason=reason):
            yield Expired, {"reason": reason}
        case OrderTriggered(by=by):
            yield Triggered, {"by": by}
        case OrderReplaced(quantity=quantity, terms=terms):
            yield Replaced, {"quantity": quantity, "terms": terms}
        case OrderAdjusted(order_id=order_id, quantity=left):
            order = state.orders.get(order_id)
            if order is not None:
                yield Replaced, {"quantity": order.filled + left, "terms": order.terms}
        case OrderFilled():
            names = ("quantity", "price", "fee", "assumption", "liquidity")
            yield Filled, {name: getattr(record, name) for name in names}
