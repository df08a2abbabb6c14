"""What a wide run gives away: the other workers' share of the attempts that become ready.

Rule 1: only a run with SPREAD_MIN attempts in hand is wide; of what it begins from then on every worker that serves it
        is offered an equal share.
Rule 2: what is put aside leaves in whole chunks, or after ASIDE_S: nothing waits for a chunk to fill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from kronos.core.jobs import CHUNK
from kronos.engine.owned import OwnedRun
from kronos.engine.tasks import Task
from kronos.kernel.ids import DefinitionId

__all__ = ["SPREAD_MIN", "Spreading"]

SPREAD_MIN: Final = 256
ASIDE_S: Final = 0.05


@dataclass(slots=True)
class _Aside:
    tasks: list[Task] = field(default_factory=list)
    owed: float = 0.0
    since_s: float = 0.0


class Spreading:
    """Belongs to the owner loop; `peers` tells how many other workers serve a definition."""

    def __init__(self, peers: Callable[[DefinitionId], int]) -> None:
        self._peers = peers
        self._aside: dict[OwnedRun, _Aside] = {}

    def share(self, run: OwnedRun, tasks: list[Task], now_s: float) -> list[Task]:
        """Put the others' share of `tasks`, all of `run`, aside; return what is executed here."""
        peers = self._peers(run.claimed.definition) if len(run.active) >= SPREAD_MIN else 0
        if not peers:
            return tasks
        aside = self._aside.setdefault(run, _Aside(since_s=now_s))
        kept = []
        for task in tasks:
            aside.owed += peers / (peers + 1)
            if aside.owed >= 1 and run.may_spread(task):
                aside.owed -= 1
                aside.tasks.append(task)
            else:
                kept.append(task)
        return kept

    def leaving(self, now_s: float) -> Iterator[OwnedRun]:
        """Offer what is due of each run, and yield those that have something to write now."""
        for run, aside in list(self._aside.items()):
            is_late = now_s >= aside.since_s + ASIDE_S
            count = len(aside.tasks) if is_late else len(aside.tasks) // CHUNK * CHUNK
            due = [task for task in aside.tasks[:count] if run.awaits(task)]
            del aside.tasks[:count]
            if not aside.tasks:
                aside.since_s = now_s
            if run.is_over or (is_late and len(run.active) < SPREAD_MIN):
                del self._aside[run]
            if due:
                run.spread(due)
                yield run
