"""The transactions of database steps: the step's own rows and its outcome, in one commit.

Rule 1: order: what the step does, then the fence, then whether we live, then the outcome, then COMMIT.  The fence is
        held for the last moment only, so that a long step keeps nobody from declaring us dead.
Rule 2: bounded: TRANSACTIONS_MAX at a time, no statement and no pause longer than half the lease.
Rule 3: when the connection dies at COMMIT, nobody guesses: once the old backend is gone, the outcome is there or not.
"""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus

from kronos.errors import Cancelled, InvalidInput, LeaseLost, Unavailable
from kronos.kernel.ids import IncarnationId, RunId
from kronos.storage.database import LINK, Connection, Link
from kronos.storage.statements import statement

__all__ = ["TRANSACTIONS_MAX", "PostgresDatabaseSteps", "TransactionPool"]

T = TypeVar("T")

TRANSACTIONS_MAX: Final = 4
"""Database steps that one worker runs at a time: each holds a connection."""
RECONNECT_S: Final = 0.1


class TransactionPool:
    """The connections of one worker process, in the login's own role: the step works on the user's tables."""

    def __init__(self, url: str, *, lease_s: float, link: Link = LINK) -> None:
        self._url = url
        self._link = link
        self._limit_ms = max(1, int(lease_s * 500))
        self._free: list[_Held] = []
        self._slots = threading.BoundedSemaphore(TRANSACTIONS_MAX)
        self._closing = threading.Event()

    @contextmanager
    def held(self, incarnation: IncarnationId) -> Iterator[_Held]:
        """Yield a connection that nobody else uses, registered as one of the incarnation's."""
        with self._slots:
            if self._closing.is_set():
                raise Cancelled("the worker leaves: the step is its next owner's to run")
            held = self._free.pop() if self._free else _reached(self._open)
            try:
                _reached(lambda: held.register(incarnation))
                yield held
            finally:
                held.give_back()
                if held.connection.closed or self._closing.is_set():
                    held.connection.close()
                else:
                    self._free.append(held)

    def plain(self) -> Connection:
        """Open a connection that is no step's: to ask what became of one."""
        return self._link.connect(self._url, purpose="step outcome", role=False)

    def pause(self) -> None:
        """Wait for the database; raise `Unavailable` when the worker leaves."""
        if self._closing.is_set():
            raise Unavailable("the worker leaves: what became of a step's transaction is for its next owner to see")
        self._link.pause(RECONNECT_S)

    def close(self) -> None:
        """Close every connection that no step uses, and the others when their steps end."""
        self._closing.set()
        while self._free:
            self._free.pop().connection.close()

    def _open(self) -> _Held:
        connection = self._link.connect(self._url, purpose="step", role=False)
        for limit in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(f"SET {limit} = {self._limit_ms}")
        backend = cast("tuple[int, datetime]", connection.execute(statement("find_own_backend")).fetchone())
        return _Held(connection, backend)


def _reached(ask: Callable[[], T]) -> T:
    """Return what `ask` returns; before anything of the step was run, a connection that broke says nothing about it."""
    try:
        return ask()
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise Unavailable(f"the connection for a step's transaction was lost ({type(error).__name__})") from error


class _Held:
    def __init__(self, connection: Connection, backend: tuple[int, datetime]) -> None:
        self.connection: Final = connection
        self.backend: Final = backend
        self._incarnation: IncarnationId | None = None

    def register(self, incarnation: IncarnationId) -> None:
        if self._incarnation != incarnation:
            pid, backend_start = self.backend
            at = {"incarnation": incarnation, "pid": pid, "backend_start": backend_start}
            self.connection.execute(statement("register_backend"), at)
            self._incarnation = incarnation

    def give_back(self) -> None:
        try:
            if not self.connection.closed:
                self.connection.rollback()
                self.connection.autocommit = True
        except psycopg.Error:
            self.connection.close()


class PostgresDatabaseSteps:
    """`ports.DatabaseSteps` of one incarnation."""

    def __init__(self, pool: TransactionPool, incarnation: IncarnationId, on_sent: Callable[[], None]) -> None:
        self._pool = pool
        self.incarnation: Final = incarnation
        self.sent: Final = on_sent

    @contextmanager
    def begin(self, run: RunId, step: str, attempt: int, *, command: uuid.UUID) -> Iterator[_Open]:
        """Begin a transaction; it is rolled back where it is left without a commit.  Raise `Unavailable`."""
        with self._pool.held(self.incarnation) as held:
            of = {
                "incarnation": self.incarnation,
                "run": uuid.UUID(run),
                "step": step,
                "attempt": attempt,
                "command": command,
            }
            yield _reached(lambda: _Open(self._pool, held, of))


class _Open:
    """`ports.OpenTransaction`."""

    def __init__(self, pool: TransactionPool, held: _Held, of: dict[str, object]) -> None:
        self._pool = pool
        self._held = held
        self.connection: Final[Any] = held.connection
        self._of = of
        self._mark = secrets.token_hex(8)
        held.connection.autocommit = False
        held.connection.execute(f"SET LOCAL kronos.step = '{self._mark}'")

    @property
    def is_lost(self) -> bool:
        return bool(self.connection.closed)

    def commit(self, body: bytes) -> None:
        self._check_untouched()
        connection, at = self._held.connection, self._of
        with connection.pipeline():
            connection.execute(statement("fence"), at)
            alive = connection.execute(statement("check_alive_in_step"), at).fetchone()
        if alive is None:
            raise LeaseLost(f"incarnation {at['incarnation']} was declared dead: nothing of step {at['step']!r} stays")
        if connection.execute(statement("send_step_outcome"), {**at, "body": body}).fetchone() is None:
            raise Cancelled(f"the run of step {at['step']!r} has ended or changed hands: nothing of the step stays")
        try:
            connection.commit()
        except (psycopg.OperationalError, psycopg.InterfaceError):
            if not connection.closed:
                raise  # a serialization failure, say: the database has answered
            if not self._happened():
                raise

    def _check_untouched(self) -> None:
        connection, step = self._held.connection, self._of["step"]
        if connection.info.transaction_status is TransactionStatus.INERROR:
            raise InvalidInput(f"step {step!r} went on after a statement of its transaction had failed: let it raise")
        (mark,) = cast("tuple[str]", connection.execute("SELECT current_setting('kronos.step', true)").fetchone())
        if mark != self._mark:
            raise InvalidInput(
                f"step {step!r} ended its transaction itself: leave that to Kronos, which commits it with the outcome"
            )

    def _happened(self) -> bool:
        pid, backend_start = self._held.backend
        while True:
            try:
                with self._pool.plain() as connection:
                    old = connection.execute(statement("find_backend"), {"pid": pid, "backend_start": backend_start})
                    if old.fetchone() is None:  # else its COMMIT may still happen
                        return connection.execute(statement("find_step_outcome"), self._of).fetchone() is not None
            except (Unavailable, psycopg.OperationalError, psycopg.InterfaceError):
                pass  # it is asked again below: the worker's own lease decides for how long
            self._pool.pause()
