"""From what a venue says to what we record of it.

Rule 1: a report becomes the record that it is, or `ReportIgnored` with its words and the reason: none is dropped.
Rule 2: what is submitted stays so until a report resolves it; time alone resolves nothing.
Rule 3: a snapshot of our orders is recorded with its version before anything follows from it; an older one is ignored.
        What was sent before it and is not in it is not at the venue; what is in it has arrived.
Rule 4: while the line is down nothing new is sent by it: `FeedDegraded` for every instrument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kronos.trading.adapters.reports import (
    Accepted,
    Cancelled,
    Disconnected,
    Expired,
    Filled,
    Reconnected,
    Refused,
    Rejected,
    Replaced,
    Report,
    Snapshot,
    Triggered,
)
from kronos.trading.control import EVERY
from kronos.trading.events import (
    CommandRefused,
    FeedDegraded,
    FeedRestored,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrdersAnchored,
    OrderTriggered,
    Record,
    ReportIgnored,
)
from kronos.trading.orders import ALLOWED, Order, Phase
from kronos.trading.positions import cause_id
from kronos.trading.tape import Tape

__all__ = ["REPORTS_STREAM", "Reception"]

REPORTS_STREAM: Final = -1
"""Stands for the line to the venue where records name a stream of rows."""

_RECORD: Final[Mapping[type[Any], type[Any]]] = {
    Accepted: OrderAccepted,
    Rejected: OrderRejected,
    Filled: OrderFilled,
    Cancelled: OrderCancelled,
    Expired: OrderExpired,
    Replaced: OrderReplaced,
    Triggered: OrderTriggered,
    Refused: CommandRefused,
}
"""The record that a report of one order is."""


class Reception:
    """Writes what a venue says to `tape`; `on_fill` hears of every fill."""

    def __init__(self, tape: Tape, on_fill: Callable[[OrderFilled], None]) -> None:
        self._tape, self._on_fill = tape, on_fill

    def receive(self, report: Report, row: int) -> None:
        """Record `report`, which became known in the step of `row`."""
        match report:
            case Snapshot():
                self._anchor(report, row)
            case Disconnected():
                self._line(FeedDegraded, row, report.at, report.reason)
            case Reconnected():
                self._line(FeedRestored, row, report.at)
            case _:
                self._order(report, row)

    def _line(self, kind: type[Any], row: int, *fields: Any) -> None:
        self._tape.write(kind, row, 0, (cause_id(row, 0),), REPORTS_STREAM, EVERY, *fields)

    def _order(self, report: Any, row: int) -> None:
        order = self._tape.state.orders.get(report.order_id)
        objection = "unknown_order" if order is None else self._objection(report, order)
        if order is None or objection:
            self._ignore(report, report.order_id, row, objection)
            return
        record = self._tape.write(
            _RECORD[type(report)], row, order.origin, (order.cause,), order.id, *_fields(report, order)
        )
        if type(record) is OrderFilled:
            self._on_fill(record)

    def _objection(self, report: Any, order: Order) -> str:
        """Return why a report does not follow from where its order stands, "" when it does."""
        if isinstance(report, Refused):
            flying = self._tape.state.outbox.in_flight.get(order.id)
            return "" if flying == report.command else f"{flying or 'nothing'}_in_flight"
        if _RECORD[type(report)] not in ALLOWED[order.phase]:
            return f"order_{order.phase}"
        if isinstance(report, Filled) and not _fits(report.quantity, order.quantity, order.filled):
            return "fill_does_not_fit"
        if isinstance(report, Replaced) and (
            report.quantity * order.quantity <= 0 or abs(report.quantity) <= abs(order.filled)
        ):
            return "quantity_does_not_fit"
        return ""

    def _ignore(self, report: Report, order_id: int, row: int, reason: str) -> None:
        words = type(report).__name__.lower()
        self._tape.write(ReportIgnored, row, 0, (cause_id(row, 0),), order_id, f"{words} {report.number}", reason)

    def _anchor(self, report: Snapshot, row: int) -> None:
        state = self._tape.state
        if report.version <= state.anchor:
            self._ignore(report, 0, row, "stale_snapshot")
            return
        anchor = self._tape.write(OrdersAnchored, row, 0, (cause_id(row, 0),), report.version, report.at, report.orders)
        cause, there = cause_id(row, anchor.sub), {order_id for order_id, _, _ in report.orders}
        for order_id in sorted(there - state.orders.keys()):
            self._ignore(report, order_id, row, "unknown_order")
        for order in [each for each in state.orders.values() if 0 < each.since <= report.at]:
            self._resolve(order, row, cause, is_there=order.id in there, at=report.at)

    def _resolve(self, order: Order, row: int, cause: int, *, is_there: bool, at: int) -> None:
        kind: type[Record]
        if order.phase is Phase.SUBMITTED:
            kind, field = (OrderAccepted, at) if is_there else (OrderRejected, "not_in_snapshot")
        elif order.phase in {Phase.ACCEPTED, Phase.PARTIALLY_FILLED} and not is_there:
            kind, field = OrderCancelled, "not_in_snapshot"
        else:
            return
        self._tape.write(kind, row, order.origin, (cause,), order.id, field)


def _fields(report: Any, order: Order) -> tuple[Any, ...]:
    """Return what the record of a report holds beside the order's id."""
    match report:
        case Accepted():
            return (report.at,)
        case Filled():
            return (
                order.instrument, report.quantity, report.price, report.fee, report.assumption, report.liquidity,
            )  # fmt: skip
        case Replaced():
            return report.quantity, report.terms
        case Triggered():
            return (report.by,)
        case Refused():
            return report.command, report.reason
        case _:
            return (report.reason,)


def _fits(quantity: int, whole: int, filled: int) -> bool:
    return quantity * whole > 0 and abs(filled + quantity) <= abs(whole)
