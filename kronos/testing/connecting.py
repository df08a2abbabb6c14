"""Connections whose every statement is a boundary: where turns change, and where faults strike.

Rule 1: it is the real Postgres that answers; nothing is imitated but the network and the end of a process.
Rule 2: a connection that was severed stays so: whoever uses it learns that it is broken, and nothing reaches the
        server any more, unless a COMMIT was on its way.
Rule 3: whoever ends a backend waits until it is gone, so that what follows does not depend on the machine's speed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, cast

import psycopg
from psycopg import errors as pg
from psycopg import pq

from kronos.errors import Unavailable
from kronos.storage.database import Connection, Link, take_role
from kronos.storage.statements import statement, statement_names
from kronos.testing.clock import FakeClock
from kronos.testing.scheduling import LOCK_TIMEOUT_S, Actor, Killed, TurnLock, current_actor

__all__ = ["COMMIT", "CONNECT", "Network", "Observer", "SimulatedConnection", "Watched"]

COMMIT: Final = "COMMIT"
SLOW_S: Final = 0.2
CONNECT: Final = "connect"
_FAILED: Final = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)
_QUIET: Final = ("SET ", "RESET ")
"""Statements that concern the connection alone: no boundary."""
_LIMIT: Final = re.compile(r"SET (?P<local>LOCAL )?(?P<name>\w+_timeout) = (?P<ms>\d+)")
"""How long the server may wait: in the scheduler's time, so the server is not told."""
_OPTIONS: Final = (
    "-c lock_timeout=0 -c timezone=UTC -c jit=off -c synchronous_commit=off -c client_min_messages=warning"
)
"""Locks time out in the scheduler's time; Postgres itself does not crash here."""


@cache
def _names() -> dict[str, str]:
    return {statement(name): name for name in statement_names()}


class Observer:
    """The simulation's own connection, which sees the server as it is."""

    def __init__(self, url: str) -> None:
        self.connection: Final = psycopg.connect(url, autocommit=True, application_name="kronos observer")
        self.connection.prepare_threshold = 1

    def blockers(self, pid: int) -> list[int]:
        """Return who holds what this backend waits for."""
        row = self.connection.execute("SELECT pg_blocking_pids(%s)", (pid,)).fetchone()
        return cast("tuple[list[int]]", row)[0]

    def cancel(self, pid: int) -> None:
        """Cancel a backend's statement."""
        self.connection.execute("SELECT pg_cancel_backend(%s)", (pid,))

    def terminate(self, pids: list[int]) -> None:
        """End backends, and wait until they are gone."""
        if pids:
            self.connection.execute("SELECT pg_terminate_backend(p) FROM unnest(%s::int[]) p", (pids,))
            self.wait_gone(pids)

    def wait_gone(self, pids: list[int]) -> None:
        """Wait until none of these backends is there."""
        wanted = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s::int[])"
        while cast("tuple[int]", self.connection.execute(wanted, (pids,)).fetchone())[0]:
            time.sleep(0.0005)

    def close(self) -> None:
        """Leave."""
        self.connection.close()


class Watched:
    """What a simulation is told of, and may decide, at boundaries; this one lets everything pass."""

    def before(self, connection: SimulatedConnection, name: str, params: Any) -> None:
        """Tell that a statement is about to be sent."""

    def after(self, connection: SimulatedConnection, name: str, params: Any) -> None:
        """Tell that the server has answered, before the actor knows."""

    def text(self, name: str, text: str) -> str:
        """Return what is sent instead of `text`."""
        return text


class SimulatedCursor(psycopg.Cursor[tuple[object, ...]]):
    """Every statement goes through the network."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        connection = cast("SimulatedConnection", self.connection)
        text = str(query)
        if text == "BEGIN":
            connection.begin()
            return self
        if limit := _LIMIT.fullmatch(text):
            connection.limit(limit["name"], int(limit["ms"]) / 1000, only_now=bool(limit["local"]))
            return self
        if text.startswith(_QUIET):
            with connection.sending():
                return super().execute(query, params, **options)
        name = _names().get(text, " ".join(text.split()[:2]))
        connection.arrive(name, params)
        with connection.sending():
            super().execute(connection.network.watched.text(name, text), params, **options)
        connection.leave(name, params)
        return self

    @contextmanager
    def copy(self, statement: Any, params: Any = None, *, writer: Any = None) -> Iterator[psycopg.Copy]:
        connection = cast("SimulatedConnection", self.connection)
        name = _names().get(str(statement), "copy")
        connection.arrive(name, params)
        with connection.sending(), super().copy(statement, params, writer=writer) as copy:
            yield copy
        connection.leave(name, params)


class SimulatedConnection(psycopg.Connection[tuple[object, ...]]):
    """A connection of an actor.  In a transaction, BEGIN belongs to the first statement; COMMIT is a boundary."""

    network: Network
    process: object
    purpose: str
    in_transaction: bool
    must_begin: bool
    """Whether the BEGIN of its transaction is still to be sent."""
    severed: bool
    pid: int
    """Its backend."""
    transactions: int = 0
    """How many it has begun."""
    said_now: str | None
    snapshot_early: bool
    """Whether each transaction takes its snapshot long before its first statement: as if that took long itself."""
    lock_timeout_s: tuple[float, float]
    """Of this transaction, and of those that come."""
    fate: str | None
    """The fault that strikes once the server has answered."""

    @property
    def closed(self) -> bool:
        return self.severed or super().closed

    @property
    def broken(self) -> bool:
        return self.severed or super().broken

    def close(self) -> None:
        """Close, unless it was severed: then the network decides what becomes of the backend."""
        if not self.severed:
            self.severed = True
            self.network.hang_up(self)

    @contextmanager
    def pipeline(self) -> Iterator[Any]:
        """Send statement by statement: each is a boundary."""
        yield None

    @contextmanager
    def transaction(self, *_: Any, **__: Any) -> Iterator[Any]:
        self.begin()
        try:
            yield None
            self.send_commit()
        except BaseException:
            self.rollback()
            raise
        self.leave(COMMIT, None)

    def begin(self) -> None:
        """Begin a transaction."""
        assert not self.in_transaction, "the engine nests no transactions"
        if self.severed:
            raise _lost()
        self.in_transaction = True
        self.transactions += 1
        self.lock_timeout_s = self.lock_timeout_s[1], self.lock_timeout_s[1]
        if self.snapshot_early:
            self.network.raw(self, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")  # it is a query that takes it
            self.network.tell_time(self)
            _pause(SLOW_S)
        else:
            self.must_begin = True

    def send_commit(self) -> None:
        """Stand at the boundary before COMMIT, and send it."""
        self.arrive(COMMIT, None)
        with self.sending():
            self.network.raw(self, "COMMIT")
        self.in_transaction = False

    def commit(self) -> None:
        self.send_commit()
        self.leave(COMMIT, None)

    def rollback(self) -> None:
        self.in_transaction = False
        if self.must_begin:
            self.must_begin = False
        elif not self.severed:
            self.said_now = None  # what was set in it is taken back
            self.network.raw(self, "ROLLBACK")

    def limit(self, name: str, seconds: float, *, only_now: bool) -> None:
        """Let waits for a lock run out after so long; other limits concern what does not happen here."""
        if name == "lock_timeout":
            self.lock_timeout_s = seconds, self.lock_timeout_s[1] if only_now else seconds

    # ── boundaries ──

    def arrive(self, name: str, params: Any) -> None:
        """Stand at the boundary before a statement."""
        if self.severed:
            raise _lost()
        actor = current_actor()
        if actor is not None:
            actor.stand_back()
            if self.severed:
                raise _lost()
        self.network.watched.before(self, name, params)
        if self.severed:
            raise _lost()
        self.network.tell_time(self)

    def leave(self, name: str, params: Any) -> None:
        """Stand behind it: the server has answered."""
        self.network.watched.after(self, name, params)
        if self.severed:
            raise _lost()

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Say which backend the actor waits for, for as long as it does."""
        actor = current_actor()
        if actor is None:
            yield
            return
        actor.lock_timeout_s = self.lock_timeout_s[0]
        actor.executing = self.pid
        try:
            yield
        except pg.QueryCanceled:
            if actor.timed_out:
                raise pg.LockNotAvailable("canceling statement due to lock timeout") from None
            raise
        except psycopg.OperationalError:
            if super().closed:
                self.severed = True  # the server ended this backend
            raise
        finally:
            actor.answered()
            actor.timed_out = False


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

        return Link(connect=connect, pause=_pause, lock=TurnLock, monotonic=lambda: self._clock.now_ns() / 1e9)

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
            raise Unavailable(f"the simulated network let no connection through: {_lost()}")
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


def _pause(seconds: float) -> None:
    actor: Actor | None = current_actor()
    if actor is None:
        time.sleep(seconds)
    else:
        actor.wait(seconds)


def _lost() -> psycopg.OperationalError:
    actor = current_actor()
    if actor is not None and actor.killed:
        raise Killed
    return psycopg.OperationalError("the connection was severed")
