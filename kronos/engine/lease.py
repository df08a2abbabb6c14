"""The lease of one incarnation: renewed in time, or given up before anybody else could take its runs.

Rule 1: it is renewed every third of its length, on a connection of its own.
Rule 2: by this machine's monotonic clock, the holder stops at renewal + lease - margin: earlier than the reaper acts.
Rule 3: the same thread reaps others, so that every worker takes over from every other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from kronos.engine.clock import RunClock
from kronos.errors import LeaseLost, Unavailable
from kronos.kernel.ids import IncarnationId
from kronos.ports.queue import Queue

__all__ = ["Lease"]

MARGIN: Final = 0.15
"""Share of the lease by which the holder stops before the reaper may act."""
REAP_S: Final = 0.5
MAINTAIN_S: Final = 3_600.0
"""How often a worker makes the partitions of the coming weeks."""


class Lease:
    """Two threads: one renews, one reaps; a renewal never waits for a reaping."""

    def __init__(
        self,
        *,
        store: Queue,
        incarnation: IncarnationId,
        lease_s: float,
        clock: RunClock,
        on_lost: Callable[[BaseException], None],
        on_reaped: Callable[[], None],
    ) -> None:
        self._store = store
        self._incarnation = incarnation
        self._lease_s = lease_s
        self._clock = clock
        self._on_lost = on_lost
        self._on_reaped = on_reaped
        self._renewed = time.monotonic()
        self._stopping = threading.Event()
        self._threads: Final = [
            threading.Thread(target=self._renew, name="kronos-lease", daemon=True),
            threading.Thread(target=self._reap, name="kronos-reaper", daemon=True),
            threading.Thread(target=self._watch, name="kronos-lease-watch", daemon=True),
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=5)

    @property
    def left_s(self) -> float:
        """Seconds until the holder must stop."""
        return self._renewed + self._lease_s * (1 - MARGIN) - time.monotonic()

    def _renew(self) -> None:
        while not self._stopping.wait(self._lease_s / 3):
            asked = time.monotonic()
            try:
                self._store.renew(self._incarnation)
                self._renewed = asked
                self._clock.resync()
            except Unavailable:
                continue  # the watch decides how long the database may be away
            except BaseException as error:
                self._on_lost(error)
                return

    def _watch(self) -> None:
        while not self._stopping.wait(max(0.01, min(self.left_s, self._lease_s / 10))):
            if self.left_s <= 0:
                self._on_lost(LeaseLost(f"incarnation {self._incarnation} could not renew its lease in time"))
                return

    def _reap(self) -> None:
        maintained = time.monotonic()
        while not self._stopping.wait(min(REAP_S, self._lease_s / 4)):
            try:
                if time.monotonic() - maintained > MAINTAIN_S:
                    self._store.maintain()
                    maintained = time.monotonic()
                if self._store.reap():
                    self._on_reaped()
            except Unavailable:
                continue
