"""A backtest without a server: the same journal and hashes as the durable run, frames out, errors name the cell."""

from __future__ import annotations

import random
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import kronos
from kronos import Engine
from kronos.errors import Conflict, DataError, InvalidInput
from kronos.kernel import canonical
from kronos.trading import Position, SmaCross, Strategy
from kronos.trading.journal import decode_segment

ROWS = 6_000


def walk(rows: int = ROWS, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = np.cumsum(rng.integers(-50, 51, rows))
    close = close - close.min() + 2_000
    opening = np.roll(close, 1)
    opening[0] = close[0]
    times = pd.date_range("2024-01-01", periods=rows, freq="min", tz="UTC")
    prices = {"Open": opening, "High": np.maximum(opening, close) + 5, "Low": np.minimum(opening, close) - 5}
    frame = pd.DataFrame({**prices, "Close": close}, index=times) / 100
    frame["Volume"] = 7
    return frame


@pytest.fixture(scope="module")
def outcome():
    return kronos.backtest(walk(), SmaCross, params={"fast": 5, "slow": 20}, cash=100_000, fee_rate=0.001)


def test_a_pushed_run_has_the_journal_and_the_hashes_of_the_notebook(outcome, database_url, tmp_path):
    with Engine(database_url=database_url, data_dir=tmp_path / "data") as engine:
        run_id = outcome.push(engine)
        run = engine.app.wait(run_id, 60)
        assert run.phase.value == "completed", run.failure
        result = canonical.decode(engine.app.history.payload(run.output))
        refs = engine.app.recordings.segments(run_id, "backtest", 1)
        stored = [engine.app.blobs.get(ref.blob) for ref in refs]
        assert result["dataset"] == outcome.result.dataset
        assert outcome.push(engine) != run_id
    assert result["core_chain"] == outcome.core_chain
    assert result["user_chain"] == outcome.result.user_chain
    records = [record for data in stored for record in decode_segment(data).decode()]
    assert records == outcome.ledger.records
    assert len(records) > 100


def test_frames_come_out_with_times_and_exact_sums(outcome):
    trades, fills, orders, equity = outcome.trades(), outcome.fills(), outcome.orders(), outcome.equity()
    assert len(trades) == outcome.statistics.trades + outcome.statistics.open_trades > 50
    assert len(fills) == len(orders) == outcome.result.orders
    assert str(equity.index.dtype) == "datetime64[ns, UTC]"
    assert len(equity) == ROWS
    assert equity["equity"].iloc[-1] == float(outcome.result.equity)
    exact = outcome.trades(exact=True)
    assert outcome.result.initial_cash + exact["pnl"].sum() == outcome.result.equity
    assert trades["entry_time"].iloc[0] == walk().index[int(trades["entry_row"].iloc[0])]


def test_the_state_at_a_row_is_that_of_a_run_stopped_there(outcome):
    for row in (0, 1_234, ROWS):
        stopped = outcome.run.twin()
        stopped = type(stopped)(stopped.bars, SmaCross(outcome.run.strategy.params), stopped.config)
        stopped.run(Position(row))
        assert outcome.state(row) == stopped.state()


class Wandering(Strategy):
    """Asks the generator that `source` names: one that goes on from run to run is outside of it."""

    source = random.Random(7)

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.bought = 0

    def on_bar(self, ctx, bar) -> None:
        if self.source.random() < 0.3:
            self.bought += 1
            ctx.buy(1)


class Counting(Wandering):
    """Decides nothing, remembers what it is given from outside."""

    def on_bar(self, ctx, bar) -> None:
        self.bought += self.source.random() < 0.5


@pytest.mark.parametrize("row", [37, 5_000])
def test_the_state_of_what_does_not_repeat_is_the_recorded_account_and_says_what_differs(row):
    drawn = kronos.backtest(walk(), Wandering, cash=1_000_000)
    equity, state = drawn.equity()["equity"], drawn.state(row)
    assert float(state.portfolio.equity) == equity.iloc[row - 1]
    held = drawn.fills(exact=True)
    assert state.positions["frame"] == held[held["row"] < row]["quantity"].sum() == state.portfolio.position
    assert re.search(r"made again, .* differs? from the record, first in rows \d+ to \d+", state.differs)
    assert "the strategy does not repeat" in state.differs


def test_variables_that_are_not_repeated_are_said_to_differ_where_a_block_or_the_run_ends():
    counted = kronos.backtest(walk(), Counting, cash=1_000_000)
    assert "made again, strategy variables differ from the record" in counted.state(ROWS).differs
    assert counted.state(ROWS).portfolio.equity == 1_000_000


def test_it_is_shown_inline_as_a_page_and_as_a_figure(outcome):
    page = outcome._repr_html_()
    assert "<svg" in page
    assert outcome.core_chain[:16] in page
    above, below = outcome.plot().axes
    assert len(above.lines[0].get_ydata()) == ROWS
    assert below.get_ylabel() == "drawdown, %"
    assert f"{outcome.result.rows:,} bars" in repr(outcome)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="Close"), "the data frame: no column for close"),
        (lambda f: f.reset_index(drop=True), "no column for time: a backtest needs timestamps"),
        (lambda f: spoil(f.astype({"Open": object}), 7, "Open", "n/a"), "row 7, column Open: 'n/a' is no number"),
        (lambda f: spoil(f, 9, "High", float("nan")), "row 9, column High: the value is missing"),
        (lambda f: spoil(f, 9, "Low", -1.0), "row 9, column Low: the low is negative"),
        (lambda f: f.drop(f.index[5]), "row 5: 1 gaps, 1 bars missing"),
        (lambda f: f.iloc[::-1], "row 1, column time: .* comes after"),
        (lambda f: pd.concat({"AAPL": f}, axis=1), "its columns have 2 levels"),
        (lambda f: pd.concat([f, f["Close"]], axis=1), "column 'Close' is there 2 times"),
        (lambda f: f.iloc[:0], "the data frame: has no rows"),
        (lambda _: [1, 2, 3], "a list was given: give a pandas or polars DataFrame"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_names_column_and_row(change, message):
    with pytest.raises(DataError, match=message):
        kronos.backtest(change(walk(50)), SmaCross)


def spoil(frame: pd.DataFrame, row: int, column: str, cell: object) -> pd.DataFrame:
    frame = frame.copy()
    frame.iloc[row, frame.columns.get_loc(column)] = cell
    return frame


def test_settings_are_checked_by_name():
    for wrong, message in (
        ({"comission": 1}, "there is no setting 'comission'; there are: actions, broker_id, calendar, "),
        ({"cash": "much"}, "cash: 'much' is not a number"),
        ({"params": {"quick": 1}}, "SmaCross has no parameter 'quick'"),
        ({"tick": 0.03}, "off the grid of the declared tick 0.03"),
    ):
        with pytest.raises(InvalidInput, match=message):
            kronos.backtest(walk(50), SmaCross, **wrong)
    with pytest.raises(InvalidInput, match="is no Strategy"):
        kronos.backtest(walk(50), int)


def test_a_frame_by_any_library_and_a_mapping_give_the_same_dataset(outcome):
    import pyarrow as pa

    arrow = pa.Table.from_pandas(walk().rename_axis("time").reset_index())
    renamed = walk().rename(columns={"Close": "adjusted"})
    ids = {
        kronos.backtest(frame, "kronos.trading:SmaCross", name=name, **more).result.dataset
        for frame, name, more in (
            (arrow, "one", {}),
            (renamed, "two", {"mapping": {"close": "adjusted"}}),
            (walk(), "three", {"params": {"fast": 2}, "long_only": False}),
        )
    }
    assert ids == {outcome.result.dataset}


def test_a_strategy_of_a_notebook_cell_runs_but_is_not_pushed():
    class Cell(SmaCross):
        pass

    with pytest.raises(Conflict, match="where a worker cannot import it: put it into a module"):
        kronos.backtest(walk(100), Cell).push(None)


def test_without_pandas_and_matplotlib_the_run_stands_and_the_extra_is_named():
    code = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pandas", "matplotlib"):
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Absent())
import numpy as np, pyarrow as pa, kronos
from kronos.errors import Unavailable
price = pa.array(np.arange(100) % 7 + 50.0)
times = pa.array(np.arange(100) * 60_000 + 1_700_000_000_000)
table = pa.table({"time": times, "open": price, "high": price, "low": price, "close": price})
outcome = kronos.backtest(table, "kronos.trading:SmaCross", params={"fast": 2, "slow": 3})
assert outcome.result.orders and "<svg" in outcome._repr_html_()
for ask in (outcome.trades, outcome.plot):
    try:
        ask()
    except Unavailable as error:
        print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is not installed: pip install 'kronos[notebook]'") == 2
