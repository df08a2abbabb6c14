"""What a trading run is at a position, and how one record moves it.

Rule 1: `State = fold(records, config)`: every change of a trading state happens in `apply`, which may not choose.
Rule 2: every field is part of the canonical bytes that the core chain covers; there is no field beside them.
Rule 3: money is conserved at every record: cash + cost of what is held = deposits + realised - fees.

`apply` works in place: replacing an immutable state was measured at 1.5 µs a record, a third of a whole bar.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from kronos.errors import TransitionError
from kronos.kernel import canonical
from kronos.trading.events import (
    IntentRaised,
    Noted,
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
    Record,
    RiskDecided,
    SplitApplied,
    TradingSwitched,
)
from kronos.trading.orders import Order, Phase, advance
from kronos.trading.positions import cause_id
from kronos.trading.terms import MARKET

__all__ = ["Holding", "TradingState", "apply", "conserved", "decode_state", "encode_state"]


class Holding(msgspec.Struct, kw_only=True):
    """What is held of one instrument: signed lots, what they cost, and what was made so far (money, 1e-8).

    A partial close releases cost pro rata, rounded toward zero: the remainder stays in the position.
    """

    quantity: int = 0
    cost: int = 0
    realised: int = 0
    fees: int = 0


class TradingState(msgspec.Struct, kw_only=True):
    """The whole core state; `units` maps an instrument to the money of one tick on one lot.

    `row, sub` is the position of the last record, `records` how many there were (the snapshot id),
    `orders` holds unfinished orders by id, `deposited` is what was ever paid in.
    """

    cash: int
    deposited: int
    units: dict[int, int]
    row: int = -1
    sub: int = 0
    records: int = 0
    trading_enabled: bool = True
    next_order_id: int = 1
    holdings: dict[int, Holding] = {}
    orders: dict[int, Order] = {}


def encode_state(state: TradingState) -> bytes:
    """Return the canonical bytes of `state`: equal states, equal bytes, on every machine."""
    return canonical.encode(state)


def decode_state(data: bytes) -> TradingState:
    """Return the state of canonical bytes."""
    return canonical.decode(data, TradingState)


def conserved(state: TradingState) -> bool:
    """Return whether money is conserved: cash + cost = deposits + realised - fees."""
    held = state.holdings.values()
    return state.cash + sum(h.cost for h in held) == state.deposited + sum(h.realised - h.fees for h in held)


def apply(state: TradingState, record: Record) -> None:
    """Make `state` the state after `record`.

    Raises `TransitionError` for a record out of order, an unknown order or an illegal step of its life.
    """
    row, sub = record.row, record.sub
    if row == state.row:
        if sub != state.sub + 1:
            raise _out_of_order(state, record)
    elif row < state.row or sub != 1:
        raise _out_of_order(state, record)
    _APPLY[type(record)](state, record)
    state.row = row
    state.sub = sub
    state.records += 1


def _out_of_order(state: TradingState, record: Record) -> TransitionError:
    return TransitionError(
        f"record at ({record.row}, {record.sub}) does not follow ({state.row}, {state.sub})",
        row=record.row,
        sub=record.sub,
    )


def _order(state: TradingState, record: Any) -> Order:
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


def _intent(state: TradingState, record: IntentRaised) -> None:
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


def _finish(phase: Phase) -> Callable[[TradingState, Any], None]:
    def finish(state: TradingState, record: _Ending) -> None:
        advance(_order(state, record), record, phase)
        del state.orders[record.order_id]

    return finish


def _submitted(state: TradingState, record: OrderSubmitted) -> None:
    advance(_order(state, record), record, Phase.SUBMITTED)


def _accepted(state: TradingState, record: OrderAccepted) -> None:
    order = _order(state, record)
    advance(order, record, Phase.ACCEPTED)
    order.cause = cause_id(record.row, record.sub)


def _filled(state: TradingState, record: OrderFilled) -> None:
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
        del state.orders[order.id]
    value = record.price * record.quantity * state.units[record.instrument]
    holding = state.holdings.get(record.instrument)
    if holding is None:
        holding = state.holdings[record.instrument] = Holding()
    _book(holding, record.quantity, value)
    holding.fees += record.fee
    state.cash -= value + record.fee


def _book(holding: Holding, quantity: int, value: int) -> None:
    """Add `quantity` lots bought (or sold, both negative) for `value` at average cost."""
    held = holding.quantity
    if held * quantity >= 0:
        holding.cost += value
    elif abs(quantity) <= abs(held):
        released = _pro_rata(holding.cost, abs(quantity), abs(held))
        holding.cost -= released
        holding.realised -= value + released
    else:
        closing = _pro_rata(value, abs(held), abs(quantity))
        holding.realised -= closing + holding.cost
        holding.cost = value - closing
    holding.quantity = held + quantity


def _pro_rata(amount: int, part: int, whole: int) -> int:
    share = abs(amount) * part // whole
    return share if amount >= 0 else -share


def _adjusted(state: TradingState, record: OrderAdjusted) -> None:
    order = _order(state, record)
    advance(order, record, order.phase)
    order.quantity = order.filled + record.quantity


def _replaced(state: TradingState, record: OrderReplaced) -> None:
    order = _order(state, record)
    if record.quantity * order.quantity <= 0 or abs(record.quantity) <= abs(order.filled):
        raise TransitionError(
            f"order {order.id}: {record.quantity} lots cannot replace {order.quantity} with {order.filled} filled",
            order_id=order.id,
        )
    advance(order, record, order.phase)
    order.quantity, order.terms = record.quantity, record.terms
    order.cause = cause_id(record.row, record.sub)


def _triggered(state: TradingState, record: OrderTriggered) -> None:
    order = _order(state, record)
    advance(order, record, order.phase)
    if record.by == "parent":
        order.held = False
    else:
        order.triggered = True
    order.cause = cause_id(record.row, record.sub)


def _split(state: TradingState, record: SplitApplied) -> None:
    holding = state.holdings.get(record.instrument)
    if holding is not None:
        holding.quantity = _pro_rata(holding.quantity, record.numerator, record.denominator)
        holding.realised += record.cash
        if not holding.quantity:
            holding.realised -= holding.cost
            holding.cost = 0
    state.cash += record.cash


def _switched(state: TradingState, record: TradingSwitched) -> None:
    state.trading_enabled = record.enabled


def _nothing(state: TradingState, record: RiskDecided | Noted) -> None:
    """Accept a record that explains and changes nothing."""


_APPLY: Final[Mapping[type[Record], Callable[[TradingState, Any], None]]] = {
    IntentRaised: _intent,
    RiskDecided: _nothing,
    OrderDenied: _finish(Phase.DENIED),
    OrderSubmitted: _submitted,
    OrderAccepted: _accepted,
    OrderRejected: _finish(Phase.REJECTED),
    OrderFilled: _filled,
    OrderCancelled: _finish(Phase.CANCELLED),
    OrderAdjusted: _adjusted,
    SplitApplied: _split,
    TradingSwitched: _switched,
    Noted: _nothing,
    OrderReplaced: _replaced,
    OrderExpired: _finish(Phase.EXPIRED),
    OrderTriggered: _triggered,
}
