"""The demo workflow: real bars, parallel branches, one result, the same every time.

Rule: the tests look at one run, which is a dozen real backtests; only who compares two makes a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, TypeVar

import msgspec
import pytest

from kronos.app import Engine
from kronos.core.state import Run, StepStatus
from kronos.flows.demo import PARAMETER_SETS, DemoReport, DemoRequest, SampleBars, sma_research
from kronos.flows.portfolio import BestSet
from kronos.flows.steps import BacktestResult
from kronos.kernel import canonical
from kronos.kernel.ids import RunId, StepName
from kronos.market.plans import BacktestPlan, prepare
from kronos.market.sample import SYMBOLS
from kronos.trading.journal import MemoryRecorder
from kronos.trading.ledger import read_ledger

T = TypeVar("T")
Demo = tuple[RunId, Run, BestSet]


@pytest.fixture(scope="module")
def engine(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("demo")
    with Engine(workflows=[sma_research], database_url=module_database_url, data_dir=folder) as running:
        yield running


@pytest.fixture(scope="module")
def demo(engine: Engine) -> Demo:
    return run_demo(engine)


def run_demo(engine: Engine) -> Demo:
    handle = engine.start(sma_research, DemoRequest())
    best = handle.result(timeout=60)
    return handle.run_id, engine.app.history.state_at(handle.run_id), best


def output(engine: Engine, run: Run, step: str, kind: type[T] | Any) -> T:
    data = run.steps[step].facts.output
    assert not isinstance(data, msgspec.UnsetType), f"{step} has an output"
    found: T = canonical.decode(engine.app.history.payload(data), kind)
    return found


def test_the_demo_runs_its_branches_side_by_side_and_joins_them_once(engine: Engine, demo: Demo) -> None:
    run_id, run, best = demo
    backtests = [f"{symbol.lower()}-{fast}-{slow}" for fast, slow in PARAMETER_SETS for symbol in SYMBOLS]
    assert {step.status for step in run.steps.values()} == {StepStatus.COMPLETED}
    assert set(backtests) <= set(run.steps)
    spans = sorted((run.steps[name].facts.started or 0, run.steps[name].facts.finished or 0) for name in backtests)
    assert any(after[0] < before[1] for before, after in pairwise(spans)), "two backtests overlap"
    joined = run.steps["choose_best"].facts.started or 0
    assert all((run.steps[f"metrics-{fast}-{slow}"].facts.finished or 0) <= joined for fast, slow in PARAMETER_SETS)
    assert best.name == best.ranking[0][0]
    assert [ratio for _, ratio in best.ranking] == sorted((ratio for _, ratio in best.ranking), reverse=True)
    assert engine.app.history.verify(run_id) == run.seq


def test_two_runs_of_the_demo_have_equal_outputs_and_equal_chains(engine: Engine, demo: Demo) -> None:
    _, first, best = demo
    _, second, again = run_demo(engine)
    assert best == again
    for name, step in first.steps.items():
        mine, theirs = step.facts.output, second.steps[name].facts.output
        assert isinstance(mine, msgspec.Raw)
        assert isinstance(theirs, msgspec.Raw)
        assert bytes(mine) == bytes(theirs), f"{name} gives the same bytes twice"


def test_exactly_three_splits_are_found_and_a_split_day_moves_equity_by_the_market_alone(
    engine: Engine, demo: Demo
) -> None:
    _, run, _ = demo
    market: dict[str, SampleBars] = output(engine, run, "load_bars", dict[str, SampleBars])
    days = {}
    for symbol, found in market.items():
        bars = engine.app.catalog.open(found.bars)
        for split in found.splits:
            at = int(bars.open_time[split.row]) // 86_400_000_000_000
            days[symbol, str(_date(at))] = (split.numerator, split.denominator)
    assert days == {("AAPL", "2000-06-21"): (2, 1), ("AAPL", "2005-02-28"): (2, 1), ("MSFT", "2003-02-18"): (2, 1)}
    assert [_date(jump.time_ns // 86_400_000_000_000) for jump in market["AAPL"].jumps] == ["2000-09-29"]

    plan = BacktestPlan(strategy="tests.flows.holding:Hold", params={"size": "100"})
    recorder = MemoryRecorder()
    backtest = prepare(engine.app.catalog, market["AAPL"].bars, plan, recorder=recorder)
    backtest.run()
    ledger = read_ledger([each.data for each in recorder.segments], backtest.bars, backtest.instrument)
    equity, bars = ledger.equity_units(), backtest.bars
    for split in market["AAPL"].splits:
        held = int(ledger.positions()[split.row - 1])
        before = int(bars.close[split.row - 1]) * held * backtest.instrument.unit
        after = int(bars.close[split.row]) * held * split.numerator // split.denominator * backtest.instrument.unit
        assert int(equity[split.row] - equity[split.row - 1]) == after - before
        assert int(ledger.positions()[split.row]) == held * split.numerator // split.denominator


def test_the_journal_of_a_demo_backtest_ends_in_the_chain_that_its_result_states(engine: Engine, demo: Demo) -> None:
    run_id, run, _ = demo
    result: BacktestResult = output(engine, run, "aapl-10-30", BacktestResult)
    segments = engine.app.recordings.segments(run_id, StepName("aapl-10-30"), 1)
    assert segments[-1].core_chain.hex() == result.core_chain
    assert segments[-1].last_row == result.rows - 1


def test_the_report_needs_nothing_but_itself(engine: Engine, demo: Demo) -> None:
    _, run, best = demo
    report: DemoReport = output(engine, run, "report", DemoReport)
    assert best.name in report.html
    assert "<svg" in report.html
    assert "2000-03-01 to 2013-03-01" in report.html, "the days of the first and the last bar"
    for foreign in ("<script", "http://", "https://", "src=", "@import", "url("):
        assert foreign not in report.html


def _date(day: int) -> str:
    from datetime import date, timedelta

    return str(date(1970, 1, 1) + timedelta(days=day))
