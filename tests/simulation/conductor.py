"""`make simulate SEEDS=from:to`: plays seeds in two processes side by side, and tells what became of them.

Progress is printed every hundred seeds; each failing seed is printed with its faults and its schedule, and replays
alone with `make simulate SEEDS=n:n+1`.  Interrupted, it says with which range to go on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final

import psycopg
from psycopg import sql

from kronos.storage.embedded import EmbeddedPostgres
from kronos.storage.statements import statement_names
from tests.simulation.reach import OUT_OF_REACH

PROCESSES: Final = 2
PROGRESS_EVERY: Final = 100


@dataclass
class Summary:
    """What became of many seeds."""

    played: dict[int, dict[str, Any]] = field(default_factory=dict)
    visited: set[str] = field(default_factory=set)

    def add(self, line: dict[str, Any]) -> None:
        self.played[line["seed"]] = line
        self.visited.update(line["visited"])

    @property
    def failed(self) -> dict[int, str]:
        """Seed -> its story, for those that broke a rule."""
        return {seed: line["story"] for seed, line in sorted(self.played.items()) if line["broken"]}

    @property
    def statements(self) -> float:
        return sum(line["statements"] for line in self.played.values()) / max(1, len(self.played))


@contextmanager
def server() -> Iterator[str]:
    """Yield the URL of a Postgres: DATABASE_URL, or an embedded one in a folder of its own."""
    if given := os.environ.get("DATABASE_URL"):
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="kronos-simulation-"))
    folder.chmod(0o755)
    embedded = EmbeddedPostgres(folder)
    try:
        yield embedded.start()
    finally:
        embedded.stop()
        shutil.rmtree(folder)


@contextmanager
def databases(url: str, count: int) -> Iterator[list[str]]:
    """Yield the URLs of `count` empty databases."""
    names = [f"kronos_simulation_{uuid.uuid4().hex[:12]}" for _ in range(count)]
    head, mark, query = url.partition("?")
    with psycopg.connect(url, autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield [f"{head.rpartition('/')[0]}/{name}{mark}{query}" for name in names]
        finally:
            connection.execute("SET client_min_messages = warning")
            for name in names:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def lines(url: str, seeds: range, mutation: str = "") -> Iterator[dict[str, Any]]:
    """Yield one line a seed, in the order in which they end."""
    found: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    with databases(url, PROCESSES) as urls:
        players = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.simulation.player", at, *map(str, _part(seeds, number)), mutation],
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # a Ctrl-C is for us to hear
            )
            for number, at in enumerate(urls)
        ]
        threads = [Thread(target=_read, args=(player, found)) for player in players]
        for thread in threads:
            thread.start()
        try:
            for _ in players:
                while (line := found.get()) is not None:
                    yield line
        finally:
            for player in players:
                player.terminate()
                player.wait()
            for thread in threads:
                thread.join()
    if any(player.returncode not in (0, -15) for player in players):
        raise RuntimeError("a process that plays seeds broke down: see above")


def _part(seeds: range, number: int) -> tuple[int, int, int]:
    return seeds.start + number, seeds.stop, PROCESSES


def _read(player: subprocess.Popen[str], found: SimpleQueue[dict[str, Any] | None]) -> None:
    assert player.stdout is not None, "it was asked for"
    for line in player.stdout:
        found.put(json.loads(line))
    player.wait()
    player.stdout.close()
    found.put(None)


def conduct(url: str, seeds: range, mutation: str = "") -> Summary:
    """Play `seeds`, and print what a reader wants to know on the way."""
    summary, began = Summary(), time.monotonic()
    try:
        for line in lines(url, seeds, mutation):
            summary.add(line)
            if line["broken"]:
                print(line["story"])
                for number, (who, what) in enumerate(line["schedule"], 1):
                    print(f"    {number:5} {who:<28} {what}")
            if len(summary.played) % PROGRESS_EVERY == 0:
                rate = len(summary.played) / (time.monotonic() - began)
                failed = f", failed {sorted(summary.failed)}" if summary.failed else ""
                print(f"{len(summary.played)} of {len(seeds)} seeds, {rate:.1f} a second{failed}", flush=True)
    except KeyboardInterrupt:
        missing = min(set(seeds) - set(summary.played), default=seeds.stop)
        print(f"go on with: make simulate SEEDS={missing}:{seeds.stop}")
    return summary


def main(wanted: str, mutation: str = "") -> int:
    first, _, last = wanted.partition(":")
    seeds = range(int(first), int(last or int(first) + 1))
    began = time.monotonic()
    with server() as url:
        summary = conduct(url, seeds, mutation)
    if len(summary.played) == 1:
        print(*(f"{line['story']}\n  history {line['digest']}" for line in summary.played.values()))
    never = sorted(set(statement_names()) - set(OUT_OF_REACH) - summary.visited)
    print(
        f"{len(summary.played)} seeds, {len(summary.failed)} failed {sorted(summary.failed)}, "
        f"{summary.statements:.0f} statements a seed, {time.monotonic() - began:.0f} s"
    )
    print(f"no fault struck at: {', '.join(never) or 'nothing'}")
    return bool(summary.failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
