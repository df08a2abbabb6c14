"""Every order's story, read off a journal: where it was asked for, what became of it, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kronos.trading.events import (
    IntentRaised,
    OrderAccepted,
    OrderAdjusted,
    OrderCancelled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderSubmitted,
    Origin,
    Record,
)
from kronos.trading.instruments import Instrument
from kronos.trading.ledger_rows import OrderRow
from kronos.trading.terms import MARKET, words_of

__all__ = ["orders_of"]


def orders_of(records: Sequence[Record], traded: Sequence[Instrument], origins: Sequence[Origin]) -> list[OrderRow]:
    """Return every order that was asked for, in the order of its id, with what became of it."""
    found: dict[int, OrderRow] = {}
    left: dict[int, int] = {}
    numbers: dict[int, Instrument] = {}
    for record in records:
        match record:
            case IntentRaised(action="submit"):
                left[record.order_id] = record.quantity
                numbers[record.order_id] = traded[record.instrument]
                found[record.order_id] = _asked(record, traded[record.instrument], origins[record.origin])
            case OrderDenied() | OrderRejected() | OrderCancelled() | OrderExpired():
                order = found[record.order_id]
                order.phase, order.reason = _ENDED[type(record)], record.reason
                order.end_row = record.row
            case OrderSubmitted() | OrderAccepted():
                found[record.order_id].phase = _ENDED[type(record)]
            case OrderFilled():
                left[record.order_id] -= record.quantity
                order = found[record.order_id]
                order.phase = "partially_filled" if left[record.order_id] else "filled"
                order.end_row = record.row
            case OrderReplaced():
                order, traded_one = found[record.order_id], numbers[record.order_id]
                left[record.order_id] += record.quantity - traded_one.lots(order.quantity)
                order.quantity = traded_one.quantity(record.quantity)
                order.terms = words_of(record.terms, traded_one.price)
            case OrderAdjusted():
                left[record.order_id] = record.quantity
            case _:
                pass
    return list(found.values())


def _asked(intent: IntentRaised, traded: Instrument, origin: Origin) -> OrderRow:
    return OrderRow(
        order_id=intent.order_id,
        row=intent.row,
        sub=intent.sub,
        quantity=traded.quantity(intent.quantity),
        phase="intended",
        cause_ids=intent.causes,
        terms=words_of(intent.terms or MARKET, traded.price),
        instrument=traded.symbol,
        strategy=origin.strategy_id,
        route=origin.route_id,
    )


_ENDED: dict[type[Any], str] = {
    OrderDenied: "denied",
    OrderRejected: "rejected",
    OrderCancelled: "cancelled",
    OrderExpired: "expired",
    OrderSubmitted: "submitted",
    OrderAccepted: "accepted",
}
