"""Each figure against its formula, worked by hand, and at the edges where it is undefined."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.trading import Trade, stats

EQUITY = np.array([100.0, 110.0, 99.0, 108.9])
RETURNS = np.array([0.1, -0.1, 0.1])


def trade(pnl: str, *, is_open: bool = False) -> Trade:
    return Trade(
        number=1, quantity=Decimal(1), entry_row=0, entry_time_ns=0, entry_price=Decimal(1), entry_order_id=1,
        exit_row=None, exit_time_ns=None, exit_price=None, exit_order_id=None, fees=Decimal(0), pnl=Decimal(pnl),
        open=is_open,
    )  # fmt: skip


def test_figures_worked_by_hand() -> None:
    assert stats.returns(EQUITY) == pytest.approx(RETURNS)
    assert stats.total_return(EQUITY, 100) == pytest.approx(0.089)
    assert stats.cagr(EQUITY, 100, 0.5) == pytest.approx(1.089**2 - 1)
    deviation = math.sqrt(((0.1 - 1 / 30) ** 2 * 2 + (-0.1 - 1 / 30) ** 2) / 2)
    assert stats.volatility(RETURNS, 252) == pytest.approx(deviation * math.sqrt(252))
    assert stats.sharpe(RETURNS, 252) == pytest.approx(1 / 30 / deviation * math.sqrt(252))
    assert stats.sortino(RETURNS, 252) == pytest.approx(1 / 30 / math.sqrt(0.01 / 3) * math.sqrt(252))
    assert stats.max_drawdown(EQUITY) == pytest.approx(-0.1)
    assert stats.exposure(np.array([0, 1, -1, 0])) == 0.5


def test_trade_figures_count_closed_trades_net_of_fees() -> None:
    trades = [trade("3"), trade("-1"), trade("0"), trade("100", is_open=True)]
    assert stats.win_rate(trades) == pytest.approx(1 / 3)
    assert stats.profit_factor(trades) == pytest.approx(3)


def test_the_undefined_is_nan_and_no_loss_is_infinite() -> None:
    assert math.isnan(stats.win_rate([]))
    assert math.isnan(stats.profit_factor([trade("5", is_open=True)]))
    assert stats.profit_factor([trade("5")]) == math.inf
    assert math.isnan(stats.sharpe(np.zeros(5), 252))
    assert math.isnan(stats.volatility(np.zeros(1), 252))
    assert math.isnan(stats.sortino(np.zeros(5), 252))
    assert stats.sortino(np.ones(5), 252) == math.inf


def test_nothing_grows_from_an_equity_of_nothing_or_less() -> None:
    ruined = np.array([100.0, 110, -300, 200, 400])
    assert stats.returns(ruined)[:2] == pytest.approx([0.1, -410 / 110])
    assert np.isnan(stats.returns(ruined)[2:]).all()
    r = stats.returns(ruined)
    assert all(math.isnan(value) for value in (stats.sharpe(r, 252), stats.sortino(r, 252), stats.volatility(r, 252)))
    assert math.isnan(stats.cagr(ruined[1:], 100, 1))
    assert stats.total_return(ruined[1:], 100) == 3


def test_a_growth_that_no_float_holds_is_undefined_and_nobody_is_warned() -> None:
    assert math.isnan(stats.cagr(np.array([100.0, 200.0]), 100, 8 / 525_960))


def test_annualisation_names_its_calendar() -> None:
    day, hour, minute = 86_400 * 10**9, 3600 * 10**9, 60 * 10**9
    assert stats.periods_per_year(hour) == 365.25 * 24
    assert stats.periods_per_year(day, "us-equity") == 252
    assert stats.periods_per_year(minute, "us-equity") == 252 * 390
    with pytest.raises(InvalidInput, match=r"calendar 'moon' .* known calendars are 24x7, weekdays, us-equity"):
        stats.periods_per_year(day, "moon")
