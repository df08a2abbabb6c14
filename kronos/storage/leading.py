"""The leader's row, and the lock in front of it.

Rule 1: the row's lease and epoch are the truth; every transaction of a leader holds the epoch first (`led`).
Rule 2: the session lock only keeps candidates from contending; it proves nothing, and whoever keeps it beyond the lease
        (a half-open connection does) is ended.
Rule 3: behind a pooler in transaction mode a session lock belongs to nobody: two held connections that share a backend,
        or one that changes its own, are refused.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import psycopg
from psycopg import errors as pg

from kronos.errors import LeaseLost, Unavailable
from kronos.ports.leading import Candidacy, NodeId, Presence, Term
from kronos.storage.database import LINK, Connection, Link, Session, describe
from kronos.storage.statements import statement

__all__ = ["PostgresLeadership", "leading"]

OVERDUE_S: Final = 0.25
"""A lock that is still held this long after the lease of the leader ran out is taken from its holder."""
TAKEOVER_LOCK_MS: Final = 250
"""How long a takeover waits for transactions of the old leader before their connections are ended."""


def led(connection: Connection, term: Term) -> None:
    """Hold the epoch of `term` for the open transaction; raise `LeaseLost` when another leads."""
    if connection.execute(statement("hold_epoch"), {"epoch": term.epoch, "node": term.node}).fetchone() is None:
        raise LeaseLost(f"node {term.node} does not lead any more: epoch {term.epoch} is over")


class PostgresLeadership:
    """`ports.Leadership`; two held connections, one for the lock and one for the node's own row."""

    def __init__(self, url: str, *, link: Link = LINK) -> None:
        self._url = url
        self._link = link
        self._lead = Session(url, purpose="leader", link=link)
        self._life = Session(url, purpose="node", link=link)
        self._backends: dict[str, tuple[Connection, int]] = {}
        self._locked: Connection | None = None

    def join(self, *, kind: str, name: str, lease_s: float) -> NodeId:
        at = {"kind": kind, "name": name, "host": socket.gethostname(), "pid": os.getpid(), "lease_ms": lease_s * 1000}
        with self._lead.connection() as lead, self._life.connection() as life:
            for purpose, connection in (("leader", lead), ("node", life)):
                self._check_backend(purpose, connection, connection.info.backend_pid)
            (number,) = _one(life.execute(statement("join_nodes"), at).fetchone())
        return NodeId(number)

    def renew_presence(self, node: NodeId, presence: Presence) -> bool:
        at = {"node": node, "incarnation": presence.incarnation, "definitions": list(presence.definitions)}
        with self._life.connection() as connection:
            row = connection.execute(statement("renew_node"), at).fetchone()
            if row is not None:
                self._check_backend("node", connection, _one(row)[0])
        return row is not None

    def campaign(self, node: NodeId, lease_s: float) -> Candidacy:
        with self._lead.connection() as connection:
            _, holder, expired, left_s, pid = _one(connection.execute(statement("read_leader")).fetchone())
            self._check_backend("leader", connection, pid)
            if self._locked is not connection:
                (locked,) = _one(connection.execute(statement("lock_leadership")).fetchone())
                self._locked = connection if locked else None
            if self._locked is connection and (expired or holder == node):
                return self._take(connection, node, lease_s)
        if expired and left_s < -OVERDUE_S:
            self._end_old_leader()
        return Candidacy(None, left_s)

    def _take(self, connection: Connection, node: NodeId, lease_s: float) -> Candidacy:
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = {TAKEOVER_LOCK_MS}")
                row = connection.execute(statement("take_leadership"), {"node": node, "lease_s": lease_s}).fetchone()
        except pg.LockNotAvailable:  # a transaction of the old leader hangs: the next campaign finds the row free
            self._end_old_leader()
            return Candidacy(None, 0.0)
        return Candidacy(None if row is None else Term(node, _one(row)[0]), lease_s)

    def _end_old_leader(self) -> None:
        own = self._backends["leader"][1]
        try:
            with self._link.connect(self._url, purpose="maintenance", role=False) as connection:
                connection.execute(statement("end_leader"), {"own": own})
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unavailable(f"the old leader's connections could not be ended ({type(error).__name__})") from error

    def renew(self, term: Term, lease_s: float) -> bool:
        at = {"epoch": term.epoch, "node": term.node, "lease_s": lease_s}
        with self._lead.connection() as connection:
            if self._locked is not connection:
                return False  # the connection that held the lock broke: whoever holds it now is to lead
            row = connection.execute(statement("renew_leadership"), at).fetchone()
            if row is not None:
                self._check_backend("leader", connection, _one(row)[0])
        return row is not None

    def resign(self, term: Term) -> None:
        with self._lead.connection() as connection:
            connection.execute(statement("resign_leadership"), {"epoch": term.epoch, "node": term.node})

    def leave(self, node: NodeId) -> None:
        with self._life.connection() as connection:
            connection.execute(statement("leave_nodes"), {"node": node})

    def maintain(self) -> None:
        """Make the partitions of the coming weeks, on a connection that keeps its full rights."""
        with self._link.connect(self._url, purpose="partitions", role=False) as connection:
            connection.execute(statement("ensure_partitions"))
            connection.execute(statement("sweep_progress"))

    def forget_nodes(self) -> None:
        with self._life.connection() as connection:
            connection.execute(statement("forget_nodes"))

    def close(self) -> None:
        self._lead.close()
        self._life.close()

    def _check_backend(self, purpose: str, connection: Connection, pid: int) -> None:
        """Raise unless the backend that just answered is the one that answers again, and no other connection's."""
        (again,) = _one(connection.execute("SELECT pg_backend_pid()").fetchone())
        if len({pid, again, connection.info.backend_pid}) > 1:
            raise self._pooled(f"one connection was served by backend {pid} and by {again}")
        self._backends[purpose] = (connection, pid)
        for other, (held, known) in self._backends.items():
            if other != purpose and known == pid and not held.closed:
                raise self._pooled(f"two connections that are both held open were served by one backend, {pid}")

    def _pooled(self, what: str) -> Unavailable:
        return Unavailable(
            f"the database at {describe(self._url)} is behind a pooler in transaction mode: {what}. Kronos holds locks "
            "and listens on its sessions: connect to Postgres itself, or put the pooler into session mode",
            field="DATABASE_URL",
            reason="pooler",
        )


def _one(row: tuple[object, ...] | None) -> tuple[Any, ...]:
    assert row is not None, "this statement always returns a row"
    return cast("tuple[Any, ...]", row)


@contextmanager
def leading(session: Session, term: Term) -> Iterator[Connection]:
    """Yield the connection in a transaction of the leader; raise `LeaseLost` when another leads."""
    with session.transaction() as connection:
        led(connection, term)
        yield connection
