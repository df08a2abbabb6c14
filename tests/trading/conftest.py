"""Bars to trade on: random walks for properties, the real BTC file for exactness."""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from kronos.market.columns import Place, read_numbers, read_times
from kronos.market.exact import to_steps
from kronos.market.readers import read_table
from kronos.trading import Bars, Split

HOUR_NS = 3_600_000_000_000
MINUTE_NS = 60_000_000_000

Walk = Callable[..., Bars]


@pytest.fixture(scope="session")
def walk() -> Walk:
    def make(rows: int, *, seed: int = 1, splits: tuple[Split, ...] = (), low: int = 1_000) -> Bars:
        rng = np.random.default_rng(seed)
        close = np.cumsum(rng.integers(-50, 51, rows)).astype(np.int64)
        close += low - close.min()
        opening = np.roll(close, 1)
        opening[0] = close[0]
        return Bars(
            dataset=f"walk-{rows}-{seed}-{low}-{len(splits)}",
            instrument="WALK",
            tick=Decimal("0.01"),
            volume_step=Decimal(1),
            interval_ns=MINUTE_NS,
            open_time=np.arange(rows, dtype=np.int64) * MINUTE_NS + 1_600_000_000_000_000_000,
            open=opening,
            high=np.maximum(opening, close) + 5,
            low=np.minimum(opening, close) - 5,
            close=close,
            volume=np.ones(rows, dtype=np.int64),
            splits=splits,
        )

    return make


@pytest.fixture(scope="session")
def data_folder() -> Path:
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("KRONOS_TEST_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"KRONOS_TEST_DATA: {folder} does not exist")
        pytest.skip(f"no market data at {folder}: set KRONOS_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def btc_path(data_folder: Path) -> Path:
    return data_folder / "btc_1h_spot_2017_2024" / "BTC_USDT-1h.feather"


@pytest.fixture(scope="session")
def btc(btc_path: Path) -> Bars:
    return load_btc(btc_path)


def load_btc(path: Path) -> Bars:
    table, _ = read_table(path)
    place = Place(file=path.name)
    prices, tick = to_steps(
        {name: read_numbers(table[name], name, place) for name in ("open", "high", "low", "close")}, None, place
    )
    return Bars(
        dataset="btc",
        instrument="BTCUSDT",
        tick=tick,
        volume_step=Decimal(1),
        interval_ns=HOUR_NS,
        open_time=read_times(table["date"], "date", place),
        volume=np.zeros(table.num_rows, dtype=np.int64),
        **prices,
    )
