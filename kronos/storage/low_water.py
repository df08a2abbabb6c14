"""Where a claim begins to look: behind the runs that were claimed already.

Rule 1: every claimed run leaves a dead entry at the front of the index, and an old snapshot held open anywhere keeps it
        there: a claim that began at the front would walk through all of them, more each minute.  So it begins MARGIN_S
        of ranks (the time of the submission) before the newest that was claimed.
Rule 2: nothing is missed.  What became claimable later than its rank says (a submission inside a long transaction)
        is found by a scan from the front every RESCAN_S; that scan may take RESCAN_SHARE of the time, and is made less
        often where it takes more.  Runs that are given back or woken have an index of their own (`wake_at`).
Rule 3: it is a hint of one claimant, kept in memory: forgotten with the process, void for other definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

__all__ = ["LowWater"]

MARGIN_S: Final = 1.0
RESCAN_S: Final = 1.0
RESCAN_SHARE: Final = 0.05


class LowWater:
    """Belongs to one thread at a time."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._definitions: tuple[str, ...] = ()
        self._rank = 0
        self._next_scan = 0.0

    @contextmanager
    def claim(self, definitions: Sequence[str]) -> Iterator[int]:
        """Yield the rank from which to claim runs of `definitions`: 0 where a scan from the front is due."""
        began = self._monotonic()
        if tuple(definitions) != self._definitions:
            self._definitions, self._rank, self._next_scan = tuple(definitions), 0, 0.0
        if began < self._next_scan:
            yield self._rank
            return
        yield 0
        ended = self._monotonic()
        self._next_scan = ended + max(RESCAN_S, (ended - began) / RESCAN_SHARE)

    def claimed(self, ranks: Iterable[int]) -> None:
        """Take note of the ranks that a claim gave."""
        self._rank = max(self._rank, max(ranks, default=0) - int(MARGIN_S * 1e6))
