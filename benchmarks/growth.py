"""What a step costs when history is long: of the whole store, and of its own run.

    python -m benchmarks.growth [--json] [--old-events N] [--long N] [--rounds N]

Claim: the median of paired ratios is ≥ 0.9 in 9 rounds, A B A B, and WAL bytes and buffers a step are within 5 %:

  history  chains of 10 steps on a server that holds 10 million old events, in the partition that is written to, with
           their runs, against the same on an empty one
  length   one run of 100,000 steps (a map) against as many steps in runs of 100

`value` is the lower of the two medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.harness import Report, database_folder, main, say
from benchmarks.steps import STEPS, bump, chain, run_chains, wait_until_done
from kronos import Engine, workflow
from kronos.settings import read_settings

EVENTS_A_RUN = 12
BATCH_RUNS = 50_000

OLD_RUNS = """
INSERT INTO kronos.runs (id, definition, workflow, version, phase, input, output, created_at, started_at, finished_at)
SELECT kronos.uuid7(), d.id, d.workflow, d.version, 'completed', '\\x7b7d', '\\x31', now(), now(), now()
FROM kronos.definitions d, generate_series(1, %s) WHERE d.workflow = 'chain' RETURNING id
"""
OLD_EVENTS = f"""
INSERT INTO kronos.events (retention_class, run_id, seq, count, kind, step, attempt, at_ns, body, hash)
SELECT 1, id, 5 * seq, 5, 'step_completed', 'step-' || seq, 1, 1, convert_to(repeat('x', 280), 'UTF8'), '\\x00'
FROM unnest(%s::uuid[]) AS id, generate_series(1, {EVENTS_A_RUN}) AS seq
"""


@workflow(version="1")
def wide(numbers: list[int]) -> list[int]:
    return bump.map(numbers)


def measure(arguments: argparse.Namespace) -> Report:
    """Measure both claims."""
    history = _history(arguments.old_events, arguments.rounds, arguments.chains)
    length = _length(arguments.long, arguments.short, arguments.rounds)
    figures: dict[str, Any] = {"history": history, "length": length, "rounds": arguments.rounds}
    value = min(history["ratio"], length["ratio"])
    return Report("growth", value, "of the rate", {}, [*history["ratios"], *length["ratios"]], figures)


def _history(old_events: int, rounds: int, chains: int) -> dict[str, Any]:
    with database_folder() as old_folder, database_folder() as new_folder:
        settings = read_settings({})
        with (
            Engine(workflows=[chain], data_dir=old_folder, settings=settings) as old,
            Engine(workflows=[chain], data_dir=new_folder, settings=settings) as new,
        ):
            _fill(old.app.url, old_events)
            for engine in (old, new):
                run_chains(engine, chains)  # warm
            pairs = [
                (_round(old, chains), _round(new, chains)) if number % 2 == 0 else _round_back(old, new, chains)
                for number in range(rounds)
            ]
    return {"old_events": old_events, "steps": chains * STEPS, **_compared(pairs, "history")}


def _round_back(old: Engine, new: Engine, chains: int) -> tuple[dict[str, float], dict[str, float]]:
    second = _round(new, chains)
    return _round(old, chains), second


def _round(engine: Engine, chains: int) -> dict[str, float]:
    before = _counters(engine.app.url)
    rate = run_chains(engine, chains)
    return _cost(rate, before, _counters(engine.app.url), chains * STEPS)


def _length(long: int, short: int, rounds: int) -> dict[str, Any]:
    with database_folder() as folder, Engine(workflows=[wide], data_dir=folder, settings=read_settings({})) as engine:
        _elements(engine, short, short)  # warm
        pairs = []
        for number in range(rounds):
            first = _elements(engine, *((long, long) if number % 2 == 0 else (long, short)))
            second = _elements(engine, *((long, short) if number % 2 == 0 else (long, long)))
            pairs.append((first, second) if number % 2 == 0 else (second, first))
    return {"long": long, "short": short, **_compared(pairs, "length")}


def _elements(engine: Engine, steps: int, a_run: int) -> dict[str, float]:
    before = _counters(engine.app.url)
    began = time.perf_counter()
    engine.start_many(wide, [{"numbers": list(range(a_run))} for _ in range(steps // a_run)])
    wait_until_done(engine)
    return _cost(steps / (time.perf_counter() - began), before, _counters(engine.app.url), steps)


def _compared(pairs: list[tuple[dict[str, float], dict[str, float]]], name: str) -> dict[str, Any]:
    ratios = [grown["rate"] / small["rate"] for grown, small in pairs]
    for key in ("rate", "wal_bytes", "buffers"):
        say(f"{name} {key}: {[(round(grown[key], 1), round(small[key], 1)) for grown, small in pairs]}")
    medians = {
        f"{which}_{key}": round(statistics.median(pair[place][key] for pair in pairs), 2)
        for place, which in enumerate(("grown", "small"))
        for key in ("rate", "wal_bytes", "buffers")
    }
    within = {
        f"{key}_ratio": round(medians[f"grown_{key}"] / medians[f"small_{key}"], 3) for key in ("wal_bytes", "buffers")
    }
    return {"ratio": statistics.median(ratios), "ratios": ratios, **medians, **within}


def _fill(url: str, events: int) -> None:
    """Insert finished runs with 12 events each, where new ones are written too."""
    with psycopg.connect(url, autocommit=True) as connection:
        left = events // EVENTS_A_RUN
        while left > 0:
            ids = [row[0] for row in connection.execute(OLD_RUNS, (min(left, BATCH_RUNS),))]
            connection.execute(OLD_EVENTS, (ids,))
            left -= len(ids)
            say(f"{left * EVENTS_A_RUN:,} old events to go")
        connection.execute("VACUUM ANALYZE kronos.runs")
        connection.execute("VACUUM ANALYZE kronos.events")
        connection.execute("CHECKPOINT")


def _counters(url: str) -> tuple[float, float]:
    """Return WAL bytes and buffers used so far, once the server's processes have reported."""
    time.sleep(1.2)  # an idle backend reports at most a second late
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, blks_hit + blks_read FROM pg_stat_database"
            " WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return float(row[0]), float(row[1])


def _cost(rate: float, before: tuple[float, float], after: tuple[float, float], steps: int) -> dict[str, float]:
    return {"rate": rate, "wal_bytes": (after[0] - before[0]) / steps, "buffers": (after[1] - before[1]) / steps}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{Path(__file__).stem}")
    parser.add_argument("--old-events", type=int, default=10_000_000)
    parser.add_argument("--chains", type=int, default=5_000)
    parser.add_argument("--long", type=int, default=100_000, help="steps of the long run")
    parser.add_argument("--short", type=int, default=100, help="steps of a short run")
    parser.add_argument("--rounds", type=int, default=9)
    main(measure, parser)
