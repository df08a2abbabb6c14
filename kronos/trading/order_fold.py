"""How the records of orders move them: raised, decided, sent, accepted, filled, changed, triggered, ended.

Rule 1: a fold does what the record says and may not choose; a step that an order's life does not have is refused.
Rule 2: what ends is forgotten at once: the state holds unfinished orders alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

from kronos.errors import TransitionError
from kronos.trading.accounts import Account, Contract, book_fill
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
    OrderTriggered,
    OutboxQueued,
    OutboxSent,
    Record,
)
from kronos.trading.orders import Order, Phase, advance
from kronos.trading.outbox import NEW, REPLACE, Outbox
from kronos.trading.outbox_fold import APPLY as OUTBOX
from kronos.trading.outbox_fold import answer, ended
from kronos.trading.positions import cause_id
from kronos.trading.terms import MARKET

__all__ = ["APPLY", "Working"]


class Working(Protocol):
    """The part of a state that these records move."""

    accounts: list[Account]
    contracts: dict[int, Contract]
    owners: list[int]
    next_order_id: int
    orders: dict[int, Order]
    outbox: Outbox


def _order(state: Working, record: Any) -> Order:
    order = state.orders.get(record.order_id)
    if order is None:
        raise TransitionError(
            f"order {record.order_id} is finished or unknown: {type(record).__name__} at "
            f"({record.row}, {record.sub}) does not follow",
            order_id=record.order_id,
            event=type(record).__name__,
            row=record.row,
            sub=record.sub,
        )
    return order


def _intent(state: Working, record: IntentRaised) -> None:
    if record.action != "submit":
        return
    if record.order_id != state.next_order_id:
        raise TransitionError(
            f"order id {record.order_id} is not the next one, {state.next_order_id}", order_id=record.order_id
        )
    state.next_order_id += 1
    state.orders[record.order_id] = Order(
        id=record.order_id, origin=record.origin, instrument=record.instrument, quantity=record.quantity,
        row=record.row, cause=cause_id(record.row, record.sub), terms=record.terms or MARKET,
        held=record.terms is not None and record.terms.parent > 0,
    )  # fmt: skip


_Ending: TypeAlias = OrderDenied | OrderRejected | OrderCancelled | OrderExpired


def _finish(phase: Phase) -> Callable[[Working, Any], None]:
    def finish(state: Working, record: _Ending) -> None:
        advance(_order(state, record), record, phase)
        _forget(state, record.order_id)

    return finish


def _forget(state: Working, order_id: int) -> None:
    del state.orders[order_id]
    if state.outbox.in_flight:
        ended(state.outbox, order_id)


def _queued(state: Working, record: OutboxQueued) -> None:
    """Let a command wait; a new order, and what becomes of it before it is sent, is changed at once."""
    order = _order(state, record)
    if record.kind == NEW:
        advance(order, record, Phase.QUEUED)
        order.quantity, order.terms = record.quantity, record.terms
    OUTBOX[OutboxQueued](state.outbox, record)


def _sent(state: Working, record: OutboxSent) -> None:
    OUTBOX[OutboxSent](state.outbox, record)
    if record.kind == NEW:
        _order(state, record).since = record.at


def _submitted(state: Working, record: OrderSubmitted) -> None:
    advance(_order(state, record), record, Phase.SUBMITTED)


def _accepted(state: Working, record: OrderAccepted) -> None:
    order = _order(state, record)
    advance(order, record, Phase.ACCEPTED)
    order.row, order.since, order.ahead = record.row, record.at, record.ahead
    order.cause = cause_id(record.row, record.sub)
    if state.outbox.in_flight:
        answer(state.outbox, order.id, NEW)


def _filled(state: Working, record: OrderFilled) -> None:
    order = _order(state, record)
    filled = order.filled + record.quantity
    if record.quantity * order.quantity <= 0 or abs(filled) > abs(order.quantity):
        raise TransitionError(
            f"order {order.id}: a fill of {record.quantity} lots does not fit {order.quantity} with "
            f"{order.filled} filled",
            order_id=order.id,
        )
    done = filled == order.quantity
    advance(order, record, Phase.FILLED if done else Phase.PARTIALLY_FILLED)
    order.filled = filled
    if done:
        _forget(state, order.id)
    elif state.outbox.in_flight:
        answer(state.outbox, order.id, NEW)  # what was filled has arrived, whatever became of the acknowledgement
    account, contract = state.accounts[state.owners[record.origin]], state.contracts[record.instrument]
    book_fill(account, contract, record.instrument, record.quantity, record.price, record.fee)


def _adjusted(state: Working, record: OrderAdjusted) -> None:
    order = _order(state, record)
    advance(order, record, order.phase)
    order.quantity = order.filled + record.quantity


def _replaced(state: Working, record: OrderReplaced) -> None:
    order = _order(state, record)
    if record.quantity * order.quantity <= 0 or abs(record.quantity) <= abs(order.filled):
        raise TransitionError(
            f"order {order.id}: {record.quantity} lots cannot replace {order.quantity} with {order.filled} filled",
            order_id=order.id,
        )
    advance(order, record, order.phase)
    order.quantity, order.terms = record.quantity, record.terms
    if record.at:
        order.since, order.ahead = record.at, record.ahead
    order.cause = cause_id(record.row, record.sub)
    if state.outbox.in_flight:
        answer(state.outbox, order.id, REPLACE)


def _triggered(state: Working, record: OrderTriggered) -> None:
    order = _order(state, record)
    advance(order, record, order.phase)
    if record.at:
        order.since, order.ahead = record.at, record.ahead
    if record.by == "parent":
        order.held = False
    else:
        order.triggered = True
    order.cause = cause_id(record.row, record.sub)


APPLY: Final[Mapping[type[Record], Callable[[Any, Any], None]]] = {
    IntentRaised: _intent,
    OrderDenied: _finish(Phase.DENIED),
    OrderSubmitted: _submitted,
    OrderAccepted: _accepted,
    OrderRejected: _finish(Phase.REJECTED),
    OrderFilled: _filled,
    OrderCancelled: _finish(Phase.CANCELLED),
    OrderAdjusted: _adjusted,
    OrderReplaced: _replaced,
    OrderExpired: _finish(Phase.EXPIRED),
    OrderTriggered: _triggered,
    OutboxQueued: _queued,
    OutboxSent: _sent,
}
