"""Many runs forked alike: which they are, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from kronos.errors import Conflict, InvalidInput, NotFound
from kronos.kernel.ids import RunId
from kronos.ports.history import History, RunFilter, RunSummary

__all__ = ["BULK_MAX", "Forked", "fork_each", "matching"]

BULK_MAX: Final = 10_000
"""Runs that one bulk fork or retry takes at most."""
PAGE: Final = 1_000


class Forked(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run: `fork` is the new one, `refused` says why there is none."""

    run_id: RunId
    fork: RunId | None = None
    refused: str | None = None


def matching(history: History, chosen: RunFilter) -> list[RunSummary]:
    """Return the runs that `chosen` describes, newest first, at most BULK_MAX."""
    found: list[RunSummary] = []
    before: RunId | None = None
    while True:
        page = history.runs(msgspec.structs.replace(chosen, before=before, limit=PAGE))
        found += page.runs
        before = page.next_before
        if before is None or len(found) >= BULK_MAX:
            return found[:BULK_MAX]


def fork_each(runs: Sequence[RunSummary], make: Callable[[RunSummary], RunId]) -> list[Forked]:
    """Fork each of `runs`; a refusal is that run's alone."""
    done: list[Forked] = []
    for run in runs:
        try:
            done.append(Forked(run_id=run.id, fork=make(run)))
        except (Conflict, InvalidInput, NotFound) as error:
            done.append(Forked(run_id=run.id, refused=error.message))
    return done
