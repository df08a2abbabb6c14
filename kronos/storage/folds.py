"""Folds of long runs, kept while somebody scrubs through them.

Rule 1: a fold is a cache of what the log says, and the log only grows: nothing here is ever wrong, or needed.
Rule 2: bounded: `SNAPSHOTS_MAX` folds a run, `EVERY` facts apart or, in longer runs, twice that, four times, …;
        `FACTS_MAX` facts in all, the runs looked at longest ago are forgotten first.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from typing import Final

from kronos.core.state import Run, new_run
from kronos.kernel.ids import RunId

__all__ = ["EVERY", "FACTS_MAX", "SNAPSHOTS_MAX", "Folds"]

EVERY: Final = 8_192
SNAPSHOTS_MAX: Final = 128
FACTS_MAX: Final = 3_000_000


class Folds:
    """Folds by run and seq; safe for several threads."""

    def __init__(self) -> None:
        self._runs: OrderedDict[RunId, _Folds] = OrderedDict()
        self._guard = threading.Lock()

    def before(self, run_id: RunId, seq: int | None) -> Run:
        """Return the latest known fold of a run at or before `seq` (None: of all), at worst the empty one."""
        with self._guard:
            known = self._runs.get(run_id)
            if known is None:
                return new_run(run_id)
            self._runs.move_to_end(run_id)
            return known.before(seq) or new_run(run_id)

    def keep(self, run: Run) -> None:
        """Keep `run`, a fold of everything up to its seq, where it stands far enough from those that are kept."""
        if run.seq < EVERY:
            return
        with self._guard:
            self._runs.setdefault(run.id, _Folds()).keep(run)
            self._runs.move_to_end(run.id)
            while len(self._runs) > 1 and sum(each.facts for each in self._runs.values()) > FACTS_MAX:
                self._runs.popitem(last=False)


class _Folds:
    """Those of one run, by ascending seq, and the latest of all."""

    def __init__(self) -> None:
        self._seqs: list[int] = []
        self._folds: list[Run] = []
        self._every = EVERY
        self._tip: Run | None = None

    @property
    def facts(self) -> int:
        return self._tip.seq if self._tip is not None else 0

    def before(self, seq: int | None) -> Run | None:
        if self._tip is not None and (seq is None or seq >= self._tip.seq):
            return self._tip
        place = len(self._seqs) if seq is None else bisect_right(self._seqs, seq)
        return self._folds[place - 1] if place else None

    def keep(self, run: Run) -> None:
        if self._tip is None or run.seq > self._tip.seq:
            self._tip = run
        place = bisect_right(self._seqs, run.seq)
        near = [self._seqs[i] for i in (place - 1, place) if 0 <= i < len(self._seqs)]
        if any(abs(run.seq - seq) < self._every for seq in near):
            return
        self._seqs.insert(place, run.seq)
        self._folds.insert(place, run)
        if len(self._seqs) > SNAPSHOTS_MAX:
            self._every *= 2
            self._seqs, self._folds = self._seqs[::2], self._folds[::2]
