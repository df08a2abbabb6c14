"""Connections: how they are opened, which role they take, and what a broken one turns into.

Rule 1: work connections SET ROLE kronos_runtime, which cannot change history; where the role is not to be had the
        triggers alone hold.
Rule 2: a connection that fails is thrown away, never reused; a `Session` opens the next one, and sees before it asks
        whether the server left meanwhile: a request that was never sent fails nobody.
Rule 3: no message shows a password.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import PipelineStatus, TransactionStatus

from kronos.errors import InvalidInput, Unavailable

__all__ = [
    "LINK",
    "ROLE",
    "SUPPORTED",
    "Connect",
    "Connection",
    "Connections",
    "Link",
    "Session",
    "committing",
    "connect",
    "describe",
    "take_role",
]

ROLE: Final = "kronos_runtime"
SUPPORTED: Final = range(14, 19)
CONNECT_TIMEOUT_S: Final = 5
LOCK_TIMEOUT_MS: Final = 2_000
DEAD_PEER_MS: Final = 4_000
"""TCP gives up a silent peer below the default lease, so that a partitioned worker learns of it."""

Connection = psycopg.Connection[tuple[object, ...]]


def describe(url: str) -> str:
    """Return host, port and database of `url`, without user and password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        return "the given DATABASE_URL"
    return f"{parts.get('host', 'local socket')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def connect(url: str, *, purpose: str, role: bool = True, autocommit: bool = True) -> Connection:
    """Open a connection named `kronos PURPOSE`; raise `Unavailable` naming host and port."""
    try:
        connection = psycopg.connect(
            url,
            autocommit=autocommit,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name=f"kronos {purpose}",
            options=f"-c lock_timeout={LOCK_TIMEOUT_MS} -c timezone=UTC -c jit=off",
            keepalives=1,
            keepalives_idle=2,
            keepalives_interval=1,
            keepalives_count=2,
            tcp_user_timeout=DEAD_PEER_MS,
        )
    except psycopg.ProgrammingError:
        raise InvalidInput(
            "DATABASE_URL is not a valid connection string: write it as postgresql://user:password@host:5432/database",
            field="DATABASE_URL",
        ) from None
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise Unavailable(
            f"the database at {describe(url)} does not answer: {reason}. "
            "Check DATABASE_URL, or unset it to use the embedded server",
            field="DATABASE_URL",
        ) from None
    version = connection.info.server_version // 10_000
    if version not in SUPPORTED:
        connection.close()
        raise Unavailable(
            f"the database at {describe(url)} is PostgreSQL {version}; Kronos needs {SUPPORTED[0]} to {SUPPORTED[-1]}",
            field="DATABASE_URL",
            value=version,
        )
    if role:
        take_role(connection)
    return connection


def take_role(connection: Connection) -> None:
    """Give up the right to change history on this connection, where the role exists."""
    try:
        connection.execute(f"SET ROLE {ROLE}")
    except (pg.InvalidParameterValue, pg.UndefinedObject, pg.InsufficientPrivilege):
        if not connection.autocommit:
            connection.rollback()


@contextmanager
def committing(connection: Connection) -> Iterator[None]:
    """Commit the transaction that the block begins itself, in one pipeline with what it says first, or roll it back."""
    try:
        yield
        connection.commit()
    except BaseException:
        with suppress(psycopg.Error):  # a broken connection has rolled back already
            connection.rollback()
        raise


def is_left(connection: Connection) -> bool:
    """Whether the server closed a connection while nobody used it, as one that restarts does: it has said so by now."""
    if connection.closed:
        return True
    pgconn = connection.pgconn
    if pgconn.transaction_status != TransactionStatus.IDLE or pgconn.pipeline_status != PipelineStatus.OFF:
        return False
    said = select.poll()
    said.register(pgconn.socket, select.POLLIN)
    try:
        while said.poll(0):
            pgconn.consume_input()
    except psycopg.OperationalError:
        return True
    return False


class Connect(Protocol):
    """How connections are opened: `connect`, or what a simulation puts in its place."""

    def __call__(self, url: str, *, purpose: str, role: bool = True, autocommit: bool = True) -> Connection:
        """Open a connection; raise `Unavailable`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Link:
    """How a store reaches Postgres, sees that it was left, pauses, measures time (seconds), keeps its threads apart.  A
    simulation gives its own.
    """

    connect: Connect = connect
    is_left: Callable[[Connection], bool] = is_left
    pause: Callable[[float], None] = time.sleep
    lock: Callable[[], AbstractContextManager[object]] = threading.RLock
    monotonic: Callable[[], float] = time.monotonic


LINK: Final = Link()


class Connections(Protocol):
    """Where connections are to be had: a `Session`, or a few `Readers`."""

    def connection(self) -> AbstractContextManager[Connection]:
        """Yield a connection in autocommit mode; raise `Unavailable` when it breaks."""
        ...

    def transaction(self) -> AbstractContextManager[Connection]:
        """Yield a connection inside a transaction."""
        ...


class Session:
    """One connection for many threads, one transaction at a time; reopened after a failure."""

    def __init__(self, url: str, *, purpose: str, link: Link = LINK) -> None:
        self._url = url
        self._link = link
        self._purpose = purpose
        self._lock = link.lock()
        self._connection: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield the connection inside a transaction; raise `Unavailable` when the connection breaks."""
        with self.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Yield the connection in autocommit mode; raise `Unavailable` when it breaks or a lock is not to be had."""
        with self._lock:
            if self._connection is not None and self._link.is_left(self._connection):
                self.close()
            if self._connection is None or self._connection.closed:
                self._connection = self._link.connect(self._url, purpose=self._purpose)
            try:
                yield self._connection
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if isinstance(error, pg.LockNotAvailable) and not self._connection.broken:
                    raise Unavailable(
                        f"another transaction has held what this needs for {LOCK_TIMEOUT_MS} ms: try again",
                        reason="locked",
                    ) from error
                if isinstance(error, pg.QueryCanceled) and not self._connection.broken:
                    raise
                self.close()
                raise Unavailable(
                    f"the connection to the database at {describe(self._url)} was lost ({type(error).__name__})"
                ) from error

    def close(self) -> None:
        """Drop the connection; the next use opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
