"""Histories that nobody keeps any more go, a whole partition at a time.

Rule 1: a partition goes when all its runs have ended and their class keeps none of them: never a part of one.
Rule 2: what surviving forks share of its runs is archived before.  Forking locks its parent, expiring excludes that.
Rule 3: each step is noted when it is done and may be done twice: whoever is killed, the next one goes on.
Rule 4: DDL needs full rights and so a connection of its own; it waits for locks `LOCK_TIMEOUT_MS` at most, and is tried
        again at the next turn.  One process at a time.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Final, NamedTuple, cast

import msgspec
from psycopg import errors as pg
from psycopg import sql

from kronos.core.events import Event, read_event
from kronos.errors import InvalidInput, Unavailable
from kronos.kernel.hashing import content_hash
from kronos.kernel.ids import RunId
from kronos.ports.queue import BlobWrite
from kronos.storage.archives import ArchivedRow, encode_archive
from kronos.storage.database import LINK, Connection, Link
from kronos.storage.flushing import write_blobs
from kronos.storage.statements import statement

__all__ = ["Pinned", "Retention", "RetentionClass"]

BATCH: Final = 1_000
"""Runs that are marked in one transaction."""
_LOCK: Final = 7307
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
_BLOB: Final = re.compile(rb'"\$blob":"([0-9a-f]{64})"')


class RetentionClass(msgspec.Struct, frozen=True, kw_only=True):
    """How long runs of one class are kept after their end (s; None: for ever), and how many have one still or no more.

    `hold`: tables of its detached partitions stay until they are exported and dropped by hand.
    """

    name: str
    keep_s: float | None
    hold: bool
    runs: int
    expired: int


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """A partition that is due; `pins` runs keep it, such as `run`, which is `phase`; 0 where nothing does."""

    leaf: str
    pins: int
    run: str | None
    phase: str | None


class _Retiring(NamedTuple):
    leaf: str
    retention_class: int
    low: uuid.UUID
    high: uuid.UUID
    is_detached: bool
    is_forgotten: bool
    hold: bool
    class_name: str

    @property
    def at(self) -> dict[str, Any]:
        """The parameters that name it."""
        return {"leaf": self.leaf, "class": self.retention_class, "low": self.low, "high": self.high}


class Retention:
    """Classes, and what becomes of partitions that are due."""

    def __init__(self, url: str, *, link: Link = LINK) -> None:
        self._url = url
        self._link = link
        self._known = {"standard"}

    # ── classes ──

    def classes(self) -> list[RetentionClass]:
        """Return every class."""
        with self._connected() as connection:
            rows = _rows(connection, "list_classes")
        return [RetentionClass(name=r[0], keep_s=r[1], hold=r[2], runs=r[3], expired=r[4]) for r in rows]

    def set(self, name: str, *, keep_s: float | None, hold: bool = False) -> None:
        """Make a class, or change how long it keeps (s; None: for ever); its partitions are made at once."""
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"retention class {name!r}: small letters, digits and _, beginning with a letter, 31 at most",
                field="name",
                value=name,
            )
        if keep_s is not None and keep_s <= 0:
            raise InvalidInput(f"keep {keep_s:g} s is not positive", field="keep", value=keep_s)
        with self._connected() as connection:
            at = {"name": name, "keep_s": keep_s, "hold": hold}
            connection.execute(statement("retention/set_class"), at)
            connection.execute(statement("ensure_partitions"))

    def check(self, name: str) -> None:
        """Raise `InvalidInput` where there is no such class."""
        if name in self._known:
            return
        known = [each.name for each in self.classes()]
        self._known |= set(known)
        if name not in self._known:
            raise InvalidInput(
                f"retention class {name!r} is unknown; known: {', '.join(known)}. "
                f"Make it: kronos retention set {name} --keep 30d",
                field="retention",
                value=name,
            )

    def due(self) -> list[Pinned]:
        """Return the partitions whose time has come, and what keeps them."""
        with self._connected() as connection:
            rows = _rows(connection, "find_due")
        return [Pinned(leaf=r[0], pins=r[4], run=r[5], phase=r[6]) for r in rows]

    # ── expiring ──

    def turn(self) -> str | None:
        """Bring one partition to its end; return its name, None where nothing is due or another process is at it.

        Raises `Unavailable` where somebody uses the partition so that it cannot be detached now.
        """
        with self._connected() as connection:
            if connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone() != (True,):
                return None
            retiring = self._next(connection)
            if retiring is None:
                return None
            if not retiring.is_detached:
                while self._expire_batch(connection, retiring):
                    continue
                _detach(connection, retiring.leaf)
                connection.execute(statement("retention/note_detached"), retiring.at)
            if not retiring.hold:
                self._remove(connection, retiring)
            return retiring.leaf

    def run(self) -> list[str]:
        """Bring every partition that is due to its end; return their names."""
        gone: list[str] = []
        while (leaf := self.turn()) is not None:
            gone.append(leaf)
        return gone

    def held(self) -> list[str]:
        """Return the detached partitions whose tables are still there."""
        with self._connected() as connection:
            return [row[0] for row in _rows(connection, "find_held")]

    def held_events(self, leaf: str) -> Iterator[tuple[RunId, Iterator[Event]]]:
        """Yield the runs of a detached partition with their own events, in order; raise `InvalidInput` for another."""
        with self._connected() as connection:
            self._find_held(connection, leaf)
            query = sql.SQL(
                "SELECT run_id::text, seq, count, kind::text, step, attempt, at_ns, body FROM kronos.{} ORDER BY 1, 2"
            )
            with connection.transaction(), connection.cursor(name="held", binary=True) as cursor:
                cursor.execute(query.format(sql.Identifier(leaf)))
                for run_id, rows in groupby(cast("Iterator[tuple[Any, ...]]", cursor), key=lambda row: row[0]):
                    yield RunId(run_id), (read_event(*row[1:]) for row in rows)

    def drop(self, leaf: str) -> None:
        """Drop the table of a detached partition; raise `InvalidInput` for another."""
        with self._connected() as connection:
            self._remove(connection, self._find_held(connection, leaf))

    @staticmethod
    def _find_held(connection: Connection, leaf: str) -> _Retiring:
        for row in _rows(connection, "find_held"):
            if row[0] == leaf:
                return _Retiring(*row)
        raise InvalidInput(f"{leaf!r} is no detached partition", field="partition", value=leaf)

    def _remove(self, connection: Connection, retiring: _Retiring) -> None:
        if not retiring.is_forgotten:
            self._forget(connection, retiring)
        _drop(connection, retiring.leaf)

    def _next(self, connection: Connection) -> _Retiring | None:
        rows = _rows(connection, "find_retiring")
        if not rows:
            for leaf, retention_class, low, high, pins, _, _ in _rows(connection, "find_due"):
                if not pins:
                    at = {"leaf": leaf, "class": retention_class, "low": low, "high": high}
                    connection.execute(statement("retention/begin_retiring"), at)
                    rows = _rows(connection, "find_retiring")
                    break
        return _Retiring(*rows[0]) if rows else None

    def _expire_batch(self, connection: Connection, retiring: _Retiring) -> bool:
        with connection.transaction():
            at = {**retiring.at, "limit": BATCH}
            runs = [run for (run,) in _rows(connection, "lock_expiring", at)]
            if not runs:
                return False
            for ancestor, seq in _rows(connection, "find_needed_prefixes", {**at, "runs": runs}):
                _archive(connection, retiring, ancestor, seq)
            connection.execute(statement("retention/expire_runs"), {"runs": runs})
        return True

    def _forget(self, connection: Connection, retiring: _Retiring) -> None:
        with connection.transaction():
            for name in ("forget_ancestry", "forget_references", "forget_recordings", "note_forgotten"):
                connection.execute(statement(f"retention/{name}"), retiring.at)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with self._link.connect(self._url, purpose="retention", role=False) as connection:
            yield connection


def _archive(connection: Connection, retiring: _Retiring, run: uuid.UUID, seq: int) -> None:
    at = {**retiring.at, "run": run, "seq": seq}
    rows = [ArchivedRow(*row) for row in _rows(connection, "read_prefix", at)]
    if not rows:
        return
    data, owner = encode_archive(rows), RunId(str(run))
    blob = content_hash(data)
    write_blobs(connection, [BlobWrite(blob, data, owner)], "archive")
    connection.execute(statement("retention/add_archive"), {**at, "blob": bytes.fromhex(blob)})
    named = sorted({name for row in rows for name in _BLOB.findall(row.body)})
    refers = {"blobs": [bytes.fromhex(name.decode()) for name in named], "kinds": ["archive"] * len(named)}
    connection.execute(statement("refer_blobs"), {**refers, "owners": [owner] * len(named)})


def _detach(connection: Connection, leaf: str) -> None:
    try:
        _take_out(connection, leaf)
    except pg.LockNotAvailable:
        raise Unavailable(f"{leaf} is in use and cannot be detached now; it is tried again", partition=leaf) from None


def _take_out(connection: Connection, leaf: str) -> None:
    for parent, is_pending in _rows(connection, "find_parent", {"leaf": leaf}):
        how = "FINALIZE" if is_pending else "CONCURRENTLY"
        detach = sql.SQL("ALTER TABLE kronos.{} DETACH PARTITION kronos.{} " + how)
        connection.execute(detach.format(sql.Identifier(parent), sql.Identifier(leaf)))


def _drop(connection: Connection, leaf: str) -> None:
    with connection.transaction():
        connection.execute(sql.SQL("DROP TABLE IF EXISTS kronos.{}").format(sql.Identifier(leaf)))
        connection.execute(statement("retention/note_dropped"), {"leaf": leaf})


def _rows(connection: Connection, name: str, at: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    return connection.execute(statement(f"retention/{name}"), at).fetchall()
