"""The network between simulated processes and the server: it opens connections, breaks them, and carries what was sent.

Rule: whoever ends a backend waits until it is gone, so that what follows does not depend on the machine's speed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import psycopg
from psycopg import pq

from kronos.errors import Unavailable
from kronos.storage.database import Connection, Link, take_role
from kronos.testing.clock import FakeClock
from kronos.testing.connecting import (
    CONNECT,
    Observer,
    SimulatedConnection,
    SimulatedCursor,
    Watched,
    lost,
    pause,
)
from kronos.testing.scheduling import LOCK_TIMEOUT_S, TurnLock, current_actor

__all__ = ["Network"]

_FAILED: Final = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)
_OPTIONS: Final = (
    "-c lock_timeout=0 -c timezone=UTC -c jit=off -c synchronous_commit=off -c client_min_messages=warning"
)
"""Locks time out in the scheduler's time; Postgres itself does not crash here."""


class Network:
    """Opens connections, severs them, and carries what was on its way."""

    def __init__(
        self, url: str, *, observer: Observer, watched: Watched, seed: str, clock: FakeClock, idle: Any = None
    ) -> None:
        self._url = url
        self.observer: Final = observer
        self.watched: Final = watched
        self._seed = seed
        self._clock = clock
        self._idle: list[SimulatedConnection] = [] if idle is None else idle
        self._opened: list[SimulatedConnection] = []
        self._whole: list[SimulatedConnection] = []

    def link(self, process: object) -> Link:
        """Return how the parts of `process` reach the server."""

        def connect(url: str, *, purpose: str, role: bool = True, autocommit: bool = True) -> Connection:
            return self.connect(process, purpose=purpose, role=role)

        return Link(
            connect=connect,
            is_left=lambda _connection: False,
            pause=pause,
            lock=TurnLock,
            monotonic=lambda: self._clock.now_ns() / 1e9,
        )

    def connect(self, process: object, *, purpose: str, role: bool = True) -> SimulatedConnection:
        """Open a connection for `process`."""
        actor = current_actor()
        if actor is not None:
            actor.stand_back()
        opened = self._open()
        opened.network, opened.process, opened.purpose = self, process, purpose
        opened.pid = opened.info.backend_pid
        opened.in_transaction = opened.must_begin = opened.severed = False
        opened.snapshot_early = getattr(process, "is_slow", False)
        opened.said_now = opened.fate = None
        opened.lock_timeout_s = LOCK_TIMEOUT_S, LOCK_TIMEOUT_S
        self._opened.append(opened)
        seed = f"{self._seed}/{len(self._opened)}".replace("'", "''")
        self.raw(opened, f"SET kronos.seed = '{seed}'")
        if role:
            take_role(opened)
        self.watched.before(opened, CONNECT, None)
        self.watched.after(opened, CONNECT, None)
        if opened.severed:
            raise Unavailable(f"the simulated network let no connection through: {lost()}")
        return opened

    def _open(self) -> SimulatedConnection:
        if not self._idle:
            return SimulatedConnection.connect(
                self._url, autocommit=True, options=_OPTIONS, cursor_factory=SimulatedCursor
            )
        used = self._idle.pop()
        used.severed = False
        self.raw(used, "RESET ROLE")
        return used

    def raw(self, connection: SimulatedConnection, text: str) -> None:
        """Execute without a boundary, and without what a driver does around it: two of three round trips come here."""
        answer = connection.pgconn.exec_(text.encode())
        if answer.status in _FAILED:
            raise psycopg.OperationalError(answer.error_message.decode())

    def tell_time(self, connection: SimulatedConnection) -> None:
        """Let the server know what time it is, in one round trip with a BEGIN that is due."""
        now = self._clock.now().isoformat()
        begin = "BEGIN; " if connection.must_begin else ""
        connection.must_begin = False
        if connection.said_now != now:
            self.raw(connection, f"{begin}SET kronos.now = '{now}'")
            connection.said_now = now
        elif begin:
            self.raw(connection, begin)

    def sever(self, connection: SimulatedConnection) -> None:
        """Break a connection; its backend ends at once, and rolls back."""
        connection.severed = True
        self.observer.terminate([connection.pid])

    def leave_hanging(self, connection: SimulatedConnection) -> None:
        """Break a connection on this side only: the server does not know yet, and what it holds it holds on."""
        connection.severed = True

    def end_hanging(self, connection: SimulatedConnection, *, commit: bool) -> None:
        """The server learns of it; a COMMIT that was on its way arrives first."""
        if commit:
            try:
                self.raw(connection, "COMMIT")
            except psycopg.OperationalError:
                return  # the server had ended this backend meanwhile
        self.hang_up(connection)

    def hang_up(self, connection: SimulatedConnection) -> None:
        """Close for real."""
        connection.pgconn.finish()
        self.observer.terminate([connection.pid])  # one that waits for a lock would not notice

    def of(self, process: object) -> list[SimulatedConnection]:
        """Return the connections of `process` that work."""
        return [each for each in self._opened if each.process is process and not each.severed]

    def close(self, awaited: Collection[int | None] = ()) -> None:
        """End every backend; spare those that nothing happened to and nobody waits for: `awaited` names the others."""
        self._whole = [
            each for each in self._opened if not each.severed and not each.in_transaction and each.pid not in awaited
        ]
        spared = {each.pid for each in self._whole}
        self.observer.terminate([each.pid for each in self._opened if each.pid not in spared])
        for connection in self._opened:
            connection.severed = True

    @property
    def is_quiet(self) -> bool:
        """Whether no transaction is open."""
        return not any(each.in_transaction for each in self._opened)

    def forget(self, *, keep: bool = True) -> None:
        """Free what is left of the connections, nobody uses them any more; keep whole ones for another network."""
        if not keep:
            self._whole.clear()
        self._whole = [each for each in self._whole if self._is_clean(each)]
        self._idle.extend(self._whole)
        for connection in self._opened:
            if connection not in self._whole:
                connection.pgconn.finish()
        self._opened.clear()
        self._whole.clear()

    def _is_clean(self, connection: SimulatedConnection) -> bool:
        """Let go of its session's locks; False where its backend was ended and nobody has used it since."""
        try:
            self.raw(connection, "SELECT pg_advisory_unlock_all()")
        except psycopg.OperationalError:
            return False
        return True
