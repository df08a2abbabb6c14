"""Figures of risk, alone and against a benchmark, each with its formula and its source.

Rule 1: returns are simple and per period (shape (n,)), fractions; `per_year` is the number of periods a year.
Rule 2: an undefined figure is NaN, never 0.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np

from kronos.trading.stats import Floats, compounded, returns, volatility

__all__ = [
    "Drawdown", "RiskFigures", "alpha", "annual_return", "beta", "calmar", "capture", "drawdowns", "expected_shortfall",
    "information_ratio", "omega", "risk_figures", "stability", "tail_ratio", "value_at_risk",
]  # fmt: skip

TAIL: Final = 0.05
"""The part of all periods that value at risk and expected shortfall look at."""


class Drawdown(msgspec.Struct, frozen=True, kw_only=True):
    """One fall below the highest so far: indices into the curve; `end` is None where it has not been made good."""

    start: int
    trough: int
    end: int | None
    depth: float

    def periods(self, last: int) -> int:
        """Return how long it lasted, or has lasted up to index `last`."""
        return (last if self.end is None else self.end) - self.start


class RiskFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Risk of a run; the second half is against the benchmark (buying and holding what was traded, unless given).

    Drawdown lengths are in periods, from the highest point before to the first that reaches it again.
    """

    calmar: float
    omega: float
    tail_ratio: float
    stability: float
    value_at_risk: float
    expected_shortfall: float
    drawdowns: int
    drawdown_longest: int
    drawdown_mean: float
    benchmark_return: float
    benchmark_volatility: float
    alpha: float
    beta: float
    correlation: float
    information_ratio: float
    tracking_error: float
    up_capture: float
    down_capture: float


def annual_return(r: Floats, per_year: float) -> float:
    """Return (Π(1 + r))^(P / n) - 1 (CFA Institute, GIPS 2020)."""
    with np.errstate(over="ignore"):
        whole = float(np.prod(1.0 + r)) if len(r) else math.nan
    return compounded(whole, per_year / len(r)) - 1.0 if len(r) else math.nan


def calmar(r: Floats, per_year: float) -> float:
    """Return the annual return over |the deepest drawdown| (Young 1991)."""
    curve = np.concatenate(([1.0], np.cumprod(1.0 + r)))
    deepest = float((curve / np.maximum.accumulate(curve) - 1.0).min())
    return annual_return(r, per_year) / -deepest if deepest < 0 else math.nan


def omega(r: Floats, threshold: float = 0.0) -> float:
    """Return Σ max(r - t, 0) / Σ max(t - r, 0), t a period's threshold (Keating and Shadwick 2002)."""
    if np.isnan(r).any():
        return math.nan
    over = r - threshold
    losses = -float(np.sum(over[over < 0]))
    return float(np.sum(over[over > 0])) / losses if losses > 0 else math.nan


def tail_ratio(r: Floats) -> float:
    """Return |95th percentile| / |5th percentile| of returns, interpolated linearly."""
    low = abs(float(np.percentile(r, 5))) if len(r) else 0.0
    return abs(float(np.percentile(r, 95))) / low if low else math.nan


def stability(r: Floats) -> float:
    """Return R² of a straight line through the cumulated log returns: 1 is a steady climb."""
    if len(r) < 2 or not (r > -1).all():
        return math.nan
    path = np.cumsum(np.log1p(r))
    if not float(np.ptp(path)):
        return math.nan
    return float(np.corrcoef(np.arange(len(path)), path)[0, 1]) ** 2


def value_at_risk(r: Floats, tail: float = TAIL) -> float:
    """Return the `tail` quantile of returns, interpolated linearly: historical value at risk (Jorion 2006)."""
    return float(np.percentile(r, 100 * tail)) if len(r) else math.nan


def expected_shortfall(r: Floats, tail: float = TAIL) -> float:
    """Return the mean of the worst ⌊(n - 1) · tail⌋ + 1 returns (Acerbi and Tasche 2002)."""
    if not len(r) or np.isnan(r).any():
        return math.nan
    last = int((len(r) - 1) * tail)
    return float(np.mean(np.partition(r, last)[: last + 1]))


def beta(r: Floats, benchmark: Floats) -> float:
    """Return Cov(r, b) / Var(b) (Sharpe 1964)."""
    if len(r) < 2:
        return math.nan
    off = benchmark - np.mean(benchmark)
    spread = float(np.mean(off * off))
    return float(np.mean((r - np.mean(r)) * off)) / spread if spread > 0 else math.nan


def alpha(r: Floats, benchmark: Floats, per_year: float) -> float:
    """Return (1 + mean(r - β b))^P - 1, the annual return that the benchmark does not explain (Jensen 1968)."""
    slope = beta(r, benchmark)
    return compounded(1.0 + float(np.mean(r - slope * benchmark)), per_year) - 1.0 if math.isfinite(slope) else math.nan


def information_ratio(r: Floats, benchmark: Floats, per_year: float) -> float:
    """Return mean(r - b) / s(r - b) · √P (Goodwin 1998)."""
    active = r - benchmark
    deviation = float(np.std(active, ddof=1)) if len(r) > 1 else 0.0
    return float(np.mean(active)) / deviation * math.sqrt(per_year) if deviation > 0 else math.nan


def capture(r: Floats, benchmark: Floats, *, up: bool) -> float:
    """Return the geometric mean of returns over the benchmark's, of the periods in which it rose (or fell).

    (Π(1 + r))^(1/n) - 1 over the same of b (Morningstar, upside and downside capture); by the period: what a year of
    rising hours alone would compound to is no measure of anything.
    """
    chosen = benchmark > 0 if up else benchmark < 0
    theirs = annual_return(benchmark[chosen], 1.0)
    return annual_return(r[chosen], 1.0) / theirs if math.isfinite(theirs) and theirs else math.nan


def drawdowns(curve: Floats) -> list[Drawdown]:
    """Return every fall below the highest so far, in order (Magdon-Ismail and Atiya 2004)."""
    under = curve / np.maximum.accumulate(curve) - 1.0
    below = np.concatenate(([False], under < 0, [False]))
    begins, ends = np.flatnonzero(~below[:-1] & below[1:]), np.flatnonzero(below[:-1] & ~below[1:])
    found = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        trough = begin + int(np.argmin(under[begin:end]))
        made_good = end if end < len(curve) else None
        found.append(Drawdown(start=begin - 1, trough=trough, end=made_good, depth=float(under[trough])))
    return found


def risk_figures(curve: Floats, benchmark: Floats, per_year: float) -> RiskFigures:
    """Return the figures of an equity curve beside a benchmark's curve of the same shape (n,)."""
    r, b = returns(curve), returns(benchmark)
    falls = drawdowns(curve)
    lengths = [fall.periods(len(curve) - 1) for fall in falls]
    moving = len(r) > 1 and float(np.std(r)) > 0 and float(np.std(b)) > 0
    return RiskFigures(
        calmar=calmar(r, per_year),
        omega=omega(r),
        tail_ratio=tail_ratio(r),
        stability=stability(r),
        value_at_risk=value_at_risk(r),
        expected_shortfall=expected_shortfall(r),
        drawdowns=len(falls),
        drawdown_longest=max(lengths, default=0),
        drawdown_mean=sum(lengths) / len(lengths) if lengths else 0.0,
        benchmark_return=float(benchmark[-1] / benchmark[0] - 1.0),
        benchmark_volatility=volatility(b, per_year),
        alpha=alpha(r, b, per_year),
        beta=beta(r, b),
        correlation=float(np.corrcoef(r, b)[0, 1]) if moving else math.nan,
        information_ratio=information_ratio(r, b, per_year),
        tracking_error=volatility(r - b, per_year),
        up_capture=capture(r, b, up=True),
        down_capture=capture(r, b, up=False),
    )
