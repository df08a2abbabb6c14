"""Bars a second: 1,000,000 one-minute bars, a cross of two simple means, Python `on_bar` on every bar, recording on.

    python -m benchmarks.bars [--json]

A round is one whole `Backtest`: bounds proven, features computed and proven, every bar handed to the handler, risk,
venue, journal, both chains and checkpoints, the journal's segments kept in memory.  `value` is that of declared
features.  Beside it, in the same rounds, on the same walk, with the same rule:

  incremental   the same strategy with two `Sma` that it feeds itself
  bare          a Python loop over the same columns with the same two `Sma`: no orders, no journal, nothing
  backtesting   backtesting.py, its means vectorised, its `crossover`; `lean` is one comparison a bar instead
  backtrader    backtrader, on the first 100,000 bars (a million take it minutes)
  nautilus      NautilusTrader in its own environment, its compiled means, on the first 200,000 bars
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import ROOT, Report, main, peer_python, say
from kronos.trading import Backtest, BacktestConfig, Bars, MemoryRecorder, Strategy, feature
from kronos.trading.indicators import Sma

ROWS = 1_000_000
ROUNDS = 5
FAST, SLOW = 60, 1_440
PEERS = {"backtesting": ROWS, "backtrader": 100_000, "nautilus": 200_000}
CONFIG = BacktestConfig(cash=Decimal(10**9), fee_rate=Decimal("0.001"))


def mean(bars, period):
    """The simple mean of the closes: an exact integer sum, divided once."""
    sums = np.cumsum(bars.close)
    sums[period:] -= sums[:-period].copy()
    found = sums / period
    found[: period - 1] = np.nan
    return found


class Declared(Strategy):
    fast = feature(mean, period=FAST)
    slow = feature(mean, period=SLOW)

    def __init__(self, params=None):
        super().__init__(params)
        self.above = False

    def on_bar(self, ctx, bar):
        known = ctx.features
        above = known.fast > known.slow
        if above is not self.above:
            self.above = above
            if above:
                ctx.buy(1)
            elif ctx.position_lots:
                ctx.sell(1)


class Incremental(Strategy):
    def __init__(self, params=None):
        super().__init__(params)
        self.fast, self.slow = Sma(FAST), Sma(SLOW)
        self.above = False

    def on_bar(self, ctx, bar):
        fast, slow = self.fast.update(bar.close), self.slow.update(bar.close)
        above = slow is not None and fast > slow
        if above is not self.above:
            self.above = above
            if above:
                ctx.buy(1)
            elif ctx.position_lots:
                ctx.sell(1)


def walk(rows: int) -> Bars:
    """A random walk of one-minute bars in cents."""
    rng = np.random.default_rng(1)
    close = np.cumsum(rng.integers(-50, 51, rows)).astype(np.int64)
    close += 100_000 - close.min()
    opening = np.roll(close, 1)
    opening[0] = close[0]
    return Bars(
        dataset=f"walk-{rows}",
        instrument="WALK",
        tick=Decimal("0.01"),
        volume_step=Decimal(1),
        interval_ns=60 * 10**9,
        open_time=np.arange(rows, dtype=np.int64) * 60 * 10**9 + 1_577_836_800 * 10**9,
        open=opening,
        high=np.maximum(opening, close) + 5,
        low=np.minimum(opening, close) - 5,
        close=close,
        volume=np.ones(rows, dtype=np.int64) * 1_000,
    )


def measure(arguments: argparse.Namespace) -> Report:
    bars = walk(arguments.rows)
    rounds: dict[str, list[float]] = {}
    figures: dict[str, Any] = {"bars": arguments.rows, "fast": FAST, "slow": SLOW}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            for name, kind in (("declared", Declared), ("incremental", Incremental)):
                rate, figures[name] = ours(bars, kind)
                rounds.setdefault(name, []).append(rate)
            rounds.setdefault("bare", []).append(bare(bars))
            for peer, rows in PEERS.items():
                found = theirs(peer, bars, min(rows, arguments.rows), Path(folder))
                if isinstance(found, str):
                    figures.setdefault("missing_peers", {})[peer] = found
                else:
                    rounds.setdefault(peer, []).append(found["bars_per_s"])
                    figures[f"{peer}_orders"] = found["orders"]
                    if "lean_bars_per_s" in found:
                        rounds.setdefault(f"{peer}_lean", []).append(found["lean_bars_per_s"])
            say(f"round {number + 1}: " + ", ".join(f"{name} {each[-1]:,.0f}" for name, each in rounds.items()))
    medians = {name: statistics.median(each) for name, each in rounds.items()}
    value = medians.pop("declared")
    figures["incremental_over_bare"] = round(medians["incremental"] / medians["bare"], 3)
    return Report("bars", value, "bars/s", medians, rounds["declared"], figures)


def ours(bars: Bars, kind: type[Strategy]) -> tuple[float, dict[str, Any]]:
    recorder = MemoryRecorder()
    began = time.perf_counter()
    result = Backtest(bars, kind(), CONFIG, recorder=recorder, clock=time.monotonic_ns, key=b"benchmark" * 4).run()
    seconds = time.perf_counter() - began
    assert result.finished, "every bar was dispatched"
    assert recorder.segments[-1].last_row == bars.rows - 1, "and the journal holds them"
    shown = {"orders": result.orders, "records": result.records, "checkpoints": result.checkpoints}
    return bars.rows / seconds, {**shown, "core_chain": result.core_chain[:16]}


def bare(bars: Bars) -> float:
    began = time.perf_counter()
    fast, slow, above, crosses = Sma(FAST), Sma(SLOW), False, []
    columns = (bars.open_time, bars.open, bars.high, bars.low, bars.close, bars.volume)
    for row, (_time, _open, _high, _low, close, _volume) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        one, other = fast.update(close), slow.update(close)
        now = other is not None and one > other
        if now is not above:
            above = now
            crosses.append(row)
    assert crosses
    return bars.rows / (time.perf_counter() - began)


def theirs(peer: str, bars: Bars, rows: int, folder: Path) -> dict[str, Any] | str:
    """Return what a peer's script prints, or why there is nothing."""
    python = sys.executable if peer != "nautilus" else peer_python(peer)
    if python is None:
        return "not installed (make bench)"
    file = folder / f"{rows}.npy"
    if not file.exists():
        np.save(file, np.column_stack([getattr(bars, n)[:rows] for n in ("open", "high", "low", "close", "volume")]))
    script = ROOT / "benchmarks" / "peers" / f"{peer}_bars.py"
    done = subprocess.run(
        [python, script, file, str(FAST), str(SLOW)], capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise SystemExit(f"the peer {peer} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog=f"python -m benchmarks.{Path(__file__).stem}")
    arguments.add_argument("--rows", type=int, default=ROWS)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    main(measure, arguments)
