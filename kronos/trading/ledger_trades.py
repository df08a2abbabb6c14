"""Trades: what was bought and sold, matched first in, first out, by who asked for it and by instrument.

Rule 1: an exit closes the oldest entry of the same strategy, route and instrument; an open trade stays open, marked at
        the last known price and never closed by the end of data.
Rule 2: value, fees and what a split paid leave an entry by the share of its lots; what is left keeps the rest, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kronos.errors import CorruptHistory
from kronos.trading.events import OrderFilled, Origin, Record, SplitApplied
from kronos.trading.ledger_fold import part_of
from kronos.trading.ledger_rows import Trade
from kronos.trading.money import from_money
from kronos.trading.pricing import Pricing
from kronos.trading.splits import split_lots

__all__ = ["trades_of"]


class _Lot(msgspec.Struct):
    """What is left of one entry: lots (signed), their value and their part of the fee."""

    fill: OrderFilled
    lots: int
    value: int
    fee: int
    paid: int = 0


def trades_of(
    records: Sequence[Record], pricing: Pricing, origins: Sequence[Origin], owners: Sequence[int], last_row: int
) -> list[Trade]:
    """Return closed trades in the order of their exits, then open ones in the order of their entries."""
    matching = _Matching(pricing, origins, last_row)
    lots: dict[tuple[int, int], list[_Lot]] = {}
    for record in records:
        if isinstance(record, SplitApplied):
            _split_lots(lots.get((record.instrument, owners[record.origin]), []), record)
        elif isinstance(record, OrderFilled):
            matching.fill(record, lots.setdefault((record.instrument, owners[record.origin]), []))
    left = sorted((lot for each in lots.values() for lot in each), key=lambda lot: (lot.fill.row, lot.fill.sub))
    return matching.closed + [matching.open(len(matching.closed) + 1 + place, lot) for place, lot in enumerate(left)]


class _Matching:
    """Matches fills with the entries that are left; `closed` are the trades that ended."""

    def __init__(self, pricing: Pricing, origins: Sequence[Origin], last_row: int) -> None:
        self._pricing, self._origins, self._last_row = pricing, origins, last_row
        self.closed: list[Trade] = []

    def fill(self, record: OrderFilled, lots: list[_Lot]) -> None:
        """Close what `record` closes of an account's entries in its instrument, and enter what is left of it."""
        left, fee = record.quantity, record.fee
        for lot in [each for each in lots if each.fill.origin == record.origin and each.lots * left < 0]:
            if not left:
                break
            quantity = min(abs(left), abs(lot.lots)) * (1 if lot.lots > 0 else -1)
            fee_part = part_of(fee, abs(quantity), abs(left))
            self.closed.append(self._close(lot, quantity, record, fee_part))
            left, fee = left + quantity, fee - fee_part
            if not lot.lots:
                lots.remove(lot)
        if left:
            value = self._pricing.traded[record.instrument].value(record.price, left)
            lots.append(_Lot(record, left, value, fee))

    def _close(self, lot: _Lot, quantity: int, exit_: OrderFilled, exit_fee: int) -> Trade:
        """Take `quantity` lots (signed as the entry) out of `lot` and return the trade that this ends."""
        entry_value = part_of(lot.value, quantity, lot.lots)
        entry_fee = part_of(lot.fee, quantity, lot.lots)
        paid = part_of(lot.paid, quantity, lot.lots)
        lot.lots, lot.value = lot.lots - quantity, lot.value - entry_value
        lot.fee, lot.paid = lot.fee - entry_fee, lot.paid - paid
        value = self._pricing.traded[exit_.instrument].value(exit_.price, quantity)
        gross, number = value - entry_value + paid, len(self.closed) + 1
        return self._trade(number, lot, lots=quantity, gross=gross, fees=entry_fee + exit_fee, exit_=exit_)

    def open(self, number: int, lot: _Lot) -> Trade:
        """Return what is left of an entry as an open trade."""
        instrument = lot.fill.instrument
        price = self._pricing.price(instrument, self._last_row) or lot.fill.price
        gross = self._pricing.traded[instrument].value(price, lot.lots) - lot.value + lot.paid
        return self._trade(number, lot, lots=lot.lots, gross=gross, fees=lot.fee, exit_=None)

    def _trade(self, number: int, lot: _Lot, *, lots: int, gross: int, fees: int, exit_: OrderFilled | None) -> Trade:
        entry, happened = lot.fill, self._happened
        traded, origin = self._pricing.traded[entry.instrument], self._origins[entry.origin]
        return Trade(
            number=number,
            quantity=traded.quantity(lots),
            entry_row=entry.row,
            entry_time_ns=happened(entry),
            entry_price=traded.price(entry.price),
            entry_order_id=entry.order_id,
            exit_row=exit_.row if exit_ else None,
            exit_time_ns=happened(exit_) if exit_ else None,
            exit_price=traded.price(exit_.price) if exit_ else None,
            exit_order_id=exit_.order_id if exit_ else None,
            fees=from_money(fees),
            pnl=from_money(gross - fees),
            open=exit_ is None,
            instrument=traded.symbol,
            strategy=origin.strategy_id,
            route=origin.route_id,
        )

    def _happened(self, fill: OrderFilled) -> int:
        return self._pricing.happened(fill.row, fill.causes)


def _split_lots(lots: list[_Lot], split: SplitApplied) -> None:
    """Apply a split to an account's entries together, so that fractions of a lot add up as they do in the account."""
    held = sum(lot.lots for lot in lots)
    left, _ = split_lots(held, split.numerator, split.denominator)
    before = after = 0
    ordered = sorted(lots, key=lambda lot: lot.fill.origin)
    for lot in ordered:
        before += lot.lots
        upto, _ = split_lots(before, split.numerator, split.denominator)
        lot.lots, after = upto - after, upto
    if ordered:
        ordered[-1].paid += split.cash
    lots[:] = [lot for lot in lots if lot.lots]
    if left != after:
        raise CorruptHistory("a split's lots do not add up")
