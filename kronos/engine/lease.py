"""The lease of one incarnation: renewed in time, or given up before anybody else could take its runs.

Rule 1: it is renewed every third of its length, on a connection of its own.
Rule 2: by this machine's monotonic clock, the holder stops at renewal + lease - margin: earlier than the reaper acts.
Rule 3: the same thread reaps others, so that every worker takes over from every other.
"""

from __future__ import annotations

import threading
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
        self._renewed = clock.monotonic_s()
        self.renew_s: Final = lease_s / 3
        self.reap_s: Final = min(REAP_S, lease_s / 4)
        self._stopping = threading.Event()
        self._threads: Final = [
            threading.Thread(target=self._repeat, args=(turn, wait_s), name=name, daemon=True)
            for name, turn, wait_s in (
                ("kronos-lease", self.renew, self.renew_s),
                ("kronos-reaper", self.reap, self.reap_s),
                ("kronos-lease-watch", self.watch, 0.01),
            )
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
        return self._renewed + self._lease_s * (1 - MARGIN) - self._clock.monotonic_s()

    def renew(self) -> float:
        """Renew once; return the seconds until the next renewal is due."""
        asked = self._clock.monotonic_s()
        try:
            self._store.renew(self._incarnation)
        except Unavailable:
            return self.renew_s  # the watch decides how long the database may be away
        self._renewed = asked
        self._clock.resync()
        return self.renew_s

    def watch(self) -> float:
        """Raise `LeaseLost` when the holder must stop; return the seconds until the next look is due."""
        if self.left_s <= 0:
            raise LeaseLost(f"incarnation {self._incarnation} could not renew its lease in time")
        return max(0.01, min(self.left_s, self._lease_s / 10))

    def reap(self) -> float:
        """Reap once; return the seconds until the next reaping is due."""
        try:
            if self._store.reap():
                self._on_reaped()
        except Unavailable:
            return self.reap_s
        return self.reap_s

    def _repeat(self, turn: Callable[[], float], wait_s: float) -> None:
        while not self._stopping.wait(wait_s):
            try:
                wait_s = turn()
            except BaseException as error:
                self._on_lost(error)
                return
