"""Forking a run of many steps: what the call costs, and when the first changed step starts.

Claim: for a run of 10,000 steps the call takes ≤ 100 ms and writes O(1) rows; the first changed step starts ≤ 1 s after
it.  Call, claim, folding of the prefix and start are those of `Engine` with default settings.  `value` is the slowest
call in ms.  *What-if* replaces one element's output at the other end of the run: 10,000 outcomes are shared or taken
over by content hash, and two steps run again.
"""

from __future__ import annotations

import argparse
import threading
import time

import psycopg

from benchmarks.harness import Report, database_folder, main
from kronos import Changes, Engine, step, workflow
from kronos.kernel.ids import RunId

started = threading.Event()
started_at = [0.0]
ran = [0]


@step
def spread(count: int) -> list[int]:
    return list(range(count))


@step
def score(number: int) -> int:
    ran[0] += 1
    return number * 2


@step
def total(scores: list[int]) -> int:
    started_at[0] = time.perf_counter()
    started.set()
    return sum(scores)


@workflow(version="1")
def wide(count: int) -> int:
    return total(score.map(spread(count)))


def measure(arguments: argparse.Namespace) -> Report:
    """Make a long run and a short one, fork both."""
    with database_folder() as folder, Engine(workflows=[wide], data_dir=folder) as engine:
        runs = {count: engine.start(wide, {"count": count}) for count in (arguments.steps, 100)}
        for handle in runs.values():
            handle.result()
        calls, starts, rows = [], [], {}
        for count, handle in runs.items():
            for _ in range(arguments.rounds if count == arguments.steps else 3):
                call_ms, start_ms, fork = fork_at_total(engine, handle.run_id)
                rows[count] = rows_of(engine, fork)
                if count == arguments.steps:
                    calls.append(call_ms)
                    starts.append(start_ms)
        figures = {
            "steps": arguments.steps,
            "first_step_starts_ms_max": round(max(starts), 1),
            "first_step_starts_ms": [round(each, 1) for each in starts],
            "rows_of_the_call": rows[arguments.steps],
            "rows_of_the_call_for_100_steps": rows[100],
            "what_if_s": round(what_if(engine, runs[arguments.steps].run_id, arguments.steps), 2),
            "what_if_steps_executed": ran[0],
        }
        return Report("fork", max(calls), "ms", samples=calls, figures=figures)


def fork_at_total(engine: Engine, run_id: RunId) -> tuple[float, float, RunId]:
    """Return the ms of the call, the ms until the step starts, and the fork."""
    started.clear()
    begun = time.perf_counter()
    fork = engine.app.fork(run_id, at="total")
    called = time.perf_counter()
    assert started.wait(60), "the fork never came to its first step"
    engine.app.wait(fork, 60)
    return (called - begun) * 1e3, (started_at[0] - begun) * 1e3, fork


def what_if(engine: Engine, run_id: RunId, steps: int) -> float:
    """Return the seconds until a fork with one other element has completed."""
    ran[0] = 0
    begun = time.perf_counter()
    fork = engine.app.fork(run_id, changes=Changes(inputs={"score[0]": {"number": 1_000_000}}))
    run = engine.app.wait(fork, 120)
    assert run.output == str(steps * (steps - 1) + 2_000_000).encode(), run
    return time.perf_counter() - begun


def rows_of(engine: Engine, fork: RunId) -> int:
    """Return how many rows the call itself wrote: the run's, and one for each run it stands on."""
    with psycopg.connect(engine.app.url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM kronos.runs WHERE id = %(run)s)"
            " + (SELECT count(*) FROM kronos.run_ancestry WHERE run_id = %(run)s)",
            {"run": fork},
        ).fetchone()
    assert row is not None, "a count has a row"
    return int(row[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=10_000, help="elements of the run's map")
    parser.add_argument("--rounds", type=int, default=7, help="forks of the long run")
    main(measure, parser)
