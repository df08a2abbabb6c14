"""How a simulated venue answers: market orders fill whole at the next bar's open.

Rule 1: an order never meets the row that caused it.
Rule 2: the assumption that filled an order is written on its fill.
Rule 3: a split changes resting orders before that row's open, as it changes what is held.
"""

from __future__ import annotations

from typing import Final

from kronos.trading.orders import Order, Phase
from kronos.trading.state import TradingState

__all__ = ["NEXT_OPEN", "due", "split_cash", "split_lots"]

NEXT_OPEN: Final = "next_open"
"""The whole order at the open of the first bar after its cause; liquidity and slippage are not modelled."""


def due(state: TradingState, row: int) -> list[Order]:
    """Return the orders that the open of `row` fills, in the order of their ids."""
    return [
        order
        for order in state.orders.values()
        if order.row < row and (order.phase is Phase.ACCEPTED or order.phase is Phase.PARTIALLY_FILLED)
    ]


def split_lots(lots: int, numerator: int, denominator: int) -> tuple[int, int]:
    """Return signed `lots` after a split, rounded toward zero, and the remainder in 1/denominator lots."""
    whole, rest = divmod(abs(lots) * numerator, denominator)
    return (whole, rest) if lots >= 0 else (-whole, -rest)


def split_cash(remainder: int, numerator: int, price: int, unit: int) -> int:
    """Return the money paid for a fraction of a lot at the last close `price` before the split, toward zero.

    `remainder` is in 1/denominator of a new lot, which is remainder / numerator of an old one.
    """
    amount = abs(remainder) * price * unit // numerator
    return amount if remainder >= 0 else -amount
