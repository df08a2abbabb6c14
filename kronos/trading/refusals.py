"""What did not come to pass: strategies that were stopped, and orders that risk or the venue refused, by reason.

Rule: everything is read off the journal, so that a summary can say why nothing was traded.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import msgspec

from kronos.trading.events import IntentRaised, OrderDenied, OrderRejected, StrategyStopped
from kronos.trading.ledger import Ledger

_WHAT: Final[dict[type[Any], str]] = {OrderDenied: "denied", OrderRejected: "rejected"}

__all__ = ["Refused", "Stopped", "refused_of", "stopped_of"]


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy whose `handler` raised at `row`: `error` at `line` of the handler's file."""

    strategy: str
    row: int
    handler: str
    error: str
    message: str
    line: int


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """How many orders of a strategy were `denied` by our risk or `rejected` by the venue for one reason.

    `order_id` and `row` are those of the first; `asked` is what it asked for where that was no order.
    """

    strategy: str
    what: str
    reason: str
    orders: int
    order_id: int
    row: int
    asked: str = ""


def stopped_of(ledger: Ledger) -> list[Stopped]:
    """Return the strategies that were stopped, in the order in which they were."""
    return [
        Stopped(
            strategy=ledger.origins[each.origin].strategy_id,
            row=each.row,
            handler=each.handler,
            error=each.error,
            message=each.message,
            line=each.line,
        )
        for each in ledger.records
        if type(each) is StrategyStopped and ledger.owns(each.origin)
    ]


def refused_of(ledger: Ledger) -> list[Refused]:
    """Return the refusals of orders by strategy and reason, the most frequent first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    first: dict[tuple[str, str, str], OrderDenied | OrderRejected] = {}
    for each in ledger.records:
        if isinstance(each, OrderDenied | OrderRejected) and ledger.owns(each.origin):
            key = (ledger.origins[each.origin].strategy_id, _WHAT[type(each)], each.reason)
            counts[key] += 1
            first.setdefault(key, each)
    asked = _words(ledger, {each.order_id for each in first.values()})
    return [
        Refused(
            strategy=key[0], what=key[1], reason=key[2], orders=count,
            order_id=first[key].order_id, row=first[key].row, asked=asked.get(first[key].order_id, ""),
        )
        for key, count in counts.most_common()
    ]  # fmt: skip


def _words(ledger: Ledger, orders: set[int]) -> dict[int, str]:
    """Return by order what was asked for in words, where those were no order."""
    return {
        each.order_id: each.asked
        for each in ledger.records
        if type(each) is IntentRaised and each.action == "submit" and each.order_id in orders
    }
