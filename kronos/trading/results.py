"""What a run says about itself, at its end and at any position before.

Rule: values leave as exact Decimals and as plain JSON-ready builtins; heads of chains as lower-case hex.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from kronos.trading.accounts import Holding
from kronos.trading.bars import Bars
from kronos.trading.instruments import Instrument
from kronos.trading.money import from_money
from kronos.trading.state import TradingState
from kronos.trading.terms import words_of

__all__ = ["OrderView", "Portfolio", "Result", "StateView", "open_orders", "portfolio"]


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is not finished; `quantity` is signed (buy > 0), `terms` in words: `limit 99.5 DAY`."""

    order_id: int
    phase: str
    quantity: Decimal
    filled: Decimal
    row: int
    terms: str = "market"


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """Cash, holding and worth, marked at the close of the latest known bar (`price` is None before the first)."""

    currency: str
    cash: Decimal
    equity: Decimal
    position: Decimal
    average_price: Decimal | None
    price: Decimal | None
    cost: Decimal
    realised: Decimal
    unrealised: Decimal
    fees: Decimal


class StateView(msgspec.Struct, frozen=True, kw_only=True):
    """A run before `row` is dispatched: everything up to and including row - 1 has happened.

    `time_ns` is when the latest bar became known; `variables` are the strategy's attributes as JSON-ready values.
    """

    row: int
    rows: int
    time_ns: int | None
    records: int
    trading_enabled: bool
    portfolio: Portfolio
    open_orders: list[OrderView]
    variables: dict[str, Any]
    core_chain: str
    user_chain: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A run's outcome; `finished` is false when it was stopped before its last row."""

    dataset: str
    instrument: str
    strategy: str
    first_row: int
    rows: int
    finished: bool
    currency: str
    initial_cash: Decimal
    cash: Decimal
    equity: Decimal
    position: Decimal
    fees: Decimal
    orders: int
    open_orders: int
    records: int
    core_chain: str
    user_chain: str
    checkpoints: int
    checkpointable: bool
    checkpoint_note: str = ""


def portfolio(state: TradingState, instrument: Instrument, bars: Bars, row: int) -> Portfolio:
    """Return the account before `row`, marked at the close of row - 1."""
    account = state.accounts[0]
    holding, cash = account.holdings.get(0, Holding()), account.cash[instrument.currency]
    close = int(bars.close[row - 1]) if row > 0 else None
    worth = instrument.value(close, holding.quantity) if close is not None else 0
    average = None
    if holding.quantity:
        per_tick = Decimal(holding.cost) / Decimal(holding.quantity * instrument.unit)
        average = (per_tick * instrument.tick).quantize(Decimal("0.00000001"))
    return Portfolio(
        currency=instrument.currency,
        cash=from_money(cash),
        equity=from_money(cash + worth),
        position=instrument.quantity(holding.quantity),
        average_price=average,
        price=instrument.price(close) if close is not None else None,
        cost=from_money(holding.cost),
        realised=from_money(holding.realised),
        unrealised=from_money(worth - holding.cost),
        fees=from_money(holding.fees),
    )


def open_orders(state: TradingState, traded: Instrument) -> list[OrderView]:
    """Return the unfinished orders of a state in the order of their ids."""
    return [
        OrderView(
            order_id=order.id,
            phase=str(order.phase),
            quantity=traded.quantity(order.quantity),
            filled=traded.quantity(order.filled),
            row=order.row,
            terms=words_of(order.terms, traded.price),
        )
        for order in state.orders.values()
    ]
