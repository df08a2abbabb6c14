"""Figures beside an independent library, shortfall and costs to the last unit."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import empyrical
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.trading import Backtest, BacktestConfig, MemoryRecorder, NoParams, Split, Strategy, read_ledger, stats
from kronos.trading import stats_risk as risk
from kronos.trading.analysis import analyse, held_benchmark
from kronos.trading.events import OrderFilled
from kronos.trading.ledger import Ledger
from kronos.trading.money import from_money, round_half_up
from kronos.trading.payments import Payment
from kronos.trading.recosting import break_even_bps, cost_levels
from kronos.trading.reference import InstrumentConfig
from kronos.trading.shortfall import PARTS, shortfall
from kronos.trading.stats_trades import gross_exposure, turnover

P = 252.0


@pytest.mark.parametrize("seed", range(5))
def test_every_figure_equals_that_of_an_independent_library(seed):
    rng = np.random.default_rng(seed)
    b = rng.normal(0.0004, 0.011, 900)
    r = 0.6 * b + rng.normal(0.0002, 0.008, 900)
    curve = np.concatenate(([1.0], np.cumprod(1 + r)))
    pairs = {
        "volatility": (stats.volatility(r, P), empyrical.annual_volatility(r, annualization=P)),
        "sharpe": (stats.sharpe(r, P), empyrical.sharpe_ratio(r, annualization=P)),
        "sortino": (stats.sortino(r, P), empyrical.sortino_ratio(r, annualization=P)),
        "drawdown": (stats.max_drawdown(curve), empyrical.max_drawdown(r)),
        "annual return": (risk.annual_return(r, P), empyrical.annual_return(r, annualization=P)),
        "calmar": (risk.calmar(r, P), empyrical.calmar_ratio(r, annualization=P)),
        "omega": (risk.omega(r), empyrical.omega_ratio(r, annualization=P)),
        "tail ratio": (risk.tail_ratio(r), empyrical.tail_ratio(r)),
        "stability": (risk.stability(r), empyrical.stability_of_timeseries(r)),
        "VaR": (risk.value_at_risk(r), empyrical.value_at_risk(r)),
        "expected shortfall": (risk.expected_shortfall(r), empyrical.conditional_value_at_risk(r)),
        "beta": (risk.beta(r, b), empyrical.beta(r, b)),
        "alpha": (risk.alpha(r, b, P), empyrical.alpha(r, b, annualization=P)),
        "information ratio": (risk.information_ratio(r, b, P) / math.sqrt(P), empyrical.excess_sharpe(r, b)),
        "tracking error": (stats.volatility(r - b, P), empyrical.annual_volatility(r - b, annualization=P)),
    }
    for name, (ours, theirs) in pairs.items():
        assert ours == pytest.approx(theirs, rel=1e-12), name
    for up in (True, False):
        theirs = (empyrical.up_capture if up else empyrical.down_capture)(
            *series(r, b), period="yearly"
        )  # fmt: skip
        assert risk.capture(r, b, up=up) == pytest.approx(theirs, rel=1e-9)


def series(*columns):
    import pandas as pd

    days = pd.date_range("2020-01-01", periods=len(columns[0]))
    return [pd.Series(column, index=days) for column in columns]


def test_capture_is_by_the_period_however_short_periods_are():
    rng = np.random.default_rng(5)
    hours = rng.normal(0, 0.004, 3_000)
    for up in (True, False):
        assert risk.capture(0.4 * hours, hours, up=up) == pytest.approx(0.4, rel=0.01)
    assert risk.capture(np.zeros(3_000), hours, up=True) == 0
    assert math.isnan(risk.capture(hours, np.abs(hours), up=False)), "the benchmark never fell"


def test_after_ruin_figures_are_undefined_and_nobody_is_warned():
    curve = np.array([100.0, 120, -300, 200, 210])
    figures = risk.risk_figures(curve, np.array([1.0, 1.1, 1.2, 1.1, 1.3]), 8_766)
    undefined = ("calmar", "omega", "tail_ratio", "stability", "value_at_risk", "expected_shortfall", "alpha", "beta",
                 "correlation", "information_ratio", "tracking_error", "up_capture", "down_capture")  # fmt: skip
    assert {name for name in undefined if not math.isnan(getattr(figures, name))} == set()
    assert figures.benchmark_return == pytest.approx(0.3)
    assert figures.drawdowns == 1


def test_drawdowns_are_listed_with_their_lengths():
    curve = np.array([10.0, 11, 9, 8, 11, 12, 11, 12.5, 12, 11.9])
    found = risk.drawdowns(curve)
    assert [(d.start, d.trough, d.end) for d in found] == [(1, 3, 4), (5, 6, 7), (7, 9, None)]
    assert [d.periods(9) for d in found] == [3, 2, 2]
    assert found[0].depth == pytest.approx(8 / 11 - 1)
    assert risk.drawdowns(np.array([1.0, 2.0])) == []


def test_the_undefined_is_nan():
    flat = np.zeros(10)
    for value in (risk.calmar(flat, P), risk.omega(flat), risk.beta(flat, flat), risk.tail_ratio(flat)):
        assert math.isnan(value)
    assert math.isnan(risk.stability(flat))
    assert math.isnan(risk.information_ratio(flat, flat, P))


class Noisy(Strategy):
    """Asks for markets, limits, stops and nonsense, as a seed says."""

    class Params(NoParams, frozen=True):
        seed: int = 0

    def on_start(self, ctx):
        ctx.buy(3)

    def on_bar(self, ctx, bar):
        draw = np.random.default_rng((self.params.seed, bar.row)).integers(0, 100, 3).tolist()
        price = Decimal(bar.close + draw[1] - 50) / 100
        match draw[0]:
            case 0 | 1 | 2:
                ctx.buy(1 + draw[2] % 4)
            case 3 | 4:
                ctx.sell(1 + draw[2] % 3)
            case 5 | 6:
                ctx.buy(2, type="limit", limit=price)
            case 7:
                ctx.sell(2, type="stop", stop=price, tif="DAY")
            case 8:
                ctx.buy(10**7)
            case 9:
                ctx.bracket("buy", 2, stop=price - 1, target=price + 1)
            case 10 if ctx.open_orders:
                ctx.modify(ctx.open_orders[0], quantity=5)
            case _:
                pass


def run(bars, *, seed=0, **config):
    recorder = MemoryRecorder()
    test = Backtest(bars, Noisy({"seed": seed}), BacktestConfig(long_only=False, **config), recorder=recorder)
    test.run()
    return read_ledger([s.data for s in recorder.segments], bars, test.instrument)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), split=st.sampled_from([None, (2, 1), (1, 3), (3, 2)]), fee=st.sampled_from([0, 10]))
def test_the_parts_of_the_shortfall_sum_exactly_to_paper_less_account(walk, seed, split, fee):
    splits = () if split is None else (Split(row=150, numerator=split[0], denominator=split[1]),)
    bars = walk(300, seed=seed % 50, splits=splits)
    ledger = run(bars, seed=seed, cash=Decimal(5_000), fee_rate=Decimal(fee) / 10_000)
    found = shortfall(ledger)
    parts = {name: getattr(found, name) for name in PARTS}
    rounding = Decimal("0.00000001") * len(PARTS) if split else 0
    assert abs(sum(parts.values()) - found.total) <= rounding
    assert abs(found.paper - found.real - found.total) <= rounding
    assert found.real == from_money(int(ledger.equity_units()[-1]) - ledger.initial_cash)
    assert found.fees == sum((fill.fee for fill in ledger.fills()), Decimal(0))
    assert found.risk_blocked != 0 or not [o for o in ledger.orders() if o.phase == "denied" and o.terms == "market"]
    if split is None:
        assert found.rounding == 0
        assert found.paper == paper(ledger)


def paper(ledger):
    """What every order that stands for itself would have made at its decision's close, and the others at theirs."""
    end, unit = int(ledger.pricing.streams[0].close[ledger.stop_row - 1]), ledger.instrument.unit
    price = {fill.order_id: [] for fill in ledger.fills()}
    total = Fraction(0)
    terms = {}
    for record in ledger.records:
        if type(record).__name__ == "IntentRaised" and record.action == "submit":
            terms[record.order_id] = record
        if type(record).__name__ == "OrderReplaced":
            first = terms[record.order_id]
            terms[record.order_id] = type(first)(
                first.row, first.sub, first.origin, first.snapshot, first.causes, first.order_id, first.instrument,
                first.action, record.quantity, first.asked, record.terms,
            )  # fmt: skip
        if type(record).__name__ == "OrderFilled":
            price[record.order_id].append(record)
    for order_id, asked in terms.items():
        t = asked.terms
        if t is None or (t.kind in ("market", "limit") and not t.parent and not t.group):
            close = ledger.pricing.streams[0].close[asked.row] if asked.row >= 0 else ledger.pricing.streams[0].open[0]
            total += asked.quantity * unit * (end - int(close))
        else:
            for fill in price.get(order_id, []):
                total += fill.quantity * unit * (end - (t.stop or t.limit or fill.price))
    return from_money(int(total))


def test_a_run_without_costs_that_decides_at_the_open_price_loses_nothing(walk):
    bars = walk(200)
    gapless = type(bars)(**{n: getattr(bars, n) for n in bars.__struct_fields__} | {"open": np.roll(bars.close, 1)})
    ledger = run(gapless, cash=Decimal(10**6))
    found = shortfall(ledger)
    assert found.delay == pytest.approx(Decimal(0), abs=Decimal("0.1") * 200)
    assert found.spread == found.rounding == found.fees == found.carry == 0


def test_costs_are_those_of_a_run_with_that_fee_and_slippage_never_helps(walk):
    bars = walk(400, seed=2)
    free = run(bars, cash=Decimal(10**9))
    paid = run(bars, cash=Decimal(10**9), fee_rate=Decimal("0.001"))
    assert [f.fee for f in recosted(free, Decimal(10), Decimal(0)).fills()] == [f.fee for f in paid.fills()]
    assert recosted(free, Decimal(10), Decimal(0)).equity().tolist() == paid.equity().tolist()
    levels = cost_levels(free, 365.25)
    assert len({(level.fee_bps, level.slippage_bps) for level in levels}) == 5 * 4
    for fee in (0, 20):
        equity = [level.equity for level in levels if level.fee_bps == fee]
        assert equity == sorted(equity, reverse=True)
    cost = Decimal(repr(break_even_bps(free)))
    if cost > 0:
        assert float(recosted(free, cost, Decimal(0)).equity()[-1]) == pytest.approx(free.initial_cash / 1e8)


def recosted(ledger: Ledger, fee_bps: Decimal, slippage_bps: Decimal) -> Ledger:
    """Return the ledger with every fill at another cost, folded anew from its records."""
    fee, slip = Fraction(fee_bps) / 10_000, Fraction(slippage_bps) / 10_000
    records = []
    for record in ledger.records:
        if isinstance(record, OrderFilled):
            value = abs(ledger.instruments[record.instrument].value(record.price, record.quantity))
            cost = round_half_up(value * fee.numerator, fee.denominator)
            if "limit" not in record.assumption:
                cost += round_half_up(value * slip.numerator, slip.denominator)
            records.append(msgspec.structs.replace(record, fee=cost))
        else:
            records.append(record)
    return Ledger(
        records, ledger.pricing, origins=ledger.origins, owners=ledger.owners, cash=ledger.initial_cash,
        currency=ledger.currency, first_row=ledger.first_row, stop_row=ledger.stop_row, strategy=ledger.strategy,
    )  # fmt: skip


@pytest.mark.parametrize("cash", [Decimal(10**5), Decimal(10**9), Decimal(4 * 10**10)])
def test_each_level_of_costs_is_the_run_folded_anew_at_those_costs(walk, cash):
    splits = (Split(row=90, numerator=2),)
    ledger = run(walk(200, seed=5, splits=splits), seed=3, cash=cash, fee_rate=Decimal("0.0007"))
    assert {"limit" in fill.assumption for fill in ledger.fills()} == {True, False}
    for level in cost_levels(ledger, 365.25):
        anew = recosted(ledger, Decimal(level.fee_bps), Decimal(level.slippage_bps))
        curve = np.concatenate(([ledger.initial_cash / 1e8], anew.equity()))
        assert level.equity == from_money(int(anew.equity_units()[-1]))
        assert level.total_return == float(curve[-1] / curve[0] - 1.0)
        assert level.sharpe == stats.sharpe(stats.returns(curve), 365.25)
    free = recosted(ledger, Decimal(0), Decimal(0)).equity_units()[-1]
    traded = sum(abs(fill.value) for fill in ledger.fills()) * 10**8
    assert break_even_bps(ledger) == 10_000 * (int(free) - ledger.initial_cash) / int(traded)


def test_exposure_turnover_and_benchmark_equal_a_computation_by_hand(walk):
    bars = walk(100, seed=4, splits=(Split(row=50, numerator=2),))
    ledger = run(bars, seed=7, cash=Decimal(10**6))
    equity, held = ledger.equity(), ledger.positions()
    lot = float(ledger.instrument.lot * ledger.instrument.tick)
    by_hand = [abs(int(q)) * lot * int(c) / e for q, c, e in zip(held, bars.close, equity, strict=True)]
    assert gross_exposure(ledger) == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-12)
    traded = sum(abs(float(fill.value)) for fill in ledger.fills())
    assert turnover(ledger, 2.0) == pytest.approx(traded / equity.mean() / 2, rel=1e-12)
    held_curve = held_benchmark(ledger)
    assert held_curve[0] == 1.0
    assert held_curve[-1] == pytest.approx(2 * bars.close[-1] / bars.open[0])
    whole = analyse(ledger)
    assert whole.risk.benchmark_return == pytest.approx(held_curve[-1] - 1)
    assert whole.trades.longs + whole.trades.shorts == whole.statistics.trades


def test_what_holding_paid_and_what_inverse_values_rounded_stand_apart(walk):
    bars = walk(200, seed=4)
    every = Payment(kind="funding", at=int(bars.open_time[20]), rate=Decimal("0.0003"), every_ns=30 * 60_000_000_000)
    plain, paying = run(bars, cash=Decimal(10**6)), run(bars, cash=Decimal(10**6), payments=(every,))
    costs, free = shortfall(paying), shortfall(plain)
    assert costs.carry == free.real - costs.real != 0
    assert (costs.paper, costs.rounding) == (free.paper, 0)
    coin = InstrumentConfig(
        id="WALK", venue="SIM", tick=bars.tick, lot=Decimal(1), kind="inverse", base="COIN", currency="COIN",
        multiplier=Decimal(100), leverage=Decimal(10),
    )  # fmt: skip
    inverse = run(bars, cash=Decimal(10**4), currency="COIN", instrument=coin)
    found = shortfall(inverse)
    assert len(inverse.fills()) > 5
    assert 0 < abs(found.rounding) < Decimal("0.000001")
    assert abs(found.paper - found.real - sum(getattr(found, name) for name in PARTS)) < Decimal("0.000001")
    assert 0 < gross_exposure(inverse) < 1
