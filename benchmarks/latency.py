"""Idle latency: one workflow of one step, from before `start` until its result is in the client's hands.

    python -m benchmarks.latency [--json]

Claim: p50 ≤ 5 ms, p99 ≤ 15 ms, below DBOS called directly and below procrastinate.  The shipped `Engine` with default
settings, nothing else to do, a pause of 20 ms before each.  `value` is the p50.  In the same rounds:

  dbos           a DBOS workflow of one step, called directly (its queue polls once a second)
  procrastinate  a task on a worker that listens, until its row says `succeeded` (looked at every millisecond)
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import Report, database_folder, main, run_peer
from benchmarks.steps import bump
from kronos import Engine, workflow
from kronos.settings import read_settings

PEERS = ("dbos", "procrastinate")
PAUSE_S = 0.02


@workflow(version="1")
def single(number: int) -> int:
    return bump(number)


def measure(arguments: argparse.Namespace) -> Report:
    """Alternate ours and the peers'; percentiles are over all rounds."""
    samples: dict[str, list[float]] = {"kronos": []}
    missing: set[str] = set()
    with database_folder() as folder, Engine(workflows=[single], data_dir=folder, settings=read_settings({})) as engine:
        _ask(engine, 20)  # warm
        for number in range(arguments.rounds):
            samples["kronos"] += _ask(engine, arguments.samples)
            for peer in PEERS:
                found = run_peer(peer, "latency", engine.app.url, f"{peer}_latency_{number}", arguments.samples)
                if found is None:
                    missing.add(f"{peer}: not installed, `make bench` does")
                else:
                    samples.setdefault(peer, []).extend(found["latencies_ms"])
    figures = {f"{name}_{key}": value for name, times in samples.items() for key, value in _figures(times).items()}
    if missing:
        figures["missing_peers"] = sorted(missing)
    medians = {name: float(np.median(times)) for name, times in samples.items()}
    ours = medians.pop("kronos")
    return Report("latency", ours, "ms", medians, samples["kronos"], figures)


def _ask(engine: Engine, number: int) -> list[float]:
    times = []
    for given in range(number):
        time.sleep(PAUSE_S)
        began = time.perf_counter()
        result = engine.start(single, {"number": given}).result(timeout=30)
        times.append((time.perf_counter() - began) * 1e3)
        assert result == given + 1
    return times


def _figures(times: list[float]) -> dict[str, object]:
    return {f"p{part}_ms": round(float(np.percentile(times, part)), 2) for part in (50, 90, 99)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{Path(__file__).stem}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=200, help="a round")
    main(measure, parser)
