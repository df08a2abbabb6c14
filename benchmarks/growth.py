"""What a step costs when history is long: of the whole store, and of its own run.

    python -m benchmarks.growth [--json] [--old-events N] [--long N] [--rounds N]

Claim: the median of paired ratios is ≥ 0.9 in 9 rounds, A B A B, and WAL bytes and buffers a step are within 5 %:

  history  chains of 10 steps on a server that holds 10 million old events, in the partition that is written to, with
           their runs, against the same on an empty one
  length   one run of 100,000 steps (a map) against as many steps in runs of 100

`value` is the lower of the two medians.  WAL and buffers are those of the engine's own backends (autovacuum and
checkpoints are left out).  Before each round come VACUUM of every table but the partitions of events, ANALYZE and
CHECKPOINT, so that no round pays for another's.  The events are not vacuumed, because nothing in the product does so
while they are written to: their partitions are vacuumed for their inserts when their week is over.  The full-page
images that the checkpoint brings about are part of the WAL bytes, and their number is told.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.harness import Report, database_folder, main, say
from benchmarks.steps import STEPS, bump, chain, run_chains, wait_until_done
from kronos import Engine, workflow
from kronos.settings import read_settings

EVENTS_A_RUN = 12
BATCH_RUNS = 5_000

OLD_RUNS = """
INSERT INTO kronos.runs (id, definition, workflow, version, phase, input, output, created_at, started_at, finished_at)
SELECT kronos.uuid7(), d.id, d.workflow, d.version, 'completed', '\\x7b7d', '\\x31', now(), now(), now()
FROM kronos.definitions d, generate_series(1, %s) WHERE d.workflow = 'chain' RETURNING id
"""
OLD_EVENTS = """
INSERT INTO kronos.events (retention_class, run_id, seq, count, kind, step, attempt, at_ns, body, hash)
SELECT e.retention_class, id, e.seq, e.count, e.kind, e.step, e.attempt, e.at_ns, e.body, e.hash
FROM unnest(%s::uuid[]) AS id, kronos.events e
WHERE e.run_id = (SELECT id FROM kronos.runs WHERE phase = 'completed' ORDER BY id LIMIT 1)
ORDER BY e.seq, id
"""
"""Rows of the very sizes and in the very order that a round writes: another size would leave gaps at the end of old
pages that new rows do or do not fit into, and measure that.
"""

Round = dict[str, float]
COUNTED = ("wal_bytes", "buffers", "full_pages", "server_wal_bytes")
COUNTERS = """
SELECT sum(w.wal_bytes), sum(b.used), sum(w.wal_fpi), min(pg_current_wal_insert_lsn() - '0/0'::pg_lsn)
FROM pg_stat_activity a, pg_stat_get_backend_wal(a.pid) w,
     LATERAL (SELECT sum(hits + (read_bytes + extend_bytes) / 8192) AS used FROM pg_stat_get_backend_io(a.pid)
              WHERE object <> 'wal') b
WHERE a.datname = current_database() AND a.application_name LIKE 'kronos %'
"""
BUT_EVENTS = """
SELECT oid::regclass::text FROM pg_class
WHERE relnamespace = 'kronos'::regnamespace AND relkind = 'r'
  AND oid NOT IN (SELECT relid FROM pg_partition_tree('kronos.events'))
"""
IDLE_REPORT_S = 10.5
"""A backend that goes idle within a second of its last report makes the next one ten seconds later."""


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
            run_chains(old, 1)
            _fill(old.app.url, old_events)
            pairs = _paired(rounds, lambda: _chains(old, chains), lambda: _chains(new, chains))
    return {"old_events": old_events, "steps": chains * STEPS, **_compared(pairs, "history")}


def _chains(engine: Engine, chains: int) -> Round:
    return _measured(engine, chains * STEPS, lambda: run_chains(engine, chains))


def _length(long: int, short: int, rounds: int) -> dict[str, Any]:
    with database_folder() as folder, Engine(workflows=[wide], data_dir=folder, settings=read_settings({})) as engine:
        pairs = _paired(rounds, lambda: _elements(engine, long, long), lambda: _elements(engine, long, short))
    return {"long": long, "short": short, **_compared(pairs, "length")}


def _elements(engine: Engine, steps: int, a_run: int) -> Round:
    def run() -> float:
        began = time.perf_counter()
        engine.start_many(wide, [{"numbers": list(range(a_run))} for _ in range(steps // a_run)])
        wait_until_done(engine)
        return steps / (time.perf_counter() - began)

    return _measured(engine, steps, run)


def _paired(rounds: int, grown: Callable[[], Round], small: Callable[[], Round]) -> list[tuple[Round, Round]]:
    """Return `rounds` pairs, each side first in every other one; what comes before them warms up."""
    small(), grown()
    pairs = []
    for number in range(rounds):
        if number % 2 == 0:
            first = grown()
            pairs.append((first, small()))
        else:
            first = small()
            pairs.append((grown(), first))
    return pairs


def _compared(pairs: list[tuple[Round, Round]], name: str) -> dict[str, Any]:
    ratios = [grown["rate"] / small["rate"] for grown, small in pairs]
    for key in ("rate", *COUNTED):
        say(f"{name} {key}: {[(round(grown[key], 2), round(small[key], 2)) for grown, small in pairs]}")
    medians = {
        f"{which}_{key}": round(statistics.median(pair[place][key] for pair in pairs), 2)
        for place, which in enumerate(("grown", "small"))
        for key in ("rate", *COUNTED)
    }
    within = {
        f"{key}_ratio": round(medians[f"grown_{key}"] / medians[f"small_{key}"], 3) for key in ("wal_bytes", "buffers")
    }
    return {"ratio": statistics.median(ratios), "ratios": ratios, **medians, **within}


def _fill(url: str, events: int) -> None:
    """Insert finished runs with the 12 events of the first one, where new ones are written too."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        left = events // EVENTS_A_RUN
        while left > 0:
            ids = [row[0] for row in connection.execute(OLD_RUNS, (min(left, BATCH_RUNS),))]
            connection.execute(OLD_EVENTS, (ids,))
            left -= len(ids)
            say(f"{left * EVENTS_A_RUN:,} old events to go")


def _measured(engine: Engine, steps: int, run: Callable[[], float]) -> Round:
    """Return what `run` costs a step, on a server that has nothing left over from before to do."""
    with psycopg.connect(engine.app.url, autocommit=True) as connection:
        tables = connection.execute(BUT_EVENTS).fetchall()
        connection.execute(f"VACUUM {', '.join(name for (name,) in tables)}")  # type: ignore[arg-type]
        connection.execute("ANALYZE")
        connection.execute("CHECKPOINT")
        before = _counters(connection)
        rate = run()
        time.sleep(IDLE_REPORT_S)
        after = _counters(connection)
    used = {name: after[name] - before[name] for name in after}
    return {"rate": rate, **{name: value / steps for name, value in used.items()}}


def _counters(connection: psycopg.Connection[Any]) -> Round:
    """Return what the engine's own backends, and the whole server, have used so far."""
    row = connection.execute(COUNTERS).fetchone()
    assert row is not None
    return dict(zip(COUNTED, map(float, row), strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{Path(__file__).stem}")
    parser.add_argument("--old-events", type=int, default=10_000_000)
    parser.add_argument("--chains", type=int, default=5_000)
    parser.add_argument("--long", type=int, default=100_000, help="steps of the long run")
    parser.add_argument("--short", type=int, default=100, help="steps of a short run")
    parser.add_argument("--rounds", type=int, default=9)
    main(measure, parser)
