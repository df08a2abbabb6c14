"""Implementation shortfall: what was lost between deciding and holding (Perold 1988), exact to the last 1e-8.

Rule 1: on paper every order that was asked for is held at once, at the price known when it was decided, without cost,
        up to the end; shortfall = profit on paper - profit of the account, and its parts sum to it exactly.
Rule 2: parts are money, > 0 is lost and < 0 gained:
        delay    from the price known at the row that decided to the first price that the order could meet: the open
                 of a bar, a trade, the middle of a quote;
        spread   of what a taker paid beyond the middle of the last quote before, up to half the quoted spread; without
                 a stream of quotes 0;
        slippage the rest, from there to the price of the fill, which for a resting order is what waiting changed;
        fees     as charged;
        risk_blocked  what denied orders would have made, unfilled  what the venue never filled;
        carry    funding and borrowing paid, less dividends and funding received;
        rounding what fractions of a lot at a split and the rounding of inverse values left: 0 without either.
Rule 3: an order that answers a price or another order (a stop, a child of a bracket, one of a group) is measured by
        the price that it names, and what of it is never filled counts nothing: it was no decision to hold.
Rule 4: what is a whole number stays an int: a Fraction, as after a split, costs ten times as much.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from kronos.trading.events import (
    IntentRaised,
    OrderDenied,
    OrderFilled,
    OrderReplaced,
    SplitApplied,
)
from kronos.trading.ledger import Ledger
from kronos.trading.money import from_money
from kronos.trading.terms import MARKET, Terms

__all__ = ["PARTS", "Shortfall", "shortfall"]

Exact = int | Fraction

PARTS: Final = ("delay", "spread", "slippage", "fees", "risk_blocked", "unfilled", "carry", "rounding")


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """Money, exact: `paper` - `real` = `total` = the sum of the parts."""

    paper: Decimal
    real: Decimal
    total: Decimal
    delay: Decimal
    spread: Decimal
    slippage: Decimal
    fees: Decimal
    risk_blocked: Decimal
    unfilled: Decimal
    carry: Decimal
    rounding: Decimal


class _Asked(msgspec.Struct):
    """An order as it was decided: `lots` still wanted, in lots of the end, and what it is measured against."""

    lots: Exact
    row: int
    number: int
    terms: Terms
    filled: Exact = 0
    denied: bool = False

    @property
    def own(self) -> bool:
        """Whether it stands for itself."""
        return self.terms.kind in {"market", "limit"} and not self.terms.parent and not self.terms.group


def shortfall(ledger: Ledger) -> Shortfall:
    """Return the shortfall of a run and its parts, over the instruments that settle in the ledger's currency."""
    asked: dict[int, _Asked] = {}
    parts: dict[str, Exact] = dict.fromkeys(PARTS, 0)
    prices = _Prices(ledger)
    held: Exact = 0
    for record in ledger.records:
        match record:
            case IntentRaised(action="submit") if record.instrument in ledger.numbers and ledger.owns(record.origin):
                lots = prices.lots(record.instrument, record.quantity, record.row)
                asked[record.order_id] = _Asked(lots, record.row, record.instrument, record.terms or MARKET)
            case OrderDenied() if record.order_id in asked:
                asked[record.order_id].denied = True
            case OrderReplaced() if record.order_id in asked:
                order = asked[record.order_id]
                order.lots = prices.lots(order.number, record.quantity, record.row) - order.filled
                order.terms = record.terms
            case OrderFilled() if record.order_id in asked:
                held += _filled(asked[record.order_id], record, prices, parts)
            case _:
                pass
    carried = sum(each.cash for each in ledger.changes if each.carry and each.number in ledger.numbers)
    parts["carry"] = -carried
    for order in asked.values():
        decided = prices.decided(order) if order.own else None
        if decided is not None:
            left = order.lots * prices.gain(order.number, decided, prices.end[order.number])
            parts["risk_blocked" if order.denied else "unfilled"] += left
    real = int(ledger.equity_units()[-1]) - ledger.initial_cash
    parts["rounding"] = held - parts["fees"] - parts["carry"] - real
    total = sum(parts.values())
    told = {name: _money(value) for name, value in parts.items()}
    return Shortfall(paper=_money(real + total), real=_money(real), total=_money(total), **told)


def _filled(order: _Asked, fill: OrderFilled, prices: _Prices, parts: dict[str, Exact]) -> Exact:
    """Add what a fill cost to `parts`; return what it made up to the end."""
    number = order.number
    lots, paid = prices.lots(number, fill.quantity, fill.row), prices.scaled(number, fill.price, fill.row)
    order.lots, order.filled = order.lots - lots, order.filled + lots
    decided, arrival = prices.references(order, paid)
    spread = prices.spread(fill, paid)
    parts["delay"] += lots * prices.gain(number, decided, arrival)
    parts["spread"] += lots * spread
    parts["slippage"] += lots * (prices.gain(number, arrival, paid) - spread)
    parts["fees"] += fill.fee
    return lots * prices.gain(number, paid, prices.end[number])


class _Prices:
    """Prices of a run in ticks of its end, and quantities in lots of its end: comparable across splits."""

    def __init__(self, ledger: Ledger) -> None:
        self._pricing, self._first = ledger.pricing, ledger.first_row
        self.end = {number: ledger.last_price(number) for number in ledger.numbers}
        splits = (r for r in ledger.records if isinstance(r, SplitApplied))
        self._splits = {(r.row, r.instrument): Fraction(r.numerator, r.denominator) for r in splits}

    def gain(self, number: int, start: Exact, stop: Exact) -> Exact:
        """Return the money that one lot makes while its price goes from `start` to `stop`."""
        traded = self._pricing.traded[number]
        return traded.unit * (Fraction(1) / start - Fraction(1) / stop if traded.inverse else stop - start)

    def _factor(self, number: int, row: int) -> Exact:
        """Return how many lots of the end one lot at `row` becomes."""
        found: Exact = 1
        for (at, instrument), factor in self._splits.items():
            if instrument == number and at > row:
                found *= factor
        return found

    def lots(self, number: int, count: int, row: int) -> Exact:
        return count * self._factor(number, row)

    def scaled(self, number: int, ticks: int, row: int) -> Exact:
        factor = self._factor(number, row)
        return ticks if factor == 1 else Fraction(ticks) / factor

    def decided(self, order: _Asked) -> Exact | None:
        """Return the price of a decision: the last one known, or the first that follows; None without either."""
        ticks = 0 if order.row < self._first else self._pricing.price(order.number, order.row)
        if ticks:
            return self.scaled(order.number, ticks, order.row)
        return self._arrival(order)

    def _arrival(self, order: _Asked) -> Exact | None:
        met = self._pricing.opening(order.number, order.row)
        return None if met is None else self.scaled(order.number, met[1], met[0])

    def references(self, order: _Asked, paid: Exact) -> tuple[Exact, Exact]:
        """Return the prices of decision and of arrival; an order that answers another is measured by its own price."""
        if order.own:
            return self.decided(order) or paid, self._arrival(order) or paid
        ticks = order.terms.stop or order.terms.limit
        meant = self.scaled(order.number, ticks, order.row) if ticks else paid
        return meant, meant

    def spread(self, fill: OrderFilled, paid: Exact) -> Exact:
        """Return what a lot lost to the spread: what a taker paid beyond the middle, up to the side that it took."""
        quoted = self._pricing.quoted(fill.instrument, fill.row) if fill.liquidity == "taker" else None
        if quoted is None:
            return 0
        bid, ask = (self.scaled(fill.instrument, ticks, fill.row) for ticks in quoted)
        middle = Fraction(bid + ask) / 2
        reached = min(max(paid, middle), ask) if fill.quantity > 0 else max(min(paid, middle), bid)
        return self.gain(fill.instrument, middle, reached)


def _money(value: Exact) -> Decimal:
    """Return money units as a Decimal; a fraction of a unit (after a split alone) is rounded half even."""
    return from_money(round(value))
