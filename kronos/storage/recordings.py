"""Journals and checkpoints of trading steps: segments in blobs, indexed by rows.

Rule: what is written for a run is written under the fence of its owner; a dead incarnation records nothing.
"""

from __future__ import annotations

from typing import Any, cast

from kronos.kernel.hashing import content_hash
from kronos.kernel.ids import BlobHash, IncarnationId, RunId, StepName
from kronos.ports.queue import BlobWrite
from kronos.ports.recordings import CheckpointRef, SegmentRef
from kronos.storage.database import Connections
from kronos.storage.fencing import fenced
from kronos.storage.flushing import write_blobs
from kronos.storage.statements import statement

__all__ = ["PostgresRecorder", "PostgresRecordings"]


class PostgresRecorder:
    """`ports.Recorder` for one attempt of one step."""

    def __init__(
        self, session: Connections, *, incarnation: IncarnationId, run_id: RunId, step: StepName, attempt: int
    ) -> None:
        self._session = session
        self._incarnation = incarnation
        self._key: dict[str, Any] = {"run": run_id, "step": step, "attempt": attempt}
        self._number = 0

    def segment(self, *, first_row: int, last_row: int, core_chain: bytes, user_chain: bytes, data: bytes) -> None:
        """Seal one journal segment."""
        row = {
            **self._key,
            "number": self._number,
            "first_row": first_row,
            "last_row": last_row,
            "core_chain": core_chain,
            "user_chain": user_chain,
        }
        self._write("add_segment", row, data, "journal", str(self._key["run"]))
        self._number += 1

    def checkpoint(self, *, row: int, data: bytes) -> None:
        """Keep a cached state."""
        owner = f"{self._key['run']}/{self._key['step']}"
        self._write("add_checkpoint", {**self._key, "row": row}, data, "checkpoint", owner)

    def _write(self, name: str, row: dict[str, Any], data: bytes, kind: str, owner: str) -> None:
        blob = content_hash(data)
        with self._session.transaction() as connection:
            fenced(connection, self._incarnation)
            write_blobs(connection, [BlobWrite(blob, data, RunId(owner))], kind)
            connection.execute(statement(name), {**row, "blob": bytes.fromhex(blob)})


class PostgresRecordings:
    """`ports.Recordings`."""

    def __init__(self, session: Connections) -> None:
        self._session = session

    def segments(self, run_id: RunId, step: StepName, attempt: int) -> list[SegmentRef]:
        """Return the sealed segments in order."""
        at = {"run": run_id, "step": step, "attempt": attempt}
        with self._session.connection() as connection:
            rows = connection.execute(statement("read_segments"), at).fetchall()
        return [
            SegmentRef(
                number=number,
                first_row=first,
                last_row=last,
                core_chain=core,
                user_chain=user,
                blob=BlobHash(blob),
            )
            for number, first, last, core, user, blob in cast("list[tuple[int, int, int, bytes, bytes, str]]", rows)
        ]

    def checkpoints(self, run_id: RunId, step: StepName, attempt: int) -> list[CheckpointRef]:
        """Return the cached states by ascending row."""
        at = {"run": run_id, "step": step, "attempt": attempt}
        with self._session.connection() as connection:
            rows = connection.execute(statement("read_checkpoints"), at).fetchall()
        return [CheckpointRef(row=row, blob=BlobHash(blob)) for row, blob in cast("list[tuple[int, str]]", rows)]

    def delete_checkpoints(self, run_id: RunId, step: StepName) -> int:
        """Forget every cached state of a step and return how many there were."""
        at = {"run": run_id, "step": step, "owner": f"{run_id}/{step}"}
        with self._session.transaction() as connection:
            row = connection.execute(statement("delete_checkpoints"), at).fetchone()
        return cast("tuple[int]", row)[0]
