"""The life of an order: which fact may follow which, as data.

Rule 1: `ALLOWED` is the whole law; the diagram in the documentation is drawn from it.
Rule 2: a fact that does not follow is refused with `TransitionError`, never ignored (a late fill is a fault to see).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from kronos.errors import TransitionError
from kronos.trading.events import (
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
    Record,
)
from kronos.trading.terms import MARKET, Terms

__all__ = ["ALLOWED", "TERMINAL", "Order", "Phase", "advance"]


class Phase(StrEnum):
    """Where an order stands.

    What is submitted stays so until the venue says something of it: a fill says as much as an acknowledgement.
    """

    INTENDED = "intended"
    DENIED = "denied"
    QUEUED = "queued"
    SUBMITTED = "submitted"
    REJECTED = "rejected"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_RESTING: Final[Mapping[type[Record], frozenset[Phase]]] = {
    OrderFilled: frozenset({Phase.PARTIALLY_FILLED, Phase.FILLED}),
    OrderCancelled: frozenset({Phase.CANCELLED}),
    OrderExpired: frozenset({Phase.EXPIRED}),
}


def _linked(phase: Phase) -> Mapping[type[Record], frozenset[Phase]]:
    """What may happen to an order wherever it is: by its parent, by another of its group, by a split."""
    same = frozenset({phase})
    return {OrderAdjusted: same, OrderTriggered: same}


def _resting(phase: Phase) -> Mapping[type[Record], frozenset[Phase]]:
    """What may happen to an order that the venue has: it ends, or goes on under other terms."""
    return {**_RESTING, **_linked(phase), OrderReplaced: frozenset({phase})}


ALLOWED: Final[Mapping[Phase, Mapping[type[Record], frozenset[Phase]]]] = {
    Phase.INTENDED: {
        OrderDenied: frozenset({Phase.DENIED}),
        OutboxQueued: frozenset({Phase.QUEUED}),
        OrderSubmitted: frozenset({Phase.SUBMITTED}),
    },
    Phase.QUEUED: {
        OutboxQueued: frozenset({Phase.QUEUED}),
        OrderSubmitted: frozenset({Phase.SUBMITTED}),
        OrderCancelled: frozenset({Phase.CANCELLED}),
        **_linked(Phase.QUEUED),
    },
    Phase.SUBMITTED: {
        **_RESTING,
        **_linked(Phase.SUBMITTED),
        OrderAccepted: frozenset({Phase.ACCEPTED}),
        OrderRejected: frozenset({Phase.REJECTED}),
    },
    Phase.ACCEPTED: _resting(Phase.ACCEPTED),
    Phase.PARTIALLY_FILLED: _resting(Phase.PARTIALLY_FILLED),
    Phase.DENIED: {},
    Phase.REJECTED: {},
    Phase.FILLED: {},
    Phase.CANCELLED: {},
    Phase.EXPIRED: {},
}

TERMINAL: Final = frozenset(phase for phase, exits in ALLOWED.items() if not exits)


class Order(msgspec.Struct, kw_only=True):
    """An order that is not finished; `quantity` and `filled` in lots, signed alike (buy > 0).

    `row` is the row in whose step the venue got it: it never meets that row, nor a bar that opened before `since`
    (ns UTC; until it is accepted: when it was sent).  `cause` names the record that a fill follows.  `held` orders wait
    for their parent; `triggered` stops have met their price.  `ahead` is the quantity (the stream's steps) before it in
    its price's queue at `since`.
    """

    id: int
    origin: int
    instrument: int
    quantity: int
    row: int
    filled: int = 0
    phase: Phase = Phase.INTENDED
    cause: int = 0
    terms: Terms = MARKET
    held: bool = False
    triggered: bool = False
    since: int = 0
    ahead: int = 0

    @property
    def left(self) -> int:
        """Return the lots that are still to be filled (signed)."""
        return self.quantity - self.filled


def advance(order: Order, record: Record, target: Phase) -> None:
    """Move `order` to `target` because of `record`; raise `TransitionError` where the law has no such step."""
    if target not in ALLOWED[order.phase].get(type(record), frozenset()):
        raise TransitionError(
            f"order {order.id} is {order.phase}: {type(record).__name__} at ({record.row}, {record.sub}) "
            f"cannot make it {target}",
            order_id=order.id,
            phase=str(order.phase),
            event=type(record).__name__,
            row=record.row,
            sub=record.sub,
        )
    order.phase = target
