"""Trades through a session: limit orders matched on every trade, a strategy on the minutes made of them.

    python -m benchmarks.ticks [--trades 10000000] [--rounds 5] [--json]

Claim: mapped, ≥ 30,000,000 trades/s; from Parquet, end to end, ≥ 10,000,000; ≤ 1 GB at the peak.  Each round is a
process of its own.  From Parquet is what the catalog does when it has chunks and no cache: each chunk's name checked,
read, laid in the mapped file and hashed, the dataset's id compared.  `value` is the run: rows of all streams ordered,
candles made, orders matched, every record and chain written.  The time that compiling takes on a machine that never
ran it is shown apart.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Report, main, say
from kronos.kernel import canonical
from kronos.market.cache import map_columns
from kronos.market.catalog import Catalog
from kronos.market.chunks import FolderBlobs
from kronos.market.dataset import Source
from kronos.market.prepared import Prepared
from kronos.ports import DatasetRow
from kronos.trading import Bars, Strategy
from kronos.trading.fast.candles import candles
from kronos.trading.session import Session
from kronos.trading.session_config import SessionConfig
from kronos.trading.streams import COLUMNS_OF, Trades
from kronos.trading.views import bars

MINUTE_NS = 60_000_000_000
GRID: dict[str, Any] = {
    "dataset": "walk", "instrument": "WALK", "tick": Decimal("0.01"), "volume_step": Decimal("0.001"),
}  # fmt: skip


class Shelf:
    """`ports.DatasetIndex` of one dataset, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, row: DatasetRow) -> None:
        self._path.write_bytes(canonical.encode(row))

    def find(self, name_or_id: str) -> DatasetRow:
        return self.all()[0]

    def all(self) -> list[DatasetRow]:
        return [canonical.decode(self._path.read_bytes(), DatasetRow)]


class Quoter(Strategy):
    """Every 30 minutes it lays a buy below and a sell above, and takes back what is still there."""

    subscribes = (bars("WALK"),)

    def on_start(self, ctx):
        self.open = []

    def on_bar(self, ctx, bar):
        if bar.row % 30:
            return
        for order_id in self.open:
            ctx.cancel(order_id)
        price = Decimal(bar.close) / 100
        self.open = [
            ctx.buy("0.01", type="limit", limit=price - Decimal("0.20")),
            ctx.sell("0.01", type="limit", limit=price + Decimal("0.20")),
        ]


def measure(arguments: argparse.Namespace) -> Report:
    """Lay the files once, then run each round in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="kronos-bench-") as folder:
        _lay(Path(folder), arguments.trades)
        compiling = _round(folder, "mapped")["compile_s"]
        mapped = [_round(folder, "mapped") for _ in range(arguments.rounds)]
        parquet = [_round(folder, "parquet") for _ in range(arguments.rounds)]
    rates = [arguments.trades / each["run_s"] for each in mapped]
    whole = [arguments.trades / each["whole_s"] for each in parquet]
    last = mapped[-1]
    figures = {
        "by the processor's own time, trades/s": round(
            statistics.median(arguments.trades / each["cpu_s"] for each in mapped)
        ),
        "from Parquet, end to end, trades/s": round(statistics.median(whole)),
        "from Parquet by the processor's own time, trades/s": round(
            statistics.median(arguments.trades / each["whole_cpu_s"] for each in parquet)
        ),
        "peak memory mapped, MB": max(each["peak_mb"] for each in mapped),
        "peak memory from Parquet, MB": max(each["peak_mb"] for each in parquet),
        "compile at first (excluded), s": compiling,
        "bars": last["bars"],
        "fills": last["fills"],
        "records": last["records"],
        "parts of a run, s": last["parts"],
    }
    return Report("ticks", statistics.median(rates), "trades/s", {}, rates, figures)


def _lay(folder: Path, count: int) -> None:
    say(f"laying {count:,} trades")
    rng = np.random.default_rng(1)
    happened = 1_600_000_000_000_000_000 + np.cumsum(rng.integers(1, 60_000_000, count))
    columns = {
        "time": happened,
        "available": happened,
        "price": 1_000_000 + np.cumsum(rng.integers(-3, 4, count)),
        "quantity": rng.integers(1, 1_000, count),
        "side": rng.choice(np.array([-1, 1]), count),
        "source": np.arange(count),
    }
    prepared = Prepared(
        kind="trades", name="walk", instrument="WALK", columns=columns, tick=GRID["tick"],
        volume_step=GRID["volume_step"], source=Source(file="", sha256="", mapping={}),
    )  # fmt: skip
    _catalog(folder, "mapped").add(prepared)


def _catalog(folder: Path, way: str) -> Catalog:
    """Return the shelf; its cache is there for `mapped` only."""
    return Catalog(FolderBlobs(str(folder / "chunks")), Shelf(folder / "index"), folder / way)


def _round(folder: str, way: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ticks", "--child", way, folder],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return dict(json.loads(done.stdout))


def _child(way: str, folder: Path) -> None:
    began = time.perf_counter()
    _run(_small())  # compiled functions are read from their cache, or made
    compiled = time.perf_counter()
    reading = time.process_time()
    catalog = _catalog(folder, way)
    if way == "mapped":
        manifest = catalog.manifest("walk")
        columns = map_columns(folder / way / f"{manifest.dataset.id}.arrow", COLUMNS_OF["trades"])
        assert columns is not None
        trades = Trades(**GRID, **columns)
    else:
        shutil.rmtree(folder / way, ignore_errors=True)
        trades = catalog.stream("walk")
        assert isinstance(trades, Trades)
    opened, busy = time.perf_counter(), time.process_time()
    figures = _run(trades)
    ended, spent = time.perf_counter(), time.process_time() - busy
    figures |= {
        "compile_s": round(compiled - began, 2),
        "run_s": ended - opened,
        "whole_s": ended - compiled,
        "cpu_s": spent,
        "whole_cpu_s": busy - reading + spent,
        "reading, s": round(opened - compiled, 3),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }
    print(json.dumps(figures))


def _small() -> Trades:
    column = np.arange(1, 200_001, dtype=np.int64)
    at = column * 10_000_000 + 1_600_000_000_000_000_000
    side = np.where(column % 2, 1, -1)
    price = 1_000_000 + column % 100
    return Trades(**GRID, time=at, available=at, price=price, quantity=column, side=side, source=column)


def _run(trades: Trades) -> dict[str, Any]:
    marks = [time.perf_counter()]
    made = candles(trades.time, trades.price, trades.quantity, MINUTE_NS)
    assert made is not None
    names = ("open_time", "open", "high", "low", "close", "volume")
    minutes = Bars(**GRID, interval_ns=MINUTE_NS, **dict(zip(names, made, strict=True)))
    marks.append(time.perf_counter())
    session = Session([trades, minutes], [Quoter()], SessionConfig(long_only=False))
    marks.append(time.perf_counter())
    result = session.run()
    marks.append(time.perf_counter())
    parts = dict(zip(("candles", "session", "run"), np.diff(marks).round(3).tolist(), strict=True))
    core = session.core
    return {
        "bars": minutes.rows,
        "fills": core.next_order_id - 1 - len(core.orders),
        "records": result.records,
        "parts": parts,
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(sys.argv[2], Path(sys.argv[3]))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--trades", type=int, default=10_000_000)
        parser.add_argument("--rounds", type=int, default=5)
        main(measure, parser)
