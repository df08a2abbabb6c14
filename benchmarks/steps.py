"""Durable steps a second: chains of 10 trivial steps, submission included, synchronous commit on.

    python -m benchmarks.steps [--json]

The shipped `Engine`, through its public API, with default settings, on the embedded Postgres in a fresh folder.  A
round is 5,000 chains: from before `start_many` until no run is open.  Every history is then checked: each run has its
10 outcomes, and a sample is verified hash by hash.  Beside it, in the same rounds:

  copy    bare binary COPY of the very same event rows, 1,000 a transaction, into a table of the same shape with its
          primary key, counted in the steps that those rows record
  dbos    DBOS Transact, workflows of 10 trivial steps on the same server, in its own environment
  absurd  absurd-sdk, tasks of 10 trivial steps, likewise
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.harness import Report, database_folder, main, resident_mb, run_peer, say
from kronos import Engine, step, workflow
from kronos.settings import read_settings

STEPS = 10
CHAINS = 5_000
ROUNDS = 5
COPY_ROWS = 1_000
PEERS = {"dbos": (60, 4), "absurd": (100, 50)}
"""Workflows and threads; tasks and how many are claimed at once: the best sizes that we found."""
VERIFIED = 100
OPEN = "SELECT count(*) FROM (SELECT FROM kronos.runs WHERE phase IN ('pending', 'running', 'waiting') LIMIT 1) AS one"
COLUMNS = "retention_class, run_id, seq, count, kind, step, attempt, at_ns, body, hash"
READ = COLUMNS.replace("kind", "kind::text")
TYPES = ("int2", "uuid", "int4", "int2", "text", "text", "int2", "int8", "bytea", "bytea")


@step
def bump(number: int) -> int:
    return number + 1


@workflow(version="1")
def chain(number: int) -> int:
    for place in range(STEPS):
        number = bump.named(f"step-{place}")(number)
    return number


def measure(arguments: argparse.Namespace) -> Report:
    """Run the rounds; each holds one of ours and one of each peer."""
    samples: list[float] = []
    rows_per_s: list[float] = []
    peers: dict[str, list[float]] = {"copy": []}
    figures: dict[str, Any] = {}
    with database_folder() as folder, Engine(workflows=[chain], data_dir=folder, settings=read_settings({})) as engine:
        for number in range(arguments.rounds):
            samples.append(run_chains(engine, arguments.chains))
            figures["resident_mb"] = resident_mb()
            rows = _check(engine, arguments.chains)
            seconds = _copy(engine.app.url, rows)
            peers["copy"].append(arguments.chains * STEPS / seconds)
            rows_per_s.append(len(rows) / seconds)
            for peer, sizes in PEERS.items():
                found = run_peer(peer, "steps", engine.app.url, f"{peer}_{number}", *sizes)
                if found is None:
                    figures["missing_peers"] = [*figures.get("missing_peers", []), f"{peer}: not installed"]
                else:
                    peers.setdefault(peer, []).append(found.pop("steps_per_s"))
                    figures[peer] = found
            beside = ", ".join(f"{name} {values[-1]:,.0f}" for name, values in peers.items())
            say(f"round {number + 1}: {samples[-1]:,.0f} steps/s, {beside}")
        figures |= _server(engine.app.url) | _fsck(engine)
    figures |= {
        "chains": arguments.chains,
        "steps_per_chain": STEPS,
        "rounds": arguments.rounds,
        "copy_rows_per_s": round(statistics.median(rows_per_s)),
        "rows_per_step": round(len(rows) / (arguments.chains * STEPS), 3),
        **{f"{name}_samples": [round(each, 1) for each in values] for name, values in peers.items()},
    }
    medians = {name: statistics.median(values) for name, values in peers.items()}
    return Report("steps", statistics.median(samples), "steps/s", medians, samples, figures)


def run_chains(engine: Engine, chains: int) -> float:
    """Return the steps a second of a round."""
    began = time.perf_counter()
    engine.start_many(chain, [{"number": number} for number in range(chains)])
    wait_until_done(engine)
    return chains * STEPS / (time.perf_counter() - began)


def wait_until_done(engine: Engine) -> None:
    """Return once no run is open."""
    with psycopg.connect(engine.app.url, autocommit=True) as connection:
        while connection.execute(OPEN).fetchone() != (0,):
            time.sleep(0.01)


def _check(engine: Engine, chains: int) -> list[tuple[Any, ...]]:
    """Check every run of the last round, and return its rows as stored."""
    with psycopg.connect(engine.app.url) as connection:
        ids = connection.execute(
            "SELECT id, phase::text, input, output FROM kronos.runs ORDER BY id DESC LIMIT %s", (chains,)
        ).fetchall()
        newest = [row[0] for row in ids]
        rows = connection.execute(
            f"SELECT {READ} FROM kronos.events WHERE run_id = ANY(%s) ORDER BY run_id, seq",
            (newest,),
            binary=True,
        ).fetchall()
    steps: dict[Any, set[str]] = {run: set() for run in newest}
    for row in rows:
        if row[4] == "step_completed":
            assert row[5] not in steps[row[1]], f"{row[1]}: {row[5]} completed twice"
            steps[row[1]].add(row[5])
    expected = {f"step-{place}" for place in range(STEPS)}
    for run, phase, given, output in ids:
        assert phase == "completed", f"{run} is {phase}"
        assert steps[run] == expected, f"{run} has {steps[run]}"
        assert int(output) == json.loads(given)["number"] + STEPS
    for run in random.Random(chains).sample(newest, min(VERIFIED, chains)):
        engine.app.history.verify(str(run))
    return rows


def _fsck(engine: Engine) -> dict[str, Any]:
    """Hold everything that all rounds have written against every invariant."""
    began = time.perf_counter()
    findings = list(engine.app.upkeep.fsck())
    assert not findings, f"fsck: {findings[:3]}"
    return {"fsck_findings": 0, "fsck_s": round(time.perf_counter() - began, 1)}


def _copy(url: str, rows: list[tuple[Any, ...]]) -> float:
    """Return the seconds that bare COPY of `rows` takes."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS bench")
        connection.execute("DROP TABLE IF EXISTS bench.events")
        connection.execute("CREATE TABLE bench.events (LIKE kronos.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        connection.execute("ALTER TABLE bench.events ADD PRIMARY KEY (retention_class, run_id, seq)")
        statement = f"COPY bench.events ({COLUMNS}) FROM STDIN (FORMAT BINARY)"
        began = time.perf_counter()
        for first in range(0, len(rows), COPY_ROWS):
            with connection.transaction(), connection.cursor() as cursor, cursor.copy(statement) as copy:
                copy.set_types(TYPES)
                for row in rows[first : first + COPY_ROWS]:
                    copy.write_row(row)
        seconds = time.perf_counter() - began
        stored = connection.execute("SELECT count(*) FROM bench.events").fetchone()
        assert stored == (len(rows),)
    return seconds


def _server(url: str) -> dict[str, Any]:
    with psycopg.connect(url) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]  # type: ignore[index]
            for name in ("server_version", "synchronous_commit", "fsync", "full_page_writes")
        }
        assert shown["synchronous_commit"] == shown["fsync"] == "on"
    return shown


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog=f"python -m benchmarks.{Path(__file__).stem}")
    arguments.add_argument("--chains", type=int, default=CHAINS)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    main(measure, arguments)
