"""The reading side: trades, orders, fills, equity and drawdown, derived from a journal and its bars.

Rule 1: nothing here is stored; it is the journal's decision rows times the prices, computed in columns.
Rule 2: trades are matched first in, first out; an open trade stays open, marked and never closed by the end of data.
Rule 3: money stays integer (1e-8) until it leaves; a column is int64 where its bound is proven, else exact objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from kronos.errors import CorruptHistory
from kronos.trading.bars import Bars
from kronos.trading.events import (
    BorrowCharged,
    DividendPaid,
    FundingPaid,
    IntentRaised,
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderSubmitted,
    Record,
    SplitApplied,
)
from kronos.trading.instruments import BOUND, Instrument
from kronos.trading.journal import decode_segment
from kronos.trading.ledger_rows import FillRow, OrderRow, Trade
from kronos.trading.money import MONEY_SCALE, from_money
from kronos.trading.splits import split_lots
from kronos.trading.state import decode_state
from kronos.trading.terms import MARKET, words_of

__all__ = ["FillRow", "Ledger", "OrderRow", "Trade", "read_ledger"]

Floats = npt.NDArray[np.float64]


class _Lot(msgspec.Struct):
    """What is left of one entry: lots (signed), their value and their part of the fee."""

    fill: OrderFilled
    lots: int
    value: int
    fee: int
    paid: int = 0


class Ledger:
    """Everything that can be read off a finished or partial journal; rows first_row..stop_row-1 of `bars`."""

    def __init__(
        self, records: Sequence[Record], bars: Bars, traded: Instrument, *, cash: int, first_row: int, stop_row: int
    ) -> None:
        """Take the records of a journal, the bars and instrument of its run, and the cash (1e-8) that it began with."""
        self.records = records
        self.bars, self.instrument = bars, traded
        self.initial_cash, self.first_row, self.stop_row = cash, first_row, stop_row
        self._moves = [r for r in records if type(r) is OrderFilled or type(r) is SplitApplied]

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """Return when each row's close was known (ns UTC; shape (rows,))."""
        return self.bars.open_time[self.first_row : self.stop_row] + self.bars.interval_ns

    def equity_units(self) -> npt.NDArray[Any]:
        """Return equity at each row's close in money units (1e-8; shape (rows,)), int64 or exact objects."""
        count = self.stop_row - self.first_row
        cash, lots = self.initial_cash, 0
        rows, cashes, held = [self.first_row], [cash], [0]
        for record in self.records:
            if isinstance(record, OrderFilled):
                cash -= self.instrument.value(record.price, record.quantity) + record.fee
                lots += record.quantity
            elif isinstance(record, SplitApplied):
                lots, _ = split_lots(lots, record.numerator, record.denominator)
                cash += record.cash
            elif isinstance(record, FundingPaid | BorrowCharged | DividendPaid):
                cash += record.amount
            else:
                continue
            rows.append(max(record.row, self.first_row))
            cashes.append(cash)
            held.append(lots)
        closes = self.bars.close[self.first_row : self.stop_row]
        lots_max = max(map(abs, held))
        price_max = 1 if self.instrument.inverse else int(closes.max()) if count else 0
        fits = max(map(abs, cashes)) + lots_max * price_max * self.instrument.unit < BOUND
        kind: Any = np.int64 if fits else object
        lengths = np.diff(np.array([*rows, self.stop_row]))
        cash_steps = np.repeat(np.array(cashes, dtype=kind), lengths)
        value_steps = np.repeat(np.array([lots * self.instrument.unit for lots in held], dtype=kind), lengths)
        if self.instrument.inverse:
            return np.asarray(cash_steps - _rounded(value_steps, closes.astype(kind)))
        return np.asarray(cash_steps + value_steps * closes.astype(kind))

    def equity(self) -> Floats:
        """Return equity at each row's close in currency (shape (rows,)); exact before the one conversion to float."""
        return np.asarray(self.equity_units() / MONEY_SCALE, dtype=np.float64)

    def drawdown(self) -> Floats:
        """Return how far equity is below its highest so far, as a fraction ≤ 0 (shape (rows,))."""
        equity = self.equity()
        return equity / np.maximum.accumulate(equity) - 1.0

    def positions(self) -> npt.NDArray[Any]:
        """Return the lots held at each row's close (shape (rows,), int64)."""
        lots, rows, held = 0, [self.first_row], [0]
        for record in self._moves:
            if isinstance(record, OrderFilled):
                lots += record.quantity
            else:
                lots, _ = split_lots(lots, record.numerator, record.denominator)
            rows.append(max(record.row, self.first_row))
            held.append(lots)
        return np.repeat(np.array(held, dtype=np.int64), np.diff(np.array([*rows, self.stop_row])))

    def fills(self) -> list[FillRow]:
        """Return every execution in order."""
        traded = self.instrument
        return [
            FillRow(
                row=r.row,
                sub=r.sub,
                time_ns=int(self.bars.open_time[r.row]),
                order_id=r.order_id,
                quantity=traded.quantity(r.quantity),
                price=traded.price(r.price),
                value=from_money(traded.value(r.price, r.quantity)),
                fee=from_money(r.fee),
                assumption=r.assumption,
            )
            for r in self._moves
            if isinstance(r, OrderFilled)
        ]

    def orders(self) -> list[OrderRow]:
        """Return every order that was asked for, in the order of its id, with what became of it."""
        found: dict[int, OrderRow] = {}
        left: dict[int, int] = {}
        for record in self.records:
            match record:
                case IntentRaised(action="submit"):
                    left[record.order_id] = record.quantity
                    found[record.order_id] = OrderRow(
                        order_id=record.order_id,
                        row=record.row,
                        sub=record.sub,
                        quantity=self.instrument.quantity(record.quantity),
                        phase="intended",
                        cause_ids=record.causes,
                        terms=words_of(record.terms or MARKET, self.instrument.price),
                    )
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
                    order = found[record.order_id]
                    before = self.instrument.lots(order.quantity)
                    left[record.order_id] += record.quantity - before
                    order.quantity = self.instrument.quantity(record.quantity)
                    order.terms = words_of(record.terms, self.instrument.price)
                case _ if hasattr(record, "order_id") and hasattr(record, "quantity"):
                    if record.order_id in left and not isinstance(record, IntentRaised):
                        left[record.order_id] = record.quantity
                case _:
                    pass
        return list(found.values())

    def trades(self) -> list[Trade]:
        """Return closed trades in the order of their exits, then open ones in the order of their entries."""
        closed: list[Trade] = []
        lots: list[_Lot] = []
        for record in self._moves:
            if isinstance(record, SplitApplied):
                _split_lots(lots, record)
                continue
            left, fee = record.quantity, record.fee
            while left and lots and lots[0].lots * left < 0:
                lot = lots[0]
                quantity = min(abs(left), abs(lot.lots)) * (1 if lot.lots > 0 else -1)
                fee_part = _part(fee, abs(quantity), abs(left))
                closed.append(self._close(len(closed) + 1, lot, quantity, record, fee_part))
                left, fee = left + quantity, fee - fee_part
                if not lot.lots:
                    lots.pop(0)
            if left:
                lots.append(_Lot(record, left, self.instrument.value(record.price, left), fee))
        return closed + [self._open(len(closed) + 1 + i, lot) for i, lot in enumerate(lots)]

    def _close(self, number: int, lot: _Lot, quantity: int, exit_: OrderFilled, exit_fee: int) -> Trade:
        """Take `quantity` lots (signed as the entry) out of `lot` and return the trade that this ends."""
        entry_value = _part(lot.value, quantity, lot.lots)
        entry_fee = _part(lot.fee, quantity, lot.lots)
        paid = _part(lot.paid, quantity, lot.lots)
        lot.lots, lot.value = lot.lots - quantity, lot.value - entry_value
        lot.fee, lot.paid = lot.fee - entry_fee, lot.paid - paid
        value = self.instrument.value(exit_.price, quantity)
        return self._trade(
            number, lot, lots=quantity, gross=value - entry_value + paid, fees=entry_fee + exit_fee, exit_=exit_
        )

    def _open(self, number: int, lot: _Lot) -> Trade:
        value = self.instrument.value(int(self.bars.close[self.stop_row - 1]), lot.lots)
        return self._trade(number, lot, lots=lot.lots, gross=value - lot.value + lot.paid, fees=lot.fee, exit_=None)

    def _trade(self, number: int, lot: _Lot, *, lots: int, gross: int, fees: int, exit_: OrderFilled | None) -> Trade:
        entry, traded = lot.fill, self.instrument
        return Trade(
            number=number,
            quantity=traded.quantity(lots),
            entry_row=entry.row,
            entry_time_ns=int(self.bars.open_time[entry.row]),
            entry_price=traded.price(entry.price),
            entry_order_id=entry.order_id,
            exit_row=exit_.row if exit_ else None,
            exit_time_ns=int(self.bars.open_time[exit_.row]) if exit_ else None,
            exit_price=traded.price(exit_.price) if exit_ else None,
            exit_order_id=exit_.order_id if exit_ else None,
            fees=from_money(fees),
            pnl=from_money(gross - fees),
            open=exit_ is None,
        )


def _rounded(numerators: npt.NDArray[Any], denominators: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the quotients as `money.round_half_up` has them, halves away from zero (shape (rows,))."""
    size = np.abs(numerators)
    quotients = size // denominators
    quotients += (2 * (size - quotients * denominators) >= denominators).astype(quotients.dtype)
    return np.asarray(np.where(numerators < 0, -quotients, quotients))


_ENDED: dict[type[Any], str] = {
    OrderDenied: "denied",
    OrderRejected: "rejected",
    OrderCancelled: "cancelled",
    OrderExpired: "expired",
    OrderSubmitted: "submitted",
    OrderAccepted: "accepted",
}


def _part(amount: int, part: int, whole: int) -> int:
    share = abs(amount) * abs(part) // abs(whole)
    return share if amount >= 0 else -share


def _split_lots(lots: list[_Lot], split: SplitApplied) -> None:
    """Apply a split to entries together, so that fractions of a lot add up as they do in the account."""
    held = sum(lot.lots for lot in lots)
    left, _ = split_lots(held, split.numerator, split.denominator)
    before = after = 0
    for lot in lots:
        before += lot.lots
        upto, _ = split_lots(before, split.numerator, split.denominator)
        lot.lots, after = upto - after, upto
    if lots:
        lots[-1].paid += split.cash
    lots[:] = [lot for lot in lots if lot.lots]
    if left != after:
        raise CorruptHistory("a split's lots do not add up")


def read_ledger(
    segments: Iterable[bytes], bars: Bars, traded: Instrument, *, first_row: int = 0, stop_row: int | None = None
) -> Ledger:
    """Return the ledger of a journal's segments (in order); raise `CorruptHistory` for none or a torn one."""
    records: list[Record] = []
    cash: int | None = None
    last = first_row
    for data in segments:
        segment = decode_segment(data)
        if cash is None:
            account = decode_state(segment.state).accounts[0]
            cash, first_row = account.cash.get(traded.currency, 0), segment.first_row
        records.extend(segment.decode())
        last = segment.last_row + 1
    if cash is None:
        raise CorruptHistory("the journal has no segment")
    return Ledger(records, bars, traded, cash=cash, first_row=first_row, stop_row=stop_row or last)
