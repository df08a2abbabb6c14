"""Connections whose every statement is a boundary: where turns change, and where faults strike.

Rule 1: it is the real Postgres that answers; nothing is imitated but the network and the end of a process.
Rule 2: a connection that was severed stays so: whoever uses it learns that it is broken, and nothing reaches the
        server any more, unless a COMMIT was on its way.
Rule 3: whoever ends a backend waits until it is gone, so that what follows does not depend on the machine's speed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final, Protocol, cast

import psycopg
from psycopg import errors as pg

from kronos.storage.statements import statement, statement_names
from kronos.testing.scheduling import Actor, Killed, current_actor

__all__ = ["COMMIT", "CONNECT", "Observer", "SimulatedConnection", "SimulatedCursor", "Watched", "lost", "pause"]

COMMIT: Final = "COMMIT"
SLOW_S: Final = 0.2
CONNECT: Final = "connect"
_QUIET: Final = ("SET ", "RESET ")
"""Statements that concern the connection alone: no boundary."""
_LIMIT: Final = re.compile(r"SET (?P<local>LOCAL )?(?P<name>\w+_timeout) = (?P<ms>\d+)")
"""How long the server may wait: in the scheduler's time, so the server is not told."""


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


class Carrier(Protocol):
    """What a connection asks of the network that it belongs to."""

    @property
    def watched(self) -> Watched:
        """Whoever is told at each boundary."""
        ...

    def raw(self, connection: SimulatedConnection, text: str) -> None:
        """Execute without a boundary."""
        ...

    def tell_time(self, connection: SimulatedConnection) -> None:
        """Let the server know what time it is."""
        ...

    def hang_up(self, connection: SimulatedConnection) -> None:
        """Close for real."""
        ...


class SimulatedCursor(psycopg.Cursor[tuple[object, ...]]):
    """Every statement goes through the network."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        connection = cast("SimulatedConnection", self.connection)
        connection.begin_unless_begun()
        text = str(query)
        if text == "BEGIN":
            connection.begin()
            return self
        if limit := _LIMIT.fullmatch(text):
            connection.limit(limit["name"], int(limit["ms"]) / 1000, only_now=bool(limit["local"]))
            return self
        if text.startswith(_QUIET):
            connection.say_begin()
            with connection.sending():
                return super().execute(query, params, **options)
        name = _names().get(text, " ".join(text.split()[:2]))
        connection.arrive(name, params)
        with connection.sending():
            super().execute(connection.network.watched.text(name, text), params, **options)
        connection.leave(name, params)
        return self

    def executemany(self, query: Any, params_seq: Any, **_: Any) -> None:
        """Execute for each: each is a boundary."""
        for params in params_seq:
            self.execute(query, params)

    @contextmanager
    def copy(self, statement: Any, params: Any = None, *, writer: Any = None) -> Iterator[psycopg.Copy]:
        connection = cast("SimulatedConnection", self.connection)
        connection.begin_unless_begun()
        name = _names().get(str(statement), "copy")
        connection.arrive(name, params)
        with connection.sending(), super().copy(statement, params, writer=writer) as copy:
            yield copy
        connection.leave(name, params)


class SimulatedConnection(psycopg.Connection[tuple[object, ...]]):
    """A connection of an actor.  In a transaction, BEGIN belongs to the first statement; COMMIT is a boundary."""

    network: Carrier
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
    begins_itself: bool = False
    """Whether its first statement begins a transaction: what psycopg calls `autocommit = False`."""

    @property
    def autocommit(self) -> bool:
        return not self.begins_itself

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.begins_itself = not value

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

    def cursor(self, *args: Any, name: str = "", **options: Any) -> Any:
        """Return a cursor; one with a name lives in the server, and its statements are no boundary."""
        if not name:
            return super().cursor(*args, **options)
        self.begin_unless_begun()
        self.say_begin()
        return super().cursor(name, *args, **options)

    @contextmanager
    def transaction(self, *asked: Any, **named: Any) -> Iterator[Any]:
        if asked or named:
            raise TypeError(f"a simulated transaction takes no options: {asked} {named}")
        if self.in_transaction:
            with suppress(psycopg.Rollback), self._savepoint():
                yield None
            return
        self.begin()
        try:
            yield None
            self.send_commit()
        except psycopg.Rollback:
            self.rollback()
            return
        except BaseException:
            self.rollback()
            raise
        self.leave(COMMIT, None)

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        """Be a transaction inside another: no boundary, as nothing of it is known to others before COMMIT."""
        limits = self.lock_timeout_s
        self.network.tell_time(self)
        self.network.raw(self, "SAVEPOINT nested")
        try:
            yield
        except BaseException:
            if not self.severed:
                self.said_now, self.lock_timeout_s = None, limits
                self.network.raw(self, "ROLLBACK TO SAVEPOINT nested; RELEASE SAVEPOINT nested")
            raise
        if not self.severed:
            self.network.raw(self, "RELEASE SAVEPOINT nested")

    def begin(self) -> None:
        """Begin a transaction."""
        if self.severed:
            raise lost()
        self.in_transaction = True
        self.transactions += 1
        self.lock_timeout_s = self.lock_timeout_s[1], self.lock_timeout_s[1]
        if self.snapshot_early:
            self.network.raw(self, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")  # it is a query that takes it
            self.network.tell_time(self)
            pause(SLOW_S)
        else:
            self.must_begin = True

    def begin_unless_begun(self) -> None:
        """Begin the transaction that a connection which begins them itself is to be in."""
        if self.begins_itself and not self.in_transaction:
            self.begin()

    def say_begin(self) -> None:
        """Send a BEGIN that is due, ahead of what is no boundary."""
        if self.must_begin:
            self.network.tell_time(self)

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
            raise lost()
        actor = current_actor()
        if actor is not None:
            actor.stand_back()
            if self.severed:
                raise lost()
        self.network.watched.before(self, name, params)
        if self.severed:
            raise lost()
        self.network.tell_time(self)

    def leave(self, name: str, params: Any) -> None:
        """Stand behind it: the server has answered."""
        self.network.watched.after(self, name, params)
        if self.severed:
            raise lost()

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


def pause(seconds: float) -> None:
    """Wait, in the time of whoever waits."""
    actor: Actor | None = current_actor()
    if actor is None:
        time.sleep(seconds)
    else:
        actor.wait(seconds)


def lost() -> psycopg.OperationalError:
    """Return what a severed connection raises; raise `Killed` where its process is dead."""
    actor = current_actor()
    if actor is not None and actor.killed:
        raise Killed
    return psycopg.OperationalError("the connection was severed")
