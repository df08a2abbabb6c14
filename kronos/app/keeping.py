"""What a leader does so that the database stays as large as what is kept: sweeps blobs, lets partitions go.

Rule: a duty never holds up the others: the sweep is bounded work a turn, and what may wait for locks has a thread.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from kronos.errors import Unavailable
from kronos.ports.leading import Term
from kronos.storage.retention import Retention
from kronos.storage.sweeping import Sweep

__all__ = ["Expiring", "Sweeping"]

log: Final = logging.getLogger("kronos.keeping")

SETTLE_S: Final = 60.0
"""A new leader has other things to do first."""
SWEEP_S: Final = 1.0
ROUND_S: Final = 600.0
EXPIRE_S: Final = 900.0


class Sweeping:
    """Goes through the blobs, `EXAMINED_MAX` every SWEEP_S, and rests ROUND_S at the end."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._settled = False

    def act(self, _term: Term) -> float:
        """Take a turn; return the seconds until the next."""
        if not self._settled:
            self._settled = True
            return SETTLE_S
        return SWEEP_S if self._sweep.turn().examined else ROUND_S


class Expiring:
    """Lets the partitions go that are due, on a thread of its own."""

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._settled = False

    def act(self, _term: Term) -> float:
        """Begin, where it is not under way; return the seconds until the next look."""
        if not self._settled:
            self._settled = True
            return SETTLE_S
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._expire, name="kronos-retention", daemon=True)
            self._thread.start()
        return EXPIRE_S

    def stop(self) -> None:
        """Finish the partition at hand, at most."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _expire(self) -> None:
        try:
            while not self._stopping.is_set() and (leaf := self._retention.turn()) is not None:
                log.info("the partition %s has expired", leaf)
        except Unavailable as error:
            log.info("partitions that are due go later: %s", error)
