"""The run clock: the database's time, carried by this machine's monotonic clock.

Rule: step times are ns since the epoch, never go backwards within a process, and never depend on the wall clock of the
machine: workers whose clocks disagree write one comparable history.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

__all__ = ["RunClock"]

RESYNC_S: Final = 30.0


class RunClock:
    """`now_ns()` is safe from every thread; `resync` belongs to one."""

    def __init__(self, database_ns: Callable[[], int], monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._database_ns = database_ns
        self._monotonic_ns = monotonic_ns
        self._offset = 0
        self._synced = 0
        self._sync()

    def now_ns(self) -> int:
        """Return the time in ns since the epoch."""
        return self._monotonic_ns() + self._offset

    def monotonic_s(self) -> float:
        """Return the seconds of this machine's monotonic clock: for what is never written down."""
        return self._monotonic_ns() / 1e9

    def resync(self) -> None:
        """Sample the database again when the last sample is old; a step back is not taken."""
        if self._monotonic_ns() - self._synced > RESYNC_S * 1e9:
            self._sync()

    def _sync(self) -> None:
        before = self._monotonic_ns()
        sample = self._database_ns()
        after = self._monotonic_ns()
        offset = sample - (before + after) // 2
        self._offset = max(self._offset, offset) if self._synced else offset
        self._synced = after
