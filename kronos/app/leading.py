"""A process as a candidate for the lead, with everything that a leader does."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Final

from kronos.app.keeping import Expiring, Sweeping
from kronos.engine.leader import Candidate, Duty, schedules_duty
from kronos.ports.leading import Presence, Term
from kronos.storage.database import Session
from kronos.storage.leading import PostgresLeadership
from kronos.storage.retention import Retention
from kronos.storage.schedules import PostgresSchedules
from kronos.storage.sweeping import Sweep

__all__ = ["Leading", "node_name"]

PARTITIONS_S: Final = 3_600.0
NODES_S: Final = 60.0


def node_name() -> str:
    """Return what this process is called where nobody named it."""
    return f"{socket.gethostname()}-{os.getpid()}"


class Leading:
    """A candidate with its connections."""

    def __init__(self, url: str, *, kind: str, name: str, lease_s: float, presence: Callable[[], Presence]) -> None:
        store = PostgresLeadership(url)
        self._session = Session(url, purpose="duties")
        self._expiring = Expiring(Retention(url))
        self.candidate: Final = Candidate(
            store=store,
            kind=kind,
            name=name,
            lease_s=lease_s,
            presence=presence,
            duties=[
                schedules_duty(PostgresSchedules(self._session)),
                Duty("partitions", lambda term: _every(PARTITIONS_S, store.maintain, term)),
                Duty("nodes", lambda term: _every(NODES_S, store.forget_nodes, term)),
                Duty("sweep", Sweeping(Sweep(self._session)).act),
                Duty("retention", self._expiring.act),
            ],
        )

    def join(self) -> None:
        """Join; raise `Unavailable` where sessions are not what they seem: behind a pooler in transaction mode."""
        try:
            self.candidate.join()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Begin to campaign."""
        self.candidate.start()

    def stop(self) -> None:
        """Leave; where this process led, another may begin at once."""
        self.candidate.stop()
        self._expiring.stop()
        self._session.close()


def _every(seconds: float, act: Callable[[], None], _term: Term) -> float:
    act()
    return seconds
