"""Real daily bars without a download: AAPL, MSFT, IBM and GOOG from the package `bokeh-sampledata`, 2000 to 2013.

Rule 1: prices are raw.  The ratio of adjusted to raw close changes at a corporate action: within 1 % of 2:1, 3:1 or 3:2
        it is a split (a control event before that row's open); any other change is a dividend, listed, not credited.
Rule 2: the tick is 0.0001; the calendar is that of the New York exchanges, and explains every missing day.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Final

import numpy as np
import pyarrow as pa

from kronos.errors import NotFound, Unavailable
from kronos.market.catalog import Catalog, Progress
from kronos.market.dataset import Dividend, Manifest
from kronos.market.importing import ImportOptions
from kronos.market.vectors import array_of
from kronos.trading.bars import Split

__all__ = ["SYMBOLS", "find_actions", "import_sample"]

SYMBOLS: Final = ("AAPL", "MSFT", "IBM", "GOOG")
TICK: Final = Decimal("0.0001")
SPLITS: Final = ((2, 1), (3, 1), (3, 2))
SPLIT_TOLERANCE: Final = 0.01
CHANGE_MIN: Final = 1e-6
"""A smaller change of the ratio is a rounding of the adjusted close."""

_DAY_NS: Final = 86_400_000_000_000
_PRICES: Final = ("Open", "High", "Low", "Close")
_Row = dict[str, str]


def import_sample(catalog: Catalog, symbol: str, progress: Progress | None = None) -> Manifest:
    """Import the daily bars of `symbol` as dataset `sample-<symbol>`, with its splits and dividends.

    Raises `NotFound` for a symbol that the sample lacks, `Unavailable` when the package is not installed.
    """
    rows = _rows(symbol)
    times = [_midnight(row["Date"]) for row in rows]
    splits, dividends = find_actions(
        times, [float(row["Close"]) for row in rows], [float(row["Adj Close"]) for row in rows]
    )
    table = pa.table(
        {
            "time": array_of(np.array(times, dtype=np.int64)),
            **{name.lower(): array_of(np.array([float(row[name]) for row in rows])) for name in _PRICES},
            "volume": array_of(np.array([int(row["Volume"]) for row in rows], dtype=np.int64)),
        }
    )
    options = ImportOptions(
        name=f"sample-{symbol.lower()}",
        instrument=symbol,
        tick=TICK,
        volume_step=Decimal(1),
        interval_ns=_DAY_NS,
        calendar="us-equity",
        splits=tuple(splits),
        dividends=tuple(dividends),
    )
    table = table.set_column(0, "time", table["time"].cast(pa.timestamp("ns", "UTC")))
    return catalog.import_table(table, options, progress)


def find_actions(
    times: Sequence[int], closes: Sequence[float], adjusted: Sequence[float]
) -> tuple[list[Split], list[Dividend]]:
    """Return the splits and dividends that changes of adjusted / raw close tell; amounts a share before the row."""
    splits: list[Split] = []
    dividends: list[Dividend] = []
    for row in range(1, len(times)):
        change = (adjusted[row] / closes[row]) / (adjusted[row - 1] / closes[row - 1])
        ratio = next((r for r in SPLITS if abs(change / (r[0] / r[1]) - 1) <= SPLIT_TOLERANCE), None)
        if ratio is not None:
            splits.append(Split(row=row, numerator=ratio[0], denominator=ratio[1]))
        elif abs(change - 1) > CHANGE_MIN:
            amount = round(closes[row - 1] * (1 - 1 / change), 4)
            dividends.append(Dividend(row=row, time_ns=times[row], amount=amount))
    return splits, dividends


def _rows(symbol: str) -> list[_Row]:
    if symbol not in SYMBOLS:
        raise NotFound(f"the sample has no {symbol!r}; it has {', '.join(SYMBOLS)}", symbol=symbol)
    try:
        data = files("bokeh_sampledata").joinpath("_data/stocks.csv.gz").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise Unavailable("the sample data is not installed: pip install bokeh-sampledata") from error
    text = gzip.decompress(data).decode()
    return [row for row in csv.DictReader(text.splitlines()) if row["Ticker"] == symbol]


def _midnight(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000_000
