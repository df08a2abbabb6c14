"""What a run was worth, each figure with its formula and its source.

Rule 1: annualisation is explicit: `periods_per_year` follows from the bar interval and a named calendar.
Rule 2: an undefined figure is NaN, never 0; a ratio over no loss is infinite.  Nothing grows from an equity of 0 or
        less, so returns after it and what is made of them are undefined; so is a growth that no float can hold.
Rule 3: floats appear here and in charts only; what goes in was exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from kronos.errors import InvalidInput
from kronos.trading.ledger import Ledger, Trade

__all__ = [
    "CALENDAR_DAYS", "DAY_NS", "YEAR_DAYS", "Floats", "Statistics", "cagr", "compounded", "exposure", "max_drawdown",
    "periods_per_year", "profit_factor", "returns", "sharpe", "sortino", "statistics", "total_return", "volatility",
    "win_rate",
]  # fmt: skip

Floats = npt.NDArray[np.float64]

DAY_NS: Final = 86_400_000_000_000
YEAR_DAYS: Final = 365.25
CALENDAR_DAYS: Final = {"24x7": YEAR_DAYS, "weekdays": 261.0, "us-equity": 252.0}
"""Trading days in a year, by calendar; a session of an equity day lasts 6.5 hours."""

_SESSION_NS: Final = {"24x7": DAY_NS, "weekdays": DAY_NS, "us-equity": int(6.5 * 3600) * 1_000_000_000}


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The first slice of figures; fractions, not percentages, except where a name says otherwise."""

    total_return: float
    cagr: float
    volatility: float
    sharpe: float
    sortino: float
    max_drawdown: float
    exposure: float
    trades: int
    open_trades: int
    win_rate: float
    profit_factor: float
    periods_per_year: float


def periods_per_year(interval_ns: int, calendar: str = "24x7") -> float:
    """Return how many bars of `interval_ns` a year of `calendar` has; a bar of a day or more counts whole days.

    Raises `InvalidInput` for an unknown calendar or an interval that is not positive.
    """
    if calendar not in CALENDAR_DAYS or interval_ns <= 0:
        raise InvalidInput(
            f"calendar {calendar!r} with bars of {interval_ns} ns: known calendars are {', '.join(CALENDAR_DAYS)}",
            field="calendar",
            value=calendar,
        )
    if interval_ns >= DAY_NS:
        return CALENDAR_DAYS[calendar] * DAY_NS / interval_ns
    return CALENDAR_DAYS[calendar] * _SESSION_NS[calendar] / interval_ns


def returns(equity: Floats) -> Floats:
    """Return simple returns r_t = E_t / E_(t-1) - 1 (shape (n - 1,)), NaN from where E_(t-1) is 0 or less."""
    before = np.where(np.minimum.accumulate(equity[:-1]) > 0, equity[:-1], np.nan)
    return equity[1:] / before - 1.0


def compounded(growth: float, exponent: float) -> float:
    """Return `growth` to the power of `exponent`, NaN for a growth of 0 or less and for what no float can hold."""
    try:
        return float(growth) ** exponent if growth > 0 else math.nan
    except OverflowError:
        return math.nan


def total_return(equity: Floats, initial: float) -> float:
    """Return E_n / E_0 - 1, with E_0 the cash before the first bar."""
    return float(equity[-1] / initial - 1.0) if len(equity) else math.nan


def cagr(equity: Floats, initial: float, years: float) -> float:
    """Return (E_n / E_0)^(1 / years) - 1, the compound annual growth rate (CFA Institute, GIPS 2020)."""
    if not len(equity) or years <= 0 or float(equity.min()) <= 0:
        return math.nan
    return compounded(float(equity[-1]) / initial, 1.0 / years) - 1.0


def volatility(r: Floats, per_year: float) -> float:
    """Return s · √P, s the sample standard deviation (n - 1) of returns, P periods a year (Hull, ch. 15)."""
    return float(np.std(r, ddof=1) * math.sqrt(per_year)) if len(r) > 1 else math.nan


def sharpe(r: Floats, per_year: float, risk_free: float = 0.0) -> float:
    """Return mean(r - f) / s · √P with f = risk_free / P a period (Sharpe 1994, The Sharpe Ratio)."""
    if len(r) < 2:
        return math.nan
    excess = r - risk_free / per_year
    deviation = float(np.std(excess, ddof=1))
    return float(np.mean(excess)) / deviation * math.sqrt(per_year) if deviation > 0 else math.nan


def sortino(r: Floats, per_year: float, target: float = 0.0) -> float:
    """Return mean(r - t) / √(mean(min(r - t, 0)²)) · √P, t a period's target (Sortino and van der Meer 1991).

    The mean square runs over all n returns, not over the negative ones alone.
    """
    if not len(r):
        return math.nan
    excess = r - target / per_year
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)))
    if downside == 0:
        return math.inf if float(np.mean(excess)) > 0 else math.nan
    return float(np.mean(excess)) / downside * math.sqrt(per_year)


def max_drawdown(equity: Floats) -> float:
    """Return min over t of E_t / max(E_0..E_t) - 1, a fraction ≤ 0 (Magdon-Ismail and Atiya 2004)."""
    return float((equity / np.maximum.accumulate(equity) - 1.0).min()) if len(equity) else math.nan


def exposure(positions: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> float:
    """Return the fraction of bars at whose close something was held."""
    return float(np.count_nonzero(positions) / len(positions)) if len(positions) else math.nan


def win_rate(trades: Sequence[Trade]) -> float:
    """Return closed trades with a net profit above 0 over all closed trades."""
    closed = [trade.pnl for trade in trades if not trade.open]
    return sum(pnl > 0 for pnl in closed) / len(closed) if closed else math.nan


def profit_factor(trades: Sequence[Trade]) -> float:
    """Return Σ net profits / |Σ net losses| of closed trades (Kaufman, Trading Systems and Methods)."""
    closed = [trade.pnl for trade in trades if not trade.open]
    if not closed:
        return math.nan
    gains = sum((pnl for pnl in closed if pnl > 0), Decimal(0))
    losses = -sum((pnl for pnl in closed if pnl < 0), Decimal(0))
    if losses:
        return float(gains / losses)
    return math.inf if gains else math.nan


def statistics(ledger: Ledger, calendar: str = "24x7") -> Statistics:
    """Return all figures of a run; drawdown and returns start from the cash before the first bar."""
    initial = ledger.initial_cash / 10**8
    equity = ledger.equity()
    curve = np.concatenate(([initial], equity))
    r = returns(curve)
    per_year = periods_per_year(ledger.pricing.interval_ns, calendar)
    times = ledger.times
    years = float(times[-1] - times[0] + ledger.pricing.interval_ns) / (DAY_NS * YEAR_DAYS)
    trades = ledger.trades()
    return Statistics(
        total_return=total_return(equity, initial),
        cagr=cagr(equity, initial, years),
        volatility=volatility(r, per_year),
        sharpe=sharpe(r, per_year),
        sortino=sortino(r, per_year),
        max_drawdown=max_drawdown(curve),
        exposure=exposure(ledger.invested()),
        trades=sum(not trade.open for trade in trades),
        open_trades=sum(trade.open for trade in trades),
        win_rate=win_rate(trades),
        profit_factor=profit_factor(trades),
        periods_per_year=per_year,
    )
