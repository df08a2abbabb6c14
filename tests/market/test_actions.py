"""Splits and dividends given with a dataset reach the account, at the open of their day and to the last cent."""

from __future__ import annotations

import json
import os
from decimal import Decimal

import pandas as pd
import pytest

from kronos.errors import DataError
from kronos.market import ImportOptions
from kronos.market.actions import dividend_payments, read_actions
from kronos.trading import Backtest, BacktestConfig
from tests.market.holding import Holder
from tests.terminal import type_here

DAYS = pd.date_range("2024-01-01", periods=8, tz="UTC")
PRICES = [100.0, 100.0, 100.0, 25.0, 25.0, 25.0, 25.0, 25.0]


@pytest.fixture
def bars():
    return pd.DataFrame({"time": DAYS, "open": PRICES, "high": PRICES, "low": PRICES, "close": PRICES})


def write(path, *lines):
    path.write_text("\n".join(("date,type,value", *lines)))
    return path


def test_a_split_and_a_dividend_change_the_account_as_they_say(catalog, bars, tmp_path):
    actions = read_actions(write(tmp_path / "a.csv", "2024-01-04,split,4:1", "2024-01-06,dividend,0.24"))
    manifest = catalog.import_frame(bars, ImportOptions(name="b", instrument="B", actions=actions))
    assert [(s.row, s.numerator, s.denominator) for s in manifest.splits] == [(3, 4, 1)]
    assert [(d.row, d.amount) for d in manifest.dividends] == [(5, 0.24)]
    assert manifest.jumps == []
    for paid, cash in ((False, "9000"), (True, "9009.6")):
        config = BacktestConfig(cash=Decimal(10_000), payments=dividend_payments(manifest) if paid else ())
        run = Backtest(catalog.open("b"), Holder(), config)
        result = run.run()
        assert result.position == 40
        assert result.cash == Decimal(cash)
        assert result.equity == result.cash + 40 * 25


def test_an_action_between_bars_takes_effect_before_the_next_one(catalog, bars, tmp_path):
    actions = read_actions(write(tmp_path / "a.csv", "2024-01-03T12:00:00,split,4"))
    assert catalog.import_frame(bars, ImportOptions(name="b", instrument="B", actions=actions)).splits[0].row == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2024-01-04,split,four", r"a.csv, row 0 \(line 2\), column value: 'four' is no ratio: write 4:1"),
        ("2024-01-04,split,4:0", "'4:0' is no ratio"),
        ("2024-01-04,dividend,-1", "'-1' is no amount a share above 0"),
        ("2024-01-04,dividend,nan", "'nan' is no amount"),
        ("2024-01-04,merger,1", "column type: 'merger' is neither split nor dividend"),
        ("soon,split,4:1", "'soon' is no ISO 8601 date"),
    ],
)
def test_what_is_no_action_names_row_and_column(tmp_path, line, message):
    with pytest.raises(DataError, match=message):
        read_actions(write(tmp_path / "a.csv", line))


def test_actions_outside_the_bars_and_tables_of_other_columns_are_refused(catalog, bars, tmp_path):
    late = read_actions(write(tmp_path / "a.csv", "2025-01-04,split,4:1"))
    with pytest.raises(DataError, match="lies outside the bars"):
        catalog.import_frame(bars, ImportOptions(name="b", instrument="B", actions=late))
    (tmp_path / "b.csv").write_text("date,ratio\n2024-01-04,4")
    with pytest.raises(DataError, match="no column 'type'; actions have date, type, value"):
        read_actions(tmp_path / "b.csv")


def test_the_command_line_imports_actions_and_credits_dividends(bars, database_url, tmp_path):
    bars.to_csv(tmp_path / "b.csv", index=False)
    write(tmp_path / "a.csv", "2024-01-04,split,4:1", "2024-01-06,dividend,0.24")
    environment = {**os.environ, "DATABASE_URL": database_url, "KRONOS_DATA_DIR": str(tmp_path / "data")}

    def typed(*words):
        done = type_here(*words, "--json", folder=tmp_path, environment=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert (typed("data", "import", "b.csv", "--actions", "a.csv")["splits"]) == 1
    words = ("backtest", "--data", "b", "--strategy", "tests.market.holding:Holder", "--cash", "10000")
    paid = typed(*words, "--dividends")["result"]
    free = typed(*words)["result"]
    assert Decimal(paid["cash"]) - Decimal(free["cash"]) == Decimal("9.6")
