"""`kronos.audit` and `kronos audit`: reads of the future, and whatever a strategy opens beside its data."""

from __future__ import annotations

import json
import linecache
import os
import socket
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kronos
from kronos.errors import InvalidInput
from kronos.trading import Strategy
from tests.terminal import type_here


def walk(rows: int = 2_000) -> pd.DataFrame:
    close = np.cumsum(np.random.default_rng(3).integers(-50, 51, rows))
    close = close - close.min() + 2_000
    opening = np.roll(close, 1)
    opening[0] = close[0]
    times = pd.date_range("2024-01-01", periods=rows, freq="min", tz="UTC")
    prices = {"Open": opening, "High": np.maximum(opening, close) + 5, "Low": np.minimum(opening, close) - 5}
    return pd.DataFrame({**prices, "Close": close, "Volume": 700}, index=times) / 100


class Turns(Strategy):
    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.over = 0

    def on_bar(self, ctx, bar) -> None:
        if (bar.close > bar.open + self.over) and not ctx.position_lots:
            ctx.buy(1)
        elif bar.close < bar.open and ctx.position_lots:
            ctx.sell(1)


class Reads(Turns):
    def on_start(self, ctx) -> None:
        self.over = len(Path(os.devnull).read_text()) * 0


class Calls(Turns):
    def on_bar(self, ctx, bar) -> None:
        if bar.row == 700:
            with socket.socket() as line:
                line.settimeout(0.01)
                line.connect_ex(("127.0.0.1", 9))
        super().on_bar(ctx, bar)


def test_an_honest_strategy_is_clean() -> None:
    found = kronos.audit(walk(), Turns, cash=100_000)
    assert found.is_clean
    assert found.rows == 2_000


def test_a_fit_over_the_whole_frame_is_seen_where_the_strategy_is_made_from_the_bars() -> None:
    def fitted(bars):
        strategy = Turns()
        strategy.over = int(np.abs(bars.close - bars.open).mean())
        return strategy

    (one,) = kronos.audit(walk(), fitted, cash=100_000).readings
    assert one.at_start


@pytest.mark.parametrize(("kind", "event"), [(Reads, "open /dev/null"), (Calls, "socket.connect ('127.0.0.1', 9)")])
def test_a_file_and_a_socket_that_a_strategy_opens_are_findings(kind, event) -> None:
    found = kronos.audit(walk(), kind, cash=100_000)
    assert not found.is_clean
    assert any(line.startswith(f"{event} at ") and "test_auditing.py:" in line for line in found.opened), found.opened


class Warns(Turns):
    """Has the text of a warning made, as the interpreter does when it shows one."""

    def on_bar(self, ctx, bar) -> None:
        if bar.row == 5:
            linecache.clearcache()
            assert "Has the text" in warnings.formatwarning("thought otherwise", UserWarning, __file__, LINE)
        super().on_bar(ctx, bar)


LINE = Warns.on_bar.__code__.co_firstlineno - 2


def test_the_line_of_source_that_a_warning_shows_is_not_opened_by_the_strategy() -> None:
    found = kronos.audit(walk(), Warns, cash=100_000)
    assert found.is_clean, found.findings


def test_what_is_no_strategy_is_refused() -> None:
    with pytest.raises(InvalidInput, match="is no Strategy and no function of bars"):
        kronos.audit(walk(), 7)


def test_the_command_names_the_read_and_exits_with_one(tmp_path) -> None:
    walk().reset_index(names="time").to_csv(tmp_path / "bars.csv", index=False)
    (tmp_path / "audited_strategies.py").write_text(
        textwrap.dedent("""
        from kronos.trading import Strategy

        class Ahead(Strategy):
            def on_bar(self, ctx, bar):
                closes = ctx.close._values
                rises = closes[min(bar.row + 1, len(closes) - 1)] > bar.close
                if rises and not ctx.position_lots:
                    ctx.buy(1)
                elif not rises and ctx.position_lots:
                    ctx.sell(1)
        """)
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = ("audit", "--data", "bars.csv", "--strategy", "audited_strategies:Ahead")
    ran = type_here(*command, folder=tmp_path, environment=environment)
    assert ran.returncode == 1, ran.stderr
    assert "depends on close[" in ran.stdout
    shown = json.loads(type_here(*command, "--json", folder=tmp_path, environment=environment).stdout)
    assert shown["clean"] is False
    assert shown["replayed"] <= 2 * shown["rows"]
