"""Cost sensitivity: the run's own fills at other fees and slippage, without running anything again.

Rule 1: decisions stay as they were; only what a fill cost changes, rounded half up once for each fill and each cost.
Rule 2: a limit pays no slippage: what is added is added to fills that took what the market asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec
import numpy as np

from kronos.trading.events import OrderFilled, Record
from kronos.trading.ledger import Ledger
from kronos.trading.money import from_money, round_half_up
from kronos.trading.stats import returns, sharpe

__all__ = ["FEES_BPS", "SLIPPAGES_BPS", "CostLevel", "break_even_bps", "cost_levels", "recosted"]

FEES_BPS: Final = (0, 1, 5, 10, 20)
SLIPPAGES_BPS: Final = (0, 1, 5, 10)
"""Basis points of the value traded, a side; a level's slippage comes on top of what the run had."""


class CostLevel(msgspec.Struct, frozen=True, kw_only=True):
    """The run at one fee and one additional slippage, both in basis points a side."""

    fee_bps: float
    slippage_bps: float
    equity: Decimal
    total_return: float
    sharpe: float


def recosted(ledger: Ledger, fee_bps: Decimal, slippage_bps: Decimal) -> Ledger:
    """Return the ledger with every fill at `fee_bps`, and market and stop fills worse by `slippage_bps`."""
    fee, slip = Fraction(fee_bps) / 10_000, Fraction(slippage_bps) / 10_000
    records: list[Record] = []
    for record in ledger.records:
        if isinstance(record, OrderFilled):
            value = abs(ledger.instruments[record.instrument].value(record.price, record.quantity))
            cost = round_half_up(value * fee.numerator, fee.denominator)
            if "limit" not in record.assumption:
                cost += round_half_up(value * slip.numerator, slip.denominator)
            record = msgspec.structs.replace(record, fee=cost)  # noqa: PLW2901 - the same fill at another cost
        records.append(record)
    return ledger.with_records(records)


def cost_levels(
    ledger: Ledger,
    per_year: float,
    *,
    fees_bps: Sequence[int] = FEES_BPS,
    slippages_bps: Sequence[int] = SLIPPAGES_BPS,
) -> list[CostLevel]:
    """Return the run at every pair of fee and slippage."""
    initial = ledger.initial_cash / 10**8
    found = []
    for fee in fees_bps:
        for slip in slippages_bps:
            level = recosted(ledger, Decimal(fee), Decimal(slip))
            units, equity = level.equity_units(), level.equity()
            found.append(
                CostLevel(
                    fee_bps=fee,
                    slippage_bps=slip,
                    equity=from_money(int(units[-1])),
                    total_return=float(equity[-1] / initial - 1.0),
                    sharpe=sharpe(returns(np.concatenate(([initial], equity))), per_year),
                )
            )
    return found


def break_even_bps(ledger: Ledger) -> float:
    """Return the fee a side, in basis points, at which the run ends with what it began (negative: it lost before)."""
    free = recosted(ledger, Decimal(0), Decimal(0))
    traded = sum(abs(ledger.instruments[r.instrument].value(r.price, r.quantity)) for r in ledger.executions)
    gain = int(free.equity_units()[-1]) - ledger.initial_cash
    return 10_000 * gain / traded if traded else float("nan")
