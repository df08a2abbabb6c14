"""Who is exposed to what: lots held and open, their value, by route, by execution context, by instrument.

Rule 1: exposure is derived, never kept: what is open are the state's unfinished orders, what was filled its fills.
Rule 2: the sum over routes, over contexts or over instruments is the same number; nothing is in two rows or in none.
Rule 3: an order that our risk has not let out exposes to nothing; one that is held back for its parent, neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from kronos.trading.accounts import value_of
from kronos.trading.events import OrderFilled, Origin, Record, SplitApplied
from kronos.trading.orders import Order, Phase
from kronos.trading.splits import split_lots
from kronos.trading.state import TradingState

__all__ = ["Exposure", "by_context", "by_instrument", "by_route", "exposures"]

K = TypeVar("K")
Key = tuple[int, int]
"""(origin, instrument)."""


class Exposure(msgspec.Struct, kw_only=True):
    """Lots filled (signed) and open on either side (`buys` ≥ 0, `sells` ≤ 0), and what they are worth (1e-8, by
    currency): `gross` adds up, `net` sets off what is filled, both with open orders as if they filled.
    """

    filled: int = 0
    buys: int = 0
    sells: int = 0
    orders: int = 0
    gross: dict[str, int] = {}
    net: dict[str, int] = {}


def exposures(state: TradingState, fills: Iterable[Record], prices: Mapping[int, int]) -> dict[Key, Exposure]:
    """Return the exposure of each (origin, instrument) from a journal's records and the open orders of `state`.

    `fills` are the records from the beginning to where `state` stands (others than fills and splits are passed over);
    `prices` are the latest, in ticks, and value what has no price of its own; without one it is worth nothing.
    """
    found: dict[Key, Exposure] = {}
    for record in fills:
        if isinstance(record, OrderFilled):
            _at(found, (record.origin, record.instrument)).filled += record.quantity
        elif isinstance(record, SplitApplied):
            _split(found, state.owners, record)
    for order in state.orders.values():
        if order.phase is not Phase.INTENDED and not order.held:
            _open(_at(found, (order.origin, order.instrument)), order)
    for (_, instrument), exposure in found.items():
        _value(exposure, state, instrument, prices.get(instrument, 0))
    return found


def by_route(found: Mapping[Key, Exposure], origins: Sequence[Origin]) -> dict[str, Exposure]:
    """Return exposure by the route that orders travelled."""
    return _grouped(found, lambda key: origins[key[0]].route_id)


def by_context(found: Mapping[Key, Exposure], origins: Sequence[Origin]) -> dict[str, Exposure]:
    """Return exposure by execution context."""
    return _grouped(found, lambda key: origins[key[0]].execution_id)


def by_instrument(found: Mapping[Key, Exposure]) -> dict[int, Exposure]:
    """Return exposure by instrument (its number in the run)."""
    return _grouped(found, lambda key: key[1])


def _at(found: dict[Key, Exposure], key: Key) -> Exposure:
    if key not in found:
        found[key] = Exposure()
    return found[key]


def _open(exposure: Exposure, order: Order) -> None:
    lots = order.quantity - order.filled
    exposure.orders += 1
    if lots > 0:
        exposure.buys += lots
    else:
        exposure.sells += lots


def _split(found: dict[Key, Exposure], owners: Sequence[int], split: SplitApplied) -> None:
    """Split what the account holds in all, as the account does: fractions of a lot add up over its origins."""
    account = owners[split.origin]
    before = after = 0
    for (origin, instrument), exposure in sorted(found.items()):
        if instrument == split.instrument and owners[origin] == account:
            before += exposure.filled
            upto, _ = split_lots(before, split.numerator, split.denominator)
            exposure.filled, after = upto - after, upto


def _value(exposure: Exposure, state: TradingState, instrument: int, price: int) -> None:
    contract = state.contracts[instrument]
    if not price:
        return
    held, buys, sells = (value_of(contract, price, lots) for lots in (exposure.filled, exposure.buys, exposure.sells))
    exposure.gross = {contract.currency: abs(held) + abs(buys) + abs(sells)}
    exposure.net = {contract.currency: held + buys + sells}


def _grouped(found: Mapping[Key, Exposure], name: Callable[[Key], K]) -> dict[K, Exposure]:
    groups: dict[K, Exposure] = {}
    for key, exposure in found.items():
        group = groups.setdefault(name(key), Exposure())
        for field in ("filled", "buys", "sells", "orders"):
            setattr(group, field, getattr(group, field) + getattr(exposure, field))
        for field in ("gross", "net"):
            sums = getattr(group, field)
            for currency, amount in getattr(exposure, field).items():
                sums[currency] = sums.get(currency, 0) + amount
    return groups
