"""The commit path: one transaction a flush.

Rule 1: everything is encoded before BEGIN; nothing in a transaction waits for Python.
Rule 2: fence, then alive, then the ends of runs, then COPY: a run with an unseen inbox row stays open and the event
        that would have ended it is left out of the same transaction.
Rule 3: when the connection dies at COMMIT, nobody guesses.  The flush's own row says whether it happened, and is
        asked for only after the old backend is gone.  (A transaction id is no proof: after a crash Postgres issues
        unflushed ids again.)
Rule 4: a value that the database refuses costs its own run, not the others in the batch.
"""

from __future__ import annotations

import itertools
import uuid
from datetime import datetime
from typing import Final, cast

import psycopg
from psycopg import errors as pg

from kronos.core.events import Kind
from kronos.errors import Unavailable
from kronos.kernel.ids import IncarnationId
from kronos.ports.queue import Flush, Verdict
from kronos.storage.copying import encode_rows
from kronos.storage.database import LINK, Connection, Link, take_role
from kronos.storage.flushing import begun, copy_rows
from kronos.storage.statements import statement

__all__ = ["Committer"]

RECONNECT_S: Final = 0.1

_parts = itertools.count(1)
"""Numbers of the parts of a bisected flush: negative, unique in this process."""

_ENDS: Final = frozenset({Kind.RUN_CONTINUED, Kind.RUN_COMPLETED, Kind.RUN_FAILED, Kind.RUN_CANCELLED})


class Committer:
    """One connection and the flushes that go through it, one at a time."""

    def __init__(self, url: str, *, link: Link = LINK) -> None:
        self._url = url
        self._link = link
        self._connection: Connection | None = None
        self._backend: tuple[int, datetime] | None = None
        self._incarnation: IncarnationId | None = None
        self._closing = False

    def commit(self, incarnation: IncarnationId, flush: Flush) -> Verdict:
        """Commit `flush` exactly once.  Blocks while the database is away: the caller's lease decides how long.

        Raises `LeaseLost` when the incarnation is dead: nothing of the flush was written then.
        """
        unsure = False
        while True:
            try:
                connection = self._open(incarnation)
                if unsure and self._happened(connection, incarnation, flush.number):
                    kept = self._still_kept(connection, incarnation, flush)
                    return Verdict(self._still_open(connection, flush), {}, kept)
                unsure = False
                return self._attempt(connection, incarnation, flush)
            except (pg.DataError, pg.IntegrityError, pg.ProgramLimitExceeded):
                self._drop()
                return self._bisect(incarnation, flush)
            except (Unavailable, psycopg.OperationalError, psycopg.InterfaceError):
                unsure = True
                self._drop()
                if self._closing:
                    raise
                self._link.pause(RECONNECT_S)

    def _attempt(self, connection: Connection, incarnation: IncarnationId, flush: Flush) -> Verdict:
        encoded = encode_rows(flush.rows)
        with begun(connection, incarnation, flush) as (refused, kept):
            if refused:
                encoded = encode_rows(row for row in flush.rows if row.run not in refused or row.kind not in _ENDS)
            if flush.rows:
                copy_rows(connection, encoded)
        return Verdict(refused, {}, kept)

    def _happened(self, connection: Connection, incarnation: IncarnationId, number: int) -> bool:
        at = {"incarnation": incarnation, "number": number}
        return connection.execute(statement("find_flush"), at).fetchone() is not None

    def _still_open(self, connection: Connection, flush: Flush) -> frozenset[uuid.UUID]:
        at = {"runs": [head.run for head in flush.ended]}
        rows = connection.execute(statement("find_open_runs"), at).fetchall()
        return frozenset(cast("uuid.UUID", row[0]) for row in rows)

    def _bisect(self, incarnation: IncarnationId, flush: Flush) -> Verdict:
        """Commit run by run in halves until the guilty one stands alone."""
        heads = [*flush.ended, *flush.noted, *(each.head for each in flush.parked)]
        rows, offers = {row.run for row in flush.rows}, {each.run for each in flush.offered}
        runs = sorted(rows | offers | {head.run for head in heads})
        if len(runs) <= 1:
            try:
                return self._attempt(self._open(incarnation), incarnation, flush)
            except (pg.DataError, pg.IntegrityError, pg.ProgramLimitExceeded) as error:
                self._drop()
                return Verdict(frozenset(), dict.fromkeys(runs, str(error).splitlines()[0]))
        refused, kept = frozenset[uuid.UUID](), frozenset[uuid.UUID]()
        rejected: dict[uuid.UUID, str] = {}
        for half in (set(runs[: len(runs) // 2]), set(runs[len(runs) // 2 :])):
            verdict = self.commit(incarnation, _only(flush, half, number=-next(_parts)))
            refused |= verdict.refused
            kept |= verdict.kept
            rejected |= verdict.rejected
        return Verdict(refused, rejected, kept)

    def _still_kept(self, connection: Connection, incarnation: IncarnationId, flush: Flush) -> frozenset[uuid.UUID]:
        runs, claims = [each.head.run for each in flush.parked], [each.claims for each in flush.parked]
        at = {"incarnation": incarnation, "runs": runs, "claims": claims}
        return frozenset(cast("uuid.UUID", row[0]) for row in connection.execute(statement("find_kept_runs"), at))

    def _open(self, incarnation: IncarnationId) -> Connection:
        if self._connection is None:
            connection = self._link.connect(self._url, purpose="flush", role=False)
            self._wait_for_old_backend(connection)
            row = connection.execute(statement("find_own_backend")).fetchone()
            self._backend = cast("tuple[int, datetime]", row)
            take_role(connection)
            self._connection = connection
            self._incarnation = None
        if self._incarnation != incarnation:
            assert self._backend is not None, "an open connection has a backend"
            pid, backend_start = self._backend
            at = {"incarnation": incarnation, "pid": pid, "backend_start": backend_start}
            self._connection.execute(statement("register_backend"), at)
            self._incarnation = incarnation
        return self._connection

    def _wait_for_old_backend(self, connection: Connection) -> None:
        """Wait until the backend of the broken connection is gone: until then its COMMIT may still happen."""
        if self._backend is None:
            return
        at = {"pid": self._backend[0], "backend_start": self._backend[1]}
        while connection.execute(statement("find_backend"), at).fetchone() is not None:
            self._link.pause(RECONNECT_S)
        self._backend = None

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Stop waiting for a database that is away, and close the connection."""
        self._closing = True
        self._drop()


def _only(flush: Flush, runs: set[uuid.UUID], *, number: int) -> Flush:
    names = {str(run) for run in runs}
    return Flush(
        number=number,
        rows=[row for row in flush.rows if row.run in runs],
        ended=[head for head in flush.ended if head.run in runs],
        noted=[head for head in flush.noted if head.run in runs],
        parked=[each for each in flush.parked if each.head.run in runs],
        blobs=[blob for blob in flush.blobs if blob.run_id in names],
        dead=[each for each in flush.dead if each.run in runs],
        drained=flush.drained,
        drained_by_end=flush.drained_by_end,
        attributes={run: given for run, given in flush.attributes.items() if run in runs},
        starts=[each for each in flush.starts if each.by in runs],
        offered=[each for each in flush.offered if each.run in runs],
        withdrawn=[each for each in flush.withdrawn if each[0] in runs],
    )
