"""Seeking in ten million bars: the account, and the strategy's variables, at random rows of a durable run.

Claim: core state ≤ 100 ms warm, ≤ 300 ms cold.  The run is made by `Engine` with default settings; each row is asked of
the shipped `Machine`.
`value` is the p95 of the core state, warm; *cold* is a machine that was just made, and for variables a host that was
just started and has imported nothing (its first answer is counted apart as `spawn`).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.harness import Report, database_folder, main
from kronos import Engine
from kronos.debugger.machine import Machine
from kronos.flows.backtest import BacktestRequest, single_backtest
from kronos.kernel.ids import RunId, StepName
from kronos.market.importing import ImportOptions
from kronos.market.plans import BacktestPlan
from kronos.trading import BacktestConfig

MINUTE_NS = 60_000_000_000
START_NS = 1_500_000_000_000_000_000
STEP = StepName("backtest")


def measure(arguments: argparse.Namespace) -> Report:
    """Make the run, ask for the rows."""
    with database_folder() as folder, Engine(workflows=[single_backtest], data_dir=folder) as engine:
        import_walk(engine, arguments.bars)
        plan = BacktestPlan(
            strategy="kronos.trading.sma_cross:SmaCross",
            params={"fast": 10, "slow": 30},
            config=BacktestConfig(cash=Decimal(10_000_000), fee_rate=Decimal("0.001")),
        )
        begun = time.perf_counter()
        handle = engine.start(single_backtest, BacktestRequest(dataset="walk", plan=plan))
        result = handle.result()
        run_s = time.perf_counter() - begun
        rows = [int(row) for row in np.random.default_rng(5).integers(0, arguments.bars, arguments.rows)]
        checkpoints = engine.app.recordings.checkpoints(handle.run_id, STEP, 1)
        figures: dict[str, object] = {
            "bars": arguments.bars,
            "rows_asked": arguments.rows,
            "run_s": round(run_s, 2),
            "orders": result.orders,
            "checkpoints": len(checkpoints),
            "segments": len(engine.app.recordings.segments(handle.run_id, STEP, 1)),
        }
        warm = cores(engine, folder, handle.run_id, rows)
        figures |= figure("core_cold", [cold_core(engine, folder, handle.run_id, row) for row in rows])
        figures |= figure("core_warm", warm)
        figures |= variables(engine, folder, handle.run_id, rows)
        return Report("seek", percentile(warm, 95), "ms", samples=warm, figures=figures)


def cores(engine: Engine, folder: Path, run_id: RunId, rows: list[int]) -> list[float]:
    """Return the ms that each row takes in a machine that has been asked before."""
    machine = machine_of(engine, folder)
    for row in rows[:3]:
        machine.core_at(run_id, STEP, row)
    return [timed(lambda row=row: machine.core_at(run_id, STEP, row)) for row in rows]


def cold_core(engine: Engine, folder: Path, run_id: RunId, row: int) -> float:
    """Return the ms that a row takes in a machine that was just made."""
    return timed(lambda: machine_of(engine, folder).core_at(run_id, STEP, row))


def variables(engine: Engine, folder: Path, run_id: RunId, rows: list[int]) -> dict[str, object]:
    """Return the figures of seeks that re-execute: the first of a new host, its second, and further ones."""
    spawn, cold, warm = [], [], []
    for row in rows[:5]:
        machine = machine_of(engine, folder)
        spawn.append(timed(lambda machine=machine, row=row: machine.state_at(run_id, STEP, row)))
        cold.append(timed(lambda machine=machine, row=row: machine.state_at(run_id, STEP, rows[-1] - row // 2)))
        machine.close()
    machine = machine_of(engine, folder)
    machine.state_at(run_id, STEP, rows[0])
    for row in rows:
        begun = time.perf_counter()
        seen = machine.state_at(run_id, STEP, row)
        warm.append((time.perf_counter() - begun) * 1e3)
        assert seen.verification.ok, seen.verification
    machine.close()
    return {
        **figure("variables_first_with_spawn", spawn),
        **figure("variables_second", cold),
        **figure("variables_warm", warm),
    }


def machine_of(engine: Engine, folder: Path) -> Machine:
    app = engine.app
    return Machine(
        history=app.history,
        recordings=app.recordings,
        blobs=app.blobs,
        catalog=app.catalog,
        key=app.checkpoint_key,
        cache_dir=folder / "cache",
    )


def import_walk(engine: Engine, rows: int) -> None:
    """Import one-minute bars of a random walk."""
    rng = np.random.default_rng(1)
    close = np.cumsum(rng.integers(-50, 51, rows)).astype(np.int64)
    close += 10_000 - close.min()
    opening = np.roll(close, 1)
    opening[0] = close[0]
    prices = {"open": opening, "high": np.maximum(opening, close) + 5, "low": np.minimum(opening, close) - 5}
    columns = {key: values / 100 for key, values in {**prices, "close": close}.items()}
    times = pa.array(np.arange(rows, dtype=np.int64) * MINUTE_NS + START_NS, pa.timestamp("ns", "UTC"))
    table = pa.table({"time": times, **columns, "volume": np.ones(rows, dtype=np.int64)})
    engine.app.catalog.import_table(table, ImportOptions(name="walk", instrument="WALK", tick=Decimal("0.01")))


def timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1e3


def figure(name: str, samples: list[float]) -> dict[str, object]:
    return {
        f"{name}_p50_ms": round(statistics.median(samples), 2),
        f"{name}_p95_ms": round(percentile(samples, 95), 2),
    }


def percentile(samples: list[float], part: float) -> float:
    return float(np.percentile(samples, part))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seek", description="Seek in a run of many bars.")
    parser.add_argument("--bars", type=int, default=10_000_000)
    parser.add_argument("--rows", type=int, default=30)
    main(measure, parser)
