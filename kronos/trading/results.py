"""What a run says about itself, at its end and at any position before.

Rule: values leave as exact Decimals and as plain JSON-ready builtins; heads of chains as lower-case hex.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from kronos.trading.accounts import Holding
from kronos.trading.bars import Bars
from kronos.trading.instruments import Instrument
from kronos.trading.money import from_money
from kronos.trading.state import TradingState
from kronos.trading.terms import words_of

__all__ = ["OrderView", "Portfolio", "Result", "StateView", "open_orders", "portfolio", "positions", "whole_portfolio"]


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is not finished; `quantity` is signed (buy > 0), `terms` in words: `limit 99.5 DAY`."""

    order_id: int
    phase: str
    quantity: Decimal
    filled: Decimal
    row: int
    terms: str = "market"
    instrument: str = ""


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """Cash, holding and worth, marked at the close of the latest known bar (`price` is None before the first).

    Of several instruments `position`, `average_price` and `price` are None: their quantities do not add up.
    """

    currency: str
    cash: Decimal
    equity: Decimal
    position: Decimal | None
    average_price: Decimal | None
    price: Decimal | None
    cost: Decimal
    realised: Decimal
    unrealised: Decimal
    fees: Decimal


class StateView(msgspec.Struct, frozen=True, kw_only=True):
    """A run before `row` is dispatched: everything up to and including row - 1 has happened.

    `time_ns` is when the latest bar became known; `variables` are the strategy's attributes as JSON-ready values.
    `differs` says what a re-execution did not repeat of the record that it was held against ("": nothing).
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
    positions: dict[str, Decimal] = {}
    differs: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A run's outcome; `finished` is false when it was stopped before its last row.

    `position` is None of several instruments; `positions` has each.
    """

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
    position: Decimal | None
    fees: Decimal
    orders: int
    open_orders: int
    records: int
    core_chain: str
    user_chain: str
    checkpoints: int
    checkpointable: bool
    checkpoint_note: str = ""
    positions: dict[str, Decimal] = {}
    late: dict[str, int] = {}
    dropped: dict[str, int] = {}


def positions(state: TradingState, instruments: Mapping[str, Instrument]) -> dict[str, Decimal]:
    """Return what all accounts together hold, by instrument."""
    held = dict.fromkeys(range(len(instruments)), 0)
    for account in state.accounts:
        for number, holding in account.holdings.items():
            held[number] += holding.quantity
    return {name: each.quantity(held[number]) for number, (name, each) in enumerate(instruments.items())}


def portfolio(state: TradingState, instrument: Instrument, bars: Bars, row: int) -> Portfolio:
    """Return the account before `row`, marked at the close of row - 1."""
    account = state.accounts[0]
    holding, cash = account.holdings.get(0, Holding()), account.cash[instrument.currency]
    close = int(bars.close[row - 1]) if row > 0 else None
    value = instrument.value(close, holding.quantity) if close is not None else 0
    worth = value - holding.cost if instrument.margined else value
    return Portfolio(
        currency=instrument.currency,
        cash=from_money(cash),
        equity=from_money(cash + worth),
        position=instrument.quantity(holding.quantity),
        average_price=_average(instrument, [holding]),
        price=instrument.price(close) if close is not None else None,
        cost=from_money(holding.cost),
        realised=from_money(holding.realised),
        unrealised=from_money(value - holding.cost),
        fees=from_money(holding.fees),
    )


def whole_portfolio(
    state: TradingState, traded: Sequence[Instrument], prices: Sequence[int], currency: str
) -> Portfolio:
    """Return all accounts together in one `currency`, each instrument that settles in it at its price in ticks.

    `average_price` is None too where one account is long and another short.
    """
    only = traded[0] if len(traded) == 1 else None
    holdings = [account.holdings[0] for account in state.accounts if 0 in account.holdings]
    cash = sum(account.cash.get(currency, 0) for account in state.accounts)
    worth = owed = cost = realised = fees = 0
    for account in state.accounts:
        for number, holding in account.holdings.items():
            if traded[number].currency != currency:
                continue
            value = traded[number].value(prices[number], holding.quantity) if prices[number] else holding.cost
            worth += value - holding.cost if traded[number].margined else value
            owed += value - holding.cost
            cost, realised, fees = cost + holding.cost, realised + holding.realised, fees + holding.fees
    return Portfolio(
        currency=currency,
        cash=from_money(cash),
        equity=from_money(cash + worth),
        position=None if only is None else only.quantity(sum(holding.quantity for holding in holdings)),
        average_price=None if only is None else _average(only, holdings),
        price=only.price(prices[0]) if only and prices[0] else None,
        cost=from_money(cost),
        realised=from_money(realised),
        unrealised=from_money(owed),
        fees=from_money(fees),
    )


def _average(instrument: Instrument, holdings: Sequence[Holding]) -> Decimal | None:
    """Return the average price (8 places) of holdings of one side; None of none, and of two sides."""
    quantity, cost = sum(each.quantity for each in holdings), sum(each.cost for each in holdings)
    if not quantity or not cost or len({each.quantity > 0 for each in holdings if each.quantity}) > 1:
        return None
    ticks = Decimal(cost) / Decimal(quantity * instrument.unit)
    return ((-1 / ticks if instrument.inverse else ticks) * instrument.tick).quantize(Decimal("0.00000001"))


def open_orders(state: TradingState, traded: Sequence[Instrument]) -> list[OrderView]:
    """Return the unfinished orders of a state in the order of their ids; `traded` by their instruments' numbers."""
    return [
        OrderView(
            order_id=order.id,
            phase=str(order.phase),
            quantity=traded[order.instrument].quantity(order.quantity),
            filled=traded[order.instrument].quantity(order.filled),
            row=order.row,
            terms=words_of(order.terms, traded[order.instrument].price),
            instrument=traded[order.instrument].symbol,
        )
        for order in state.orders.values()
    ]
