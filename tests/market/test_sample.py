"""The demo's real bars: exactly three splits, and a split day changes equity by the market's move alone."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from kronos.errors import InvalidInput, NotFound
from kronos.market import SYMBOLS, find_strategy, import_sample, load_strategy
from kronos.trading import Backtest, BacktestConfig, MemoryRecorder, Position, SmaCross, Strategy, read_ledger


def day(bars, row: int) -> str:
    return datetime.fromtimestamp(int(bars.open_time[row]) // 10**9, tz=UTC).strftime("%Y-%m-%d")


class Holder(Strategy):
    def on_start(self, ctx) -> None:
        ctx.buy(100)


def test_the_sample_holds_four_symbols_and_exactly_three_splits(catalog) -> None:
    splits = {}
    for symbol in SYMBOLS:
        manifest = import_sample(catalog, symbol)
        bars = catalog.open(manifest.dataset)
        splits[symbol] = [(day(bars, s.row), s.numerator, s.denominator) for s in manifest.splits]
        assert manifest.dataset.rows == (2148 if symbol == "GOOG" else 3270)
        assert day(bars, 0) == ("2004-08-19" if symbol == "GOOG" else "2000-03-01")
        assert day(bars, bars.rows - 1) == "2013-03-01"
        assert manifest.missing == 0
        assert bars.tick == Decimal("0.0001")
        assert [day(bars, jump.row) for jump in manifest.jumps] == (["2000-09-29"] if symbol == "AAPL" else [])
    assert splits == {
        "AAPL": [("2000-06-21", 2, 1), ("2005-02-28", 2, 1)],
        "MSFT": [("2003-02-18", 2, 1)],
        "IBM": [],
        "GOOG": [],
    }


def test_dividends_are_listed_and_not_credited(catalog) -> None:
    manifest = import_sample(catalog, "MSFT")
    bars = catalog.open(manifest.dataset)
    special = next(d for d in manifest.dividends if d.amount > 1)
    assert (day(bars, special.row), special.amount) == ("2004-11-15", pytest.approx(3.08, abs=0.06))
    run = Backtest(bars, Holder(), BacktestConfig(cash=Decimal(100_000)))
    run.run(Position(special.row))
    cash = run.state().portfolio.cash
    run.run(Position(special.row + 1))
    assert run.state().portfolio.cash == cash


@pytest.mark.parametrize(("symbol", "count"), [("AAPL", 2), ("MSFT", 1)])
def test_a_split_day_changes_equity_only_by_the_markets_move(catalog, symbol, count) -> None:
    bars = catalog.open(import_sample(catalog, symbol).dataset)
    recorder = MemoryRecorder()
    run = Backtest(bars, Holder(), BacktestConfig(cash=Decimal(100_000)), recorder=recorder)
    run.run()
    ledger = read_ledger([s.data for s in recorder.segments], bars, run.instrument)
    equity, positions = ledger.equity_units(), ledger.positions()
    lots = run.instrument.lots(100)
    for split in bars.splits:
        row, held = split.row, lots
        assert (positions[row - 1], positions[row]) == (held, 2 * held)
        move = 2 * int(bars.close[row]) - int(bars.close[row - 1])
        assert equity[row] - equity[row - 1] == held * move * run.instrument.unit
        assert abs(equity[row] / equity[row - 1] - 1) < 0.1
        lots *= 2
    assert len(bars.splits) == count
    (trade,) = ledger.trades()
    assert trade.open
    assert trade.quantity == 100 * 2**count


def test_an_unknown_symbol_names_those_that_there_are(catalog) -> None:
    with pytest.raises(NotFound, match="the sample has no 'TSLA'; it has AAPL, MSFT, IBM, GOOG"):
        import_sample(catalog, "TSLA")


def test_strategies_load_by_name_with_typed_parameters(tmp_path, monkeypatch) -> None:
    loaded = load_strategy("kronos.trading:SmaCross", {"fast": "5", "size": "0.5"})
    assert type(loaded) is SmaCross
    assert loaded.params == SmaCross.Params(fast=5, size=Decimal("0.5"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_one.py").write_text("1 / 0")
    (tmp_path / "needs_more.py").write_text("import no_such_library")
    for spec, message in (
        ("SmaCross", "'SmaCross' is not module:Class"),
        ("no.such:X", "there is no module 'no.such' on the path"),
        ("needs_more:X", "needs_more' on the path; it needs no_such_library"),
        ("broken_one:X", "module 'broken_one' fails to import: ZeroDivisionError: division by zero"),
        ("kronos.trading:Nope", "'Nope' is no Strategy of kronos.trading; it has: SmaCross"),
        ("kronos.trading:Backtest", "'Backtest' is no Strategy"),
    ):
        with pytest.raises(InvalidInput, match=message):
            find_strategy(spec)
    with pytest.raises(InvalidInput, match="SmaCross has no parameter 'size_'"):
        load_strategy("kronos.trading:SmaCross", {"size_": "1"})
