"""Plays seeds in one process, one JSON line for each: what `conductor` starts several of."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.reach import AIMS
from tests.simulation.world import Arena, Report, Served, simulate


def play(url: str, seeds: range, mutation: str = "", *, whole: bool = False) -> Iterator[Report]:
    """Yield what became of each seed, in a database at `url` that is this process's alone.

    With a `mutation` the engine is broken so, unless `whole`: then only its faults are the same.
    """
    broken = MUTATIONS[mutation] if mutation else Mutation()
    if whole:
        broken = replace(broken, texts={}, patched=nullcontext)
    served, arena = Served(), Arena(url)
    try:
        for seed in seeds:
            yield simulate(arena, served, seed, aims=broken.aims or AIMS, mutation=broken)
    finally:
        arena.close()


def main(url: str, first: str, last: str, step: str, mutation: str = "") -> None:
    for report in play(url, range(int(first), int(last), int(step)), mutation):
        line = {
            "seed": report.seed,
            "statements": report.statements,
            "visited": sorted(report.visited),
            "broken": report.broken,
            "digest": report.digest,
            "story": str(report),
            "schedule": [] if report.is_fine else report.schedule,
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
