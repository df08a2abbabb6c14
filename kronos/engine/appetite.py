"""How many jobs of which kind a worker has room for.

Rule 1: a slot is free when the function returns, but at most IN_HAND_MAX jobs are claimed and not yet recorded.
Rule 2: as much is claimed ahead as the slots will soon be through with: nothing is kept from other workers for long.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from kronos.core.options import Executor
from kronos.engine.offers import offer_target
from kronos.engine.serving import Serving
from kronos.ports.jobs import Room

__all__ = ["Appetite"]

IN_HAND_MAX: Final = 1_000
"""Jobs that are claimed and not yet recorded, at most, or as many as there are slots."""
AHEAD_S: Final = 0.05
"""Jobs are claimed ahead for this long, at the pace of late, and for the time that a few turns take."""
AHEAD_S_MAX: Final = 0.25
RARE_S: Final = 0.1
"""How often jobs for coroutines and processes are looked for."""


class Appetite:
    """Counts what is under way, by executor; `capacity` says how many slots there are of each."""

    def __init__(
        self, serving: Serving, capacity: Mapping[Executor, int], is_idle: Callable[[], bool], now_s: float
    ) -> None:
        self._serving = serving
        self._capacity = capacity
        self._is_idle = is_idle
        self.again_at = math.inf
        """When there is room that `rooms` did not use."""
        self._busy: Counter[Executor] = Counter()
        self._ended = 0
        self._pace = 0.0
        self._ahead_s = AHEAD_S
        self._paced_at = now_s
        self._next_rare = 0.0
        self._sought: dict[Executor, list[str]] = {}
        self._sought_of = -1

    def begin(self, executor: Executor) -> None:
        """Note that one more is in hand."""
        self._busy[executor] += 1

    def end(self, executor: Executor) -> None:
        """Note that one less is."""
        self._busy[executor] -= 1
        self._ended += 1

    def note_turn(self, took_s: float) -> None:
        """Claim ahead for the time that a few turns take, at least AHEAD_S."""
        self._ahead_s = min(AHEAD_S_MAX, AHEAD_S + 3 * took_s)

    def note_pace(self, now: float) -> None:
        """Keep the pace of late, jobs a second: it rises at once and sinks slowly."""
        pace = self._ended / max(0.001, now - self._paced_at)
        self._paced_at, self._ended = now, 0
        self._pace = max(pace, 0.8 * self._pace)

    def rooms(self, now: float) -> list[Room]:
        """Return what there is room for.  Whoever looks for few among many scans many: so not at each turn."""
        if len(self._serving.targets) + len(self._serving.ids) != self._sought_of:
            self._seek()
        may_seek_rare, rooms = now >= self._next_rare, list[Room]()
        self.again_at = math.inf
        for executor, targets in self._sought.items():
            room = self._room(executor)
            if room and targets and (executor == "thread" or may_seek_rare):
                rooms.append(Room(targets, room, spread=self._is_idle()))
            elif room and targets:
                self.again_at = self._next_rare
        if may_seek_rare:
            self._next_rare = now + RARE_S
        return rooms

    def _seek(self) -> None:
        """Note which targets are served, by the slots they need."""
        targets, definitions = self._serving.targets.copy(), self._serving.ids
        sought: dict[Executor, list[str]] = {"thread": [], "async": [], "process": []}
        for target, step in targets.items():
            sought[step.options.executor].append(target)
        for definition in definitions:
            sought["thread"].append(definition)
            executors = {node.options.executor for node in self._serving.get(definition).graph.nodes}
            if "process" in executors:
                sought["process"].append(offer_target(definition, "process"))
        self._sought, self._sought_of = sought, len(targets) + len(definitions)

    def _room(self, executor: Executor) -> int:
        """Return how many more are wanted: what ended goes out in the same transaction, so it makes room already."""
        slots = self._capacity[executor]
        ahead = int(self._pace * self._ahead_s) if executor != "process" else 0
        return max(0, min(slots + ahead, max(slots, IN_HAND_MAX)) - self._busy[executor])
