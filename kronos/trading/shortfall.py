"""Implementation shortfall: what was lost between deciding and holding (Perold 1988), exact to the last 1e-8.

Rule 1: on paper every order that was asked for is held at once, at the price known when it was decided, without cost,
        up to the end; shortfall = profit on paper - profit of the account, and its parts sum to it exactly.
Rule 2: parts are money, > 0 is lost and < 0 gained:
        delay    from the close of the row that decided to the first open that the order could meet;
        spread   half the quoted spread at the fill, where the fill crossed one (bars quote none: 0);
        slippage from there to the price of the fill, which for a resting order is what waiting changed;
        fees     as charged;
        risk_blocked  what denied orders would have made, unfilled  what the venue never filled;
        carry    funding and borrowing paid, less dividends and funding received;
        rounding what fractions of a lot at a split and the rounding of inverse values left: 0 without either.
Rule 3: an order that answers a price or another order (a stop, a child of a bracket, one of a group) is measured by
        the price that it names, and what of it is never filled counts nothing: it was no decision to hold.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from kronos.trading.events import (
    BorrowCharged,
    DividendPaid,
    FundingPaid,
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

    lots: Fraction
    row: int
    terms: Terms
    filled: Fraction = Fraction(0)
    denied: bool = False

    @property
    def own(self) -> bool:
        """Whether it stands for itself."""
        return self.terms.kind in {"market", "limit"} and not self.terms.parent and not self.terms.group


def shortfall(ledger: Ledger) -> Shortfall:
    """Return the shortfall of a run and its parts."""
    asked: dict[int, _Asked] = {}
    parts = dict.fromkeys(PARTS, Fraction(0))
    prices = _Prices(ledger)
    held = Fraction(0)
    for record in ledger.records:
        match record:
            case IntentRaised(action="submit"):
                lots = prices.lots(record.quantity, record.row)
                asked[record.order_id] = _Asked(lots, record.row, record.terms or MARKET)
            case OrderDenied() if record.order_id in asked:
                asked[record.order_id].denied = True
            case OrderReplaced():
                order = asked[record.order_id]
                order.lots = prices.lots(record.quantity, record.row) - order.filled
                order.terms = record.terms
            case OrderFilled():
                order = asked[record.order_id]
                lots = prices.lots(record.quantity, record.row)
                order.lots, order.filled = order.lots - lots, order.filled + lots
                paid = prices.scaled(record.price, record.row)
                decided, arrival = prices.references(order, paid)
                parts["delay"] += lots * prices.gain(decided, arrival)
                parts["slippage"] += lots * prices.gain(arrival, paid)
                parts["fees"] += record.fee
                held += lots * prices.gain(paid, prices.end)
            case FundingPaid() | BorrowCharged() | DividendPaid():
                parts["carry"] -= record.amount
            case _:
                pass
    for order in asked.values():
        if order.own:
            left = order.lots * prices.gain(prices.decided(order.row), prices.end)
            parts["risk_blocked" if order.denied else "unfilled"] += left
    real = Fraction(int(ledger.equity_units()[-1]) - ledger.initial_cash)
    parts["rounding"] = held - parts["fees"] - parts["carry"] - real
    total = sum(parts.values(), Fraction(0))
    told = {name: _money(value) for name, value in parts.items()}
    return Shortfall(paper=_money(real + total), real=_money(real), total=_money(total), **told)


class _Prices:
    """Prices of a run in ticks of its end, and quantities in lots of its end: comparable across splits."""

    def __init__(self, ledger: Ledger) -> None:
        self.bars, self.unit, self._inverse = ledger.bars, ledger.instrument.unit, ledger.instrument.inverse
        self.first, self.end = ledger.first_row, Fraction(int(ledger.bars.close[ledger.stop_row - 1]))
        self._splits = [r for r in ledger.records if isinstance(r, SplitApplied)]

    def gain(self, start: Fraction, stop: Fraction) -> Fraction:
        """Return the money that one lot makes while its price goes from `start` to `stop`."""
        return self.unit * (1 / start - 1 / stop if self._inverse else stop - start)

    def _factor(self, row: int) -> Fraction:
        """Return how many lots of the end one lot at `row` becomes."""
        found = Fraction(1)
        for split in self._splits:
            if split.row > row:
                found *= Fraction(split.numerator, split.denominator)
        return found

    def lots(self, count: int, row: int) -> Fraction:
        return count * self._factor(row)

    def scaled(self, ticks: int, row: int) -> Fraction:
        return Fraction(ticks) / self._factor(row)

    def decided(self, row: int) -> Fraction:
        """Return the price of a decision at `row`: its close, or the first open for one before the first row."""
        if row < self.first:
            return self.scaled(int(self.bars.open[self.first]), self.first)
        return self.scaled(int(self.bars.close[row]), row)

    def references(self, order: _Asked, paid: Fraction) -> tuple[Fraction, Fraction]:
        """Return the prices of decision and of arrival; an order that answers another is measured by its own price."""
        if order.own:
            return self.decided(order.row), self.scaled(int(self.bars.open[order.row + 1]), order.row + 1)
        ticks = order.terms.stop or order.terms.limit
        meant = self.scaled(ticks, order.row) if ticks else paid
        return meant, meant


def _money(value: Fraction) -> Decimal:
    """Return money units as a Decimal; a fraction of a unit (after a split alone) is rounded half even."""
    return from_money(round(value))
