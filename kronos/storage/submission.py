"""What anybody may ask for: register a workflow, start a run, send it a command.

Rule: a request is one statement and is durable when the call returns; the owner turns it into events.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import cast

import msgspec
import psycopg
from psycopg import errors as pg

from kronos.core.graph import encode_graph
from kronos.kernel.ids import DefinitionId, RunId
from kronos.ports.history import Definition
from kronos.ports.queue import BlobWrite, RunRequest
from kronos.storage.asking import asking
from kronos.storage.database import Session
from kronos.storage.flushing import write_blobs
from kronos.storage.notices import announce
from kronos.storage.statements import statement

__all__ = ["Submission", "started", "starting"]

_encode = msgspec.json.Encoder(order="sorted").encode


class Submission:
    """The writing side of a client."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def register(self, definition: Definition, sources: dict[str, bytes]) -> None:
        """List `definition` and keep its captured `sources` (blob hash to bytes)."""
        row = {
            "id": definition.id,
            "workflow": definition.workflow,
            "version": definition.version,
            "graph": encode_graph(definition.graph),
            "input_schema": definition.input_schema,
            "codes": _encode(definition.codes),
            "sources": _encode(definition.sources),
            "environment": _encode(definition.environment),
            "retention": definition.graph.retention,
        }
        blobs = [BlobWrite(name, data, RunId(definition.id)) for name, data in sources.items()]
        with self._session.transaction() as connection:
            if blobs:
                write_blobs(connection, blobs, "definition")
            connection.execute(statement("register_definition"), row)

    def start(self, request: RunRequest, *, conn: object | None = None) -> RunId:
        """Record a new run and wake the workers, in the caller's transaction where `conn` is given."""
        if conn is not None:
            with asking(self._session, conn) as cursor:
                return started(cursor.execute(*starting(request)))
        with self._session.connection() as connection, connection.pipeline():
            run = started(connection.execute(*starting(request)))
            announce(connection, "runs")
        return run

    def start_many(
        self, definition: DefinitionId, inputs: list[bytes], *, timeout_ms: int | None = None
    ) -> list[RunId]:
        """Record many runs of one workflow in one transaction, in the order of `inputs`."""
        at = {"definition": definition, "inputs": inputs, "timeout_ms": timeout_ms, "retention": None}
        with self._session.transaction() as connection:
            rows = connection.execute(statement("start_runs"), at).fetchall()
            announce(connection, "runs")
        return [RunId(str(row[0])) for row in rows]

    def send(self, run_id: RunId, kind: str, body: bytes, *, command_id: uuid.UUID | None = None) -> bool:
        """Put a command into a run's inbox; return whether it is new there and the run open."""
        at = {"run": run_id, "command": command_id or uuid.uuid4(), "kind": kind, "body": body}
        try:
            return self._send(at)
        except pg.UniqueViolation:  # its first sending was committed while this one waited for the run: it sees it now
            return self._send(at)

    def _send(self, at: dict[str, object]) -> bool:
        with self._session.transaction() as connection:
            sent = connection.execute(statement("send_to_inbox"), at).fetchone() is not None
            announce(connection, "inbox")
        return sent

    def sent(self, command_id: uuid.UUID) -> bytes | None:
        """Return the body of a command that waits in an inbox."""
        with self._session.connection() as connection:
            row = connection.execute(statement("read_command"), {"command": command_id}).fetchone()
        return None if row is None else cast("bytes", row[0])

    def send_all(self, runs: Sequence[RunId], kind: str, body: bytes) -> list[RunId]:
        """Put one command into many inboxes; return which runs were open and took it."""
        at = {"runs": [uuid.UUID(run) for run in runs], "kind": kind, "body": body}
        with self._session.transaction() as connection:
            rows = connection.execute(statement("send_to_inboxes"), at).fetchall()
            announce(connection, "inbox")
        return [RunId(str(row[0])) for row in rows]


def starting(request: RunRequest) -> tuple[str, dict[str, object]]:
    """Return the statement that records `request`, and its parameters."""
    at: dict[str, object] = {
        "definition": request.definition,
        "input": request.input,
        "timeout_ms": request.timeout_ms,
        "retention": request.retention,
    }
    if request.attributes is None:
        return statement("start_run"), at
    return statement("start_run_with_attributes"), at | {"attributes": request.attributes.decode()}


def started(cursor: psycopg.Cursor[tuple[object, ...]]) -> RunId:
    """Return the run that the statement of `starting` recorded."""
    return RunId(str(cast("tuple[uuid.UUID]", cursor.fetchone())[0]))
