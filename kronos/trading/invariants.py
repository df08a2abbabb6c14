"""What must be true of a run whatever its strategies do; a breach halts it with the state that broke it.

Rule 1: every account keeps its money: `accounts.imbalance` is empty.
Rule 2: exposure equals fills: what is held, and what each order has filled, is what the records of fills say.
Rule 3: no order is queued or sent without a decision of risk that allowed it.
Rule 4: the outbox equals its derivation from the records (`outbox_fold.derived`).

What is compared is derived anew from the records, in another way than the state was; proven at the end of every block
and of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeGuard

from kronos.errors import InvariantBreach
from kronos.kernel import canonical
from kronos.trading.accounts import imbalance
from kronos.trading.events import OrderFilled, OrderSubmitted, OutboxQueued, Record, RiskDecided, SplitApplied
from kronos.trading.orders import Phase
from kronos.trading.outbox import NEW, Outbox
from kronos.trading.outbox_fold import derived
from kronos.trading.splits import split_lots
from kronos.trading.state import TradingState

__all__ = ["Witness"]

Held = dict[tuple[int, int], int]
"""Lots by (account, instrument)."""


class Witness:
    """Remembers what the state was at one moment, and proves what it must be after the records that followed."""

    def __init__(self, state: TradingState) -> None:
        """Begin to watch `state` as it stands now."""
        self._held = _held(state)
        self._filled = {order.id: order.filled for order in state.orders.values()}
        self._allowed = {order.id for order in state.orders.values() if order.phase is not Phase.INTENDED}
        self._queued, self._in_flight = dict(state.outbox.queued), dict(state.outbox.in_flight)

    def prove(self, records: Sequence[Record], state: TradingState) -> None:
        """Raise `InvariantBreach` unless `state` is what it must be after `records`, which followed the beginning."""
        breaches = [
            *_money(state),
            *self._exposure(records, state),
            *self._decisions(records, state),
            *self._outbox(records, state),
        ]
        if breaches:
            raise InvariantBreach(
                f"halted after ({state.row}, {state.sub}): {'; '.join(breaches)}: the state that broke it is in "
                "facts['state']; re-execute up to this row to see which record was the first",
                row=state.row,
                sub=state.sub,
                breaches=breaches,
                state=canonical.to_plain(state),
            )

    def _exposure(self, records: Sequence[Record], state: TradingState) -> Iterable[str]:
        held, filled = dict(self._held), dict(self._filled)
        for record in records:
            if type(record) is OrderFilled:
                key = state.owners[record.origin], record.instrument
                held[key] = held.get(key, 0) + record.quantity
                filled[record.order_id] = filled.get(record.order_id, 0) + record.quantity
            elif type(record) is SplitApplied:
                key = state.owners[record.origin], record.instrument
                held[key], _ = split_lots(held.get(key, 0), record.numerator, record.denominator)
        actual = _held(state)
        for key in sorted(held.keys() | actual.keys()):
            if held.get(key, 0) != actual.get(key, 0):
                lots = actual.get(key, 0)
                yield f"account {key[0]} holds {lots} lots of instrument {key[1]}, fills say {held.get(key, 0)}"
        for order in state.orders.values():
            if order.filled != filled.get(order.id, 0):
                yield f"order {order.id} has filled {order.filled} lots, fills say {filled.get(order.id, 0)}"

    def _decisions(self, records: Sequence[Record], state: TradingState) -> Iterable[str]:
        allowed = set(self._allowed)
        for record in records:
            if type(record) is RiskDecided and record.allowed:
                allowed.add(record.order_id)
            elif _leaves(record) and record.order_id not in allowed:
                yield f"order {record.order_id} at ({record.row}, {record.sub}) has no decision that allows it"
        for order in state.orders.values():
            if order.phase is not Phase.INTENDED and order.id not in allowed:
                yield f"order {order.id} is {order.phase} and has no decision that allows it"

    def _outbox(self, records: Sequence[Record], state: TradingState) -> Iterable[str]:
        live = state.outbox
        began = self._queued or self._in_flight or any(type(record) is OutboxQueued for record in records)
        if not (began or live.queued or live.in_flight):
            return
        opening = Outbox(queued=self._queued, in_flight=self._in_flight)
        waiting, flying = derived(opening, records, state.orders.__contains__)
        if waiting != live.queued:
            yield f"commands wait: {list(live.queued.values())}, the records say {list(waiting.values())}"
        if flying != live.in_flight:
            yield f"commands are in flight: {live.in_flight}, the records say {flying}"


def _leaves(record: Record) -> TypeGuard[OrderSubmitted | OutboxQueued]:
    return type(record) is OrderSubmitted or (type(record) is OutboxQueued and record.kind == NEW)


def _money(state: TradingState) -> Iterable[str]:
    for number, account in enumerate(state.accounts):
        for currency, amount in imbalance(account, state.contracts).items():
            yield f"account {number} is out by {amount} (1e-8 {currency})"


def _held(state: TradingState) -> Held:
    return {
        (number, instrument): holding.quantity
        for number, account in enumerate(state.accounts)
        for instrument, holding in account.holdings.items()
    }
