"""Cost sensitivity: the run's own fills at other fees and slippage, without running anything again.

Rule 1: decisions stay as they were; only what a fill cost changes, rounded half up once for each fill and each cost.
Rule 2: a limit pays no slippage: what is added is added to fills that took what the market asked.
Rule 3: costs change cash alone, so a level is the run's equity and what its fills would have spared up to each row:
        the journal is not folded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from kronos.trading.instruments import BOUND
from kronos.trading.ledger import Ledger, rounded
from kronos.trading.money import MONEY_SCALE, from_money
from kronos.trading.stats import returns, sharpe

__all__ = ["FEES_BPS", "SLIPPAGES_BPS", "CostLevel", "break_even_bps", "cost_levels"]

FEES_BPS: Final = (0, 1, 5, 10, 20)
SLIPPAGES_BPS: Final = (0, 1, 5, 10)
"""Basis points of the value traded, a side; a level's slippage comes on top of what the run had."""

BPS_MAX: Final = 20_000


class CostLevel(msgspec.Struct, frozen=True, kw_only=True):
    """The run at one fee and one additional slippage, both in basis points a side."""

    fee_bps: float
    slippage_bps: float
    equity: Decimal
    total_return: float
    sharpe: float


def cost_levels(
    ledger: Ledger,
    per_year: float,
    *,
    fees_bps: Sequence[int] = FEES_BPS,
    slippages_bps: Sequence[int] = SLIPPAGES_BPS,
) -> list[CostLevel]:
    """Return the run at every pair of fee and slippage."""
    initial = ledger.initial_cash / MONEY_SCALE
    fills = _Fills(ledger)
    fees, slips = [fills.fees(fee) for fee in fees_bps], [fills.slips(slip) for slip in slippages_bps]
    found = []
    for fee_bps, fee in zip(fees_bps, fees, strict=True):
        for slip_bps, slip in zip(slippages_bps, slips, strict=True):
            units = fills.equity_units(fee + slip)
            equity = np.asarray(units / MONEY_SCALE, dtype=np.float64)
            found.append(
                CostLevel(
                    fee_bps=fee_bps,
                    slippage_bps=slip_bps,
                    equity=from_money(int(units[-1])),
                    total_return=float(equity[-1] / initial - 1.0),
                    sharpe=sharpe(returns(np.concatenate(([initial], equity))), per_year),
                )
            )
    return found


def break_even_bps(ledger: Ledger) -> float:
    """Return the fee a side, in basis points, at which the run ends with what it began (negative: it lost before)."""
    fills = _Fills(ledger)
    traded = sum(fills.values.tolist())
    gain = int(fills.equity_units(0 * fills.values)[-1]) - ledger.initial_cash
    return 10_000 * gain / traded if traded else float("nan")


class _Fills:
    """What the fills of a ledger were worth and cost, in their order; columns are int64 or exact objects."""

    def __init__(self, ledger: Ledger) -> None:
        found = ledger.executions
        values = [abs(ledger.instruments[each.instrument].value(each.price, each.quantity)) for each in found]
        summed = 4 * sum(values) + sum(abs(each.fee) for each in found)
        kind: Any = np.int64 if max(summed, BPS_MAX * max(values, default=0)) < BOUND else object
        self.values = np.array(values, dtype=kind)
        self._paid = np.array([each.fee for each in found], dtype=kind)
        self._takes = np.array(["limit" not in each.assumption for each in found], dtype=bool)
        self._places = np.searchsorted(np.array([each.row for each in found], np.int64), ledger.rows, side="right")
        self._units = ledger.equity_units()

    def fees(self, bps: int) -> npt.NDArray[Any]:
        """Return what each fill costs at a fee."""
        assert 0 <= bps <= BPS_MAX, f"{bps} basis points"
        rate = Fraction(bps, 10_000)
        return rounded(self.values * rate.numerator, rate.denominator)

    def slips(self, bps: int) -> npt.NDArray[Any]:
        """Return what each fill costs more at a slippage."""
        return np.where(self._takes, self.fees(bps), 0 * self.values)

    def equity_units(self, costs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return equity at each row of the ledger, as `Ledger.equity_units`, had its fills cost this."""
        spared = np.concatenate(([0], np.cumsum(self._paid - costs)))
        units = self._units
        if object not in (units.dtype, spared.dtype):
            most = max(abs(int(units.max())), abs(int(units.min()))) + int(np.abs(spared).max())
            if most < BOUND:
                return np.asarray(units + spared[self._places])
        return np.asarray(units.astype(object) + spared.astype(object)[self._places])
