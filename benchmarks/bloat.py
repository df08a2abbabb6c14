"""Ten minutes at half load while somebody holds an old snapshot open, so that no dead row can be removed.

    python -m benchmarks.bloat [--json] [--minutes N]

Claim: the median rate of the last minute is ≥ 0.8 of that of the first.  Half load is half of what a full round reached
on the same machine just before; submissions come every quarter of a second, whether or not the last were done.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import psycopg

from benchmarks.harness import Report, database_folder, main, resident_mb, say
from benchmarks.steps import STEPS, chain, run_chains, wait_until_done
from kronos import Engine
from kronos.settings import read_settings

TICK_S = 0.25
SLICE_S = 5.0
DEAD = "SELECT n_dead_tup, pg_relation_size('kronos.runs') FROM pg_stat_user_tables WHERE relname = 'runs'"


def measure(arguments: argparse.Namespace) -> Report:
    """Load, and count the steps of each slice."""
    with database_folder() as folder, Engine(workflows=[chain], data_dir=folder, settings=read_settings({})) as engine:
        run_chains(engine, 1_000)  # warm
        full = statistics.median(run_chains(engine, 2_000) for _ in range(3))
        with psycopg.connect(engine.app.url) as snapshot:
            snapshot.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            snapshot.execute("SELECT count(*) FROM kronos.runs")
            rates = _load(engine, full / 2, arguments.minutes * 60)
            began = time.perf_counter()
            wait_until_done(engine)
            backlog_s = time.perf_counter() - began
        with psycopg.connect(engine.app.url) as connection:
            dead = connection.execute(DEAD).fetchone()
    slices = max(1, round(min(60.0, arguments.minutes * 60 / 3) / SLICE_S))
    first, last = statistics.median(rates[:slices]), statistics.median(rates[-slices:])
    figures = {
        "full_steps_per_s": round(full),
        "asked_steps_per_s": round(full / 2),
        "first_steps_per_s": round(first),
        "last_steps_per_s": round(last),
        "backlog_s": round(backlog_s, 2),
        "dead_rows_and_bytes_of_runs": dead,
        "resident_mb": resident_mb(),
        "minutes": arguments.minutes,
    }
    return Report("bloat", last / first, "of the first minute", {}, rates, figures)


def _load(engine: Engine, steps_per_s: float, seconds: float) -> list[float]:
    chains = max(1, round(steps_per_s * TICK_S / STEPS))
    stats = engine._worker.worker.stats  # noqa: SLF001 - what /metrics shows, without a server
    rates = list[float]()
    began = time.perf_counter()
    tick, since, done = 0, began, stats.steps_ended
    while (now := time.perf_counter()) < began + seconds:
        engine.start_many(chain, [{"number": number} for number in range(chains)])
        tick += 1
        time.sleep(max(0.0, began + tick * TICK_S - time.perf_counter()))
        if now - since >= SLICE_S:
            rates.append((stats.steps_ended - done) / (now - since))
            say(f"{now - began:5.0f} s: {rates[-1]:,.0f} steps/s of {steps_per_s:,.0f}")
            since, done = now, stats.steps_ended
    return rates


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{Path(__file__).stem}")
    parser.add_argument("--minutes", type=float, default=10.0)
    main(measure, parser)
