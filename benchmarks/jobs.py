"""No-op jobs a second: 10,000 inserted first, 50 slots, from the start of the worker to the last completion.

    python -m benchmarks.jobs [--json]

The shipped worker, through its public API, on the embedded Postgres in a fresh folder, synchronous commit on.  Every
job is then looked at: each has completed, once, with its own output.  Beside it, in the same rounds, each in its own
environment and database on the same server, the same way (inserted first, 50 slots, until the last is done):

  pgqueuer       batches of 50, its fastest driver
  procrastinate  fewer jobs: it does some hundred a second
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.harness import ROOT, Report, database_folder, main, peer_python
from kronos import Kronos, step
from kronos.settings import read_settings

JOBS = 10_000
SLOTS = 50
ROUNDS = 5
PEER_JOBS = {"pgqueuer": 10_000, "procrastinate": 1_000}
POLL_S = 0.005


@step
def noop(number: int) -> int:
    return number


def measure(arguments: argparse.Namespace) -> Report:
    """Run the rounds; each holds one of ours and one of each peer."""
    samples: list[float] = []
    cpu_s: list[float] = []
    peers: dict[str, list[float]] = {name: [] for name in PEER_JOBS}
    figures: dict[str, Any] = {"jobs": arguments.jobs, "slots": SLOTS, "peer_jobs": PEER_JOBS}
    settings = replace(read_settings({}), worker_concurrency=SLOTS)
    with database_folder() as folder, Kronos.open(settings, data_dir=folder, workflows=[noop]) as app:
        for number in range(arguments.rounds):
            seconds, cpu = _round(app, arguments.jobs)
            samples.append(arguments.jobs / seconds)
            cpu_s.append(cpu)
            for name, found in peers.items():
                rate = _peer(app.url, name, number)
                if rate is None:
                    figures.setdefault("missing_peers", []).append(f"{name}: not installed, `make bench` does")
                else:
                    found.append(rate)
            shown = {name: found[-1:] for name, found in peers.items()}
            print(f"round {number + 1}: {samples[-1]:,.0f} jobs/s, {shown}", file=sys.stderr, flush=True)
    medians = {name: statistics.median(found) for name, found in peers.items() if found}
    figures |= {"cpu_us_per_job": round(1e6 * statistics.median(cpu_s) / arguments.jobs, 1)}
    figures |= {f"{name}_samples": [round(each) for each in found] for name, found in peers.items()}
    return Report("jobs", statistics.median(samples), "jobs/s", medians, samples, figures)


def _round(app: Kronos, jobs: int) -> tuple[float, float]:
    """Return the seconds from the start of a worker to the last completion, and the worker's processor time."""
    ids = app.jobs.submit_many(noop, [{"number": number} for number in range(jobs)])
    worker = app.worker()
    with psycopg.connect(app.url, autocommit=True) as connection:
        began, cpu = time.perf_counter(), time.process_time()
        worker.start()
        open_jobs = "SELECT EXISTS (SELECT FROM kronos.jobs WHERE state IN ('pending', 'running'))"
        while connection.execute(open_jobs).fetchone() != (False,):
            time.sleep(POLL_S)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        worker.stop()
        _check(connection, ids)
    return seconds, cpu


def _check(connection: psycopg.Connection[Any], ids: list[Any]) -> None:
    rows = connection.execute(
        "SELECT id::text, state::text, attempt, output FROM kronos.jobs WHERE id = ANY(%s::uuid[])", (list(ids),)
    ).fetchall()
    found = {row[0]: row[1:] for row in rows}
    for number, job in enumerate(ids):
        assert found[job] == ("completed", 1, str(number).encode()), f"{job}: {found.get(job)}"


def _peer(url: str, name: str, number: int) -> float | None:
    python = peer_python(name)
    if python is None:
        return None
    database = f"{name}_{number}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}")
    theirs = url.replace("@/kronos?", f"@/{database}?")
    script = ROOT / "benchmarks" / "peers" / f"{name}_jobs.py"
    command = [python, script, theirs, str(PEER_JOBS[name]), str(SLOTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise SystemExit(f"the peer {name} failed:\n{done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["jobs_per_s"])


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog=f"python -m benchmarks.{Path(__file__).stem}")
    arguments.add_argument("--jobs", type=int, default=JOBS)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    main(measure, arguments)
