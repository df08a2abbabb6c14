"""The reading side: trades, orders, fills, equity and drawdown, derived from a journal and the streams of its run.

Rule 1: nothing here is stored; it is the journal's decision rows times the prices, computed in columns.
Rule 2: a ledger is of one currency, that which the first account began with; what settles in another is listed among
        trades, orders and fills, and is no part of equity.
Rule 3: `of(strategy)` is one strategy's part, over the same cash: profits of the parts sum to that of the whole.
Rule 4: money stays integer (1e-8) until it leaves; a column is int64 where its bound is proven, else exact objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kronos.errors import CorruptHistory, InvalidInput
from kronos.trading.bars import Bars
from kronos.trading.events import OrderFilled, Origin, Record
from kronos.trading.instruments import BOUND, Instrument
from kronos.trading.journal import decode_segment
from kronos.trading.ledger_fold import Change, changes_of
from kronos.trading.ledger_orders import orders_of
from kronos.trading.ledger_rows import FillRow, OrderRow, Trade
from kronos.trading.ledger_trades import trades_of
from kronos.trading.money import MONEY_SCALE, from_money
from kronos.trading.pricing import Pricing
from kronos.trading.state import decode_state

__all__ = ["FillRow", "Ledger", "OrderRow", "Trade", "ledger_of", "read_ledger", "rounded"]

Floats = npt.NDArray[np.float64]


class Ledger:
    """Everything that can be read off a finished or partial journal of rows first_row..stop_row-1."""

    def __init__(
        self, records: Sequence[Record], pricing: Pricing, *, origins: Sequence[Origin], owners: Sequence[int],
        cash: int, currency: str, first_row: int, stop_row: int, strategy: str | None = None,
    ) -> None:  # fmt: skip
        """Take the records of a journal, the prices of its run, who acted (`owners` are their accounts), and the cash
        (1e-8) that all accounts together began with; `strategy` keeps the part of one.
        """
        self.records, self.pricing, self.origins, self.owners = records, pricing, origins, owners
        self.initial_cash, self.currency = cash, currency
        self.first_row, self.stop_row, self.strategy = first_row, stop_row, strategy
        self.rows = pricing.points(first_row, stop_row)

    @property
    def instruments(self) -> Sequence[Instrument]:
        """Return what is traded, by number."""
        return self.pricing.traded

    @property
    def instrument(self) -> Instrument:
        """Return the first of `instruments`: of a backtest the only one."""
        return self.pricing.traded[0]

    @property
    def strategies(self) -> list[str]:
        """Return the ids of the strategies, in the order of registration."""
        return list(dict.fromkeys(origin.strategy_id for origin in self.origins))

    @cached_property
    def numbers(self) -> list[int]:
        """The numbers of the instruments that settle in the ledger's currency."""
        return [number for number, each in enumerate(self.instruments) if each.currency == self.currency]

    def of(self, strategy: str) -> Self:
        """Return the part of one strategy; raise `InvalidInput` naming those that there are."""
        if strategy not in self.strategies:
            raise InvalidInput(
                f"strategy {strategy!r}: one of {', '.join(self.strategies)}", field="strategy", value=strategy
            )
        return type(self)(
            self.records, self.pricing, origins=self.origins, owners=self.owners, cash=self.initial_cash,
            currency=self.currency, first_row=self.first_row, stop_row=self.stop_row, strategy=strategy,
        )  # fmt: skip

    def owns(self, origin: int) -> bool:
        """Return whether what has this origin is part of the ledger."""
        return self.strategy is None or self.origins[origin].strategy_id == self.strategy

    @cached_property
    def changes(self) -> list[Change]:
        """What changed cash and lots, in order."""
        found = changes_of(self.records, self.instruments, self.owners)
        return [change for change in found if self.owns(change.origin)]

    @property
    def executions(self) -> list[OrderFilled]:
        """Return the fills of instruments that settle in the ledger's currency, as recorded."""
        return [
            record for record in self.records
            if type(record) is OrderFilled and record.instrument in self.numbers and self.owns(record.origin)
        ]  # fmt: skip

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """Return when each of `rows` was known (ns UTC; shape (rows,))."""
        return self.pricing.times(self.rows)

    def place(self, row: int) -> int:
        """Return the place in `rows` of the first that is at or after `row`, the last for one beyond."""
        return min(int(np.searchsorted(self.rows, row)), len(self.rows) - 1)

    def equity_units(self) -> npt.NDArray[Any]:
        """Return equity at each of `rows` in money units (1e-8; shape (rows,)), int64 or exact objects."""
        changes = [change for change in self.changes if change.number in self.numbers]
        cash = list(accumulate((each.cash for each in changes), initial=self.initial_cash))
        bound, parts = max(map(abs, cash)), []
        for number in self.numbers:
            held = self._held(number)
            prices = self._prices(number) if any(held[1]) else None
            if prices is not None and len(prices):
                traded = self.instruments[number]
                price_max = 1 if traded.inverse else int(prices.max())
                bound += max(map(abs, held[1])) * price_max * traded.unit
                parts.append((traded, held, prices))
        kind: Any = np.int64 if bound < BOUND else object
        total = self._stepped([each.row for each in changes], cash, kind)
        for traded, (rows, lots), prices in parts:
            worth = self._stepped(rows, [each * traded.unit for each in lots], kind)
            closes = prices.astype(kind)
            total = total - rounded(worth, np.maximum(closes, 1)) if traded.inverse else total + worth * closes
        return np.asarray(total)

    def _held(self, number: int) -> tuple[list[int], list[int]]:
        """Return the rows at which an instrument's lots change, and the lots: before the first, then after each."""
        mine = [change for change in self.changes if change.number == number and change.lots]
        return [each.row for each in mine], list(accumulate((each.lots for each in mine), initial=0))

    def _prices(self, number: int) -> npt.NDArray[np.int64]:
        """Return the price of an instrument at each of `rows`; where no stream gives one, that of its last fill."""
        found = self.pricing.prices(number, self.first_row, self.stop_row)
        if found is not None:
            return found
        fills = [each for each in self.records if type(each) is OrderFilled and each.instrument == number]
        return np.asarray(self._stepped([each.row for each in fills], [0, *(each.price for each in fills)], np.int64))

    def last_price(self, number: int) -> int:
        """Return the last price of an instrument in ticks, 0 where there is none."""
        prices = self._prices(number)
        return int(prices[-1]) if len(prices) else 0

    def _stepped(self, rows: list[int], values: Sequence[int], kind: Any) -> npt.NDArray[Any]:
        """Return at each of `rows` of the ledger the last value: `values[0]`, then one after each of `rows`."""
        places = np.searchsorted(np.array(rows, dtype=np.int64), self.rows, side="right")
        return np.asarray(np.array(values, dtype=kind)[places])

    def equity(self) -> Floats:
        """Return equity at each of `rows` in currency (shape (rows,)); exact before the one conversion to float."""
        return np.asarray(self.equity_units() / MONEY_SCALE, dtype=np.float64)

    def drawdown(self) -> Floats:
        """Return how far equity is below its highest so far, as a fraction ≤ 0 (shape (rows,))."""
        equity = self.equity()
        return equity / np.maximum.accumulate(equity) - 1.0

    def positions(self, number: int = 0) -> npt.NDArray[Any]:
        """Return the lots of an instrument that are held at each of `rows` (shape (rows,), int64)."""
        return self._stepped(*self._held(number), np.int64)

    def gross(self) -> Floats:
        """Return the worth of all holdings, long and short alike, at each of `rows` in currency (shape (rows,))."""
        found = np.zeros(len(self.rows))
        for number in self.numbers:
            held, prices, traded = self.positions(number), self._prices(number), self.instruments[number]
            unit = float(traded.unit)
            found += np.abs(held) * (unit / np.maximum(prices, 1) if traded.inverse else prices * unit) / MONEY_SCALE
        return found

    def invested(self) -> npt.NDArray[np.bool_]:
        """Return at which of `rows` anything was held (shape (rows,))."""
        return np.asarray(np.any([self.positions(number) != 0 for number in range(len(self.instruments))], axis=0))

    def fills(self) -> list[FillRow]:
        """Return every execution in order."""
        return [self._fill(r) for r in self.records if type(r) is OrderFilled and self.owns(r.origin)]

    def _fill(self, record: OrderFilled) -> FillRow:
        traded, origin = self.instruments[record.instrument], self.origins[record.origin]
        return FillRow(
            row=record.row,
            sub=record.sub,
            time_ns=self.pricing.happened(record.row, record.causes),
            order_id=record.order_id,
            quantity=traded.quantity(record.quantity),
            price=traded.price(record.price),
            value=from_money(traded.value(record.price, record.quantity)),
            fee=from_money(record.fee),
            assumption=record.assumption,
            instrument=traded.symbol,
            strategy=origin.strategy_id,
            route=origin.route_id,
        )

    def orders(self) -> list[OrderRow]:
        """Return every order that was asked for, in the order of its id, with what became of it."""
        found = orders_of(self.records, self.instruments, self.origins)
        return [order for order in found if self.strategy in {None, order.strategy}]

    def trades(self) -> list[Trade]:
        """Return closed trades in the order of their exits, then open ones in the order of their entries."""
        return list(self._trades)

    @cached_property
    def _trades(self) -> list[Trade]:
        found = trades_of(self.records, self.pricing, self.origins, self.owners, self.stop_row - 1)
        return [trade for trade in found if self.strategy in {None, trade.strategy}]


def rounded(numerators: npt.NDArray[Any], denominators: npt.NDArray[Any] | int) -> npt.NDArray[Any]:
    """Return the quotients as `money.round_half_up` has them, halves away from zero (shape (rows,))."""
    size = np.abs(numerators)
    quotients = size // denominators
    quotients += (2 * (size - quotients * denominators) >= denominators).astype(quotients.dtype)
    return np.asarray(np.where(numerators < 0, -quotients, quotients))


def read_ledger(
    segments: Iterable[bytes], bars: Bars, traded: Instrument, *, first_row: int = 0, stop_row: int | None = None
) -> Ledger:
    """Return the ledger of a backtest's segments (in order); raise `CorruptHistory` for none or a torn one."""
    return ledger_of(segments, Pricing.of_bars(bars, traded), first_row=first_row, stop_row=stop_row)


def ledger_of(
    segments: Iterable[bytes], pricing: Pricing, *, first_row: int = 0, stop_row: int | None = None
) -> Ledger:
    """Return the ledger of a journal's segments (in order); raise `CorruptHistory` for none or a torn one."""
    records: list[Record] = []
    begun, origins, last = None, [], first_row
    for data in segments:
        segment = decode_segment(data)
        if begun is None:
            begun, origins, first_row = decode_state(segment.state), segment.origins, segment.first_row
        records.extend(segment.decode())
        last = segment.last_row + 1
    if begun is None:
        raise CorruptHistory("the journal has no segment")
    currency = next(iter(begun.accounts[0].cash))
    cash = sum(account.cash.get(currency, 0) for account in begun.accounts)
    return Ledger(
        records, pricing, origins=origins, owners=begun.owners, cash=cash, currency=currency, first_row=first_row,
        stop_row=stop_row or last,
    )  # fmt: skip
