"""Steps a second of one wide run: a map over 10,000 elements and its fan-in, with one worker and with two.

    python -m benchmarks.fanout [--json]

The shipped workers, each a process of its own as `kronos worker` starts it, on the embedded Postgres in a fresh folder,
synchronous commit on.  A round is one run, from its submission until it is over.  Its result says which process
executed each element: with two workers each must have executed 30 % at least.  Every history is verified.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg

from benchmarks.harness import ROOT, Report, database_folder, main
from kronos import Kronos, step, workflow
from kronos.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ELEMENTS = 10_000
ROUNDS = 5
SHARE_MIN = 0.3
PATIENCE_S = 120.0
SETTLED_S = 1.5
"""A worker looks for others this often, and a bit."""


@step
def where(number: int) -> tuple[int, int]:
    return number, os.getpid()


@step
def gather(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return found


@workflow(version="1")
def wide(numbers: list[int]) -> list[tuple[int, int]]:
    return gather(where.map(numbers))


def measure(arguments: argparse.Namespace) -> Report:
    """Run the rounds with one worker, then with two."""
    figures: dict[str, Any] = {"elements": arguments.elements, "rounds": arguments.rounds}
    samples: dict[int, list[float]] = {}
    with database_folder() as folder, Kronos.open(read_settings({}), data_dir=folder, workflows=[wide]) as app:
        for workers in (1, 2):
            with ExitStack() as stack:
                pids = {stack.enter_context(_worker(app, folder)) for _ in range(workers)}
                _settle(app, workers)
                samples[workers] = [_round(app, arguments.elements, pids) for _ in range(arguments.rounds)]
            figures[f"with_{workers}"] = [round(each) for each in samples[workers]]
    slowest = min(samples.values(), key=statistics.median)
    return Report("fanout", statistics.median(slowest), "steps/s", {}, slowest, figures)


def _round(app: Kronos, elements: int, pids: set[int]) -> float:
    began = time.perf_counter()
    run = app.wait(app.start(wide, {"numbers": list(range(elements))}), PATIENCE_S)
    seconds = time.perf_counter() - began
    assert run.output is not None, f"{run.id} is {run.phase}"
    found = msgspec.json.decode(app.history.payload(run.output))
    assert [number for number, _ in found] == list(range(elements))
    shares = Counter(pid for _, pid in found)
    assert set(shares) == pids, f"executed by {set(shares)}, not {pids}"
    if len(pids) > 1:
        assert min(shares.values()) >= SHARE_MIN * elements, f"shares: {shares}"
    app.history.verify(run.id)
    rate = (elements + 1) / seconds
    print(f"{len(pids)} worker(s): {rate:,.0f} steps/s, shares {sorted(shares.values())}", file=sys.stderr, flush=True)
    return rate


@contextmanager
def _worker(app: Kronos, folder: Path) -> Iterator[int]:
    environment = {**os.environ, "DATABASE_URL": app.url, "KRONOS_DATA_DIR": str(folder)}
    command = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE) as process:
        yield process.pid
        process.communicate(timeout=60)


_PROGRAM = """
import sys
from kronos import Kronos
with Kronos.open(workflows=["benchmarks.fanout"]) as app:
    worker = app.worker().start()
    sys.stdin.read()
    worker.stop(5)
"""


def _settle(app: Kronos, workers: int) -> None:
    """Wait until every worker is up and has seen the others."""
    until = time.monotonic() + PATIENCE_S
    alive = "SELECT count(*) FROM kronos.incarnations WHERE dead_at IS NULL"
    with psycopg.connect(app.url, autocommit=True) as connection:
        while connection.execute(alive).fetchone() != (workers,):
            assert time.monotonic() < until, "the workers did not come up"
            time.sleep(0.05)
    time.sleep(SETTLED_S)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog=f"python -m benchmarks.{Path(__file__).stem}")
    arguments.add_argument("--elements", type=int, default=ELEMENTS)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    main(measure, arguments)
