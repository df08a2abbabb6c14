"""Jobs, queues and dead letters in Postgres, as whoever asks for them sees them.

Rule 1: a request is one transaction: one of ours, or the caller's own, and then it stands or falls with it.
Rule 2: one idempotency key is one job, however many ask at once: the unique index decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

import msgspec

from kronos.core.jobs import JobState
from kronos.errors import Conflict
from kronos.kernel.ids import JobId
from kronos.ports.jobbook import DeadGroup, DeadItem, FailedAttempt, JobFilter, JobRecord, KeyState, NewJob, QueueState
from kronos.storage.asking import asking
from kronos.storage.database import Session
from kronos.storage.failures import bytes_of_type, failure_in, read_failure, type_of_bytes
from kronos.storage.notices import announce
from kronos.storage.statements import statement

__all__ = ["JobBook"]

KEY_ATTEMPTS: Final = 10


class JobBook:
    """The asking side."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # ── asking for work ──

    def register(self, schemas: dict[str, bytes]) -> None:
        """List targets with the JSON Schema of their arguments."""
        ordered = dict(sorted(schemas.items()))
        with self._session.connection() as connection:
            at = {"targets": list(ordered), "arguments": list(ordered.values())}
            connection.execute(statement("register_targets"), at)

    def schema_of(self, target: str) -> bytes | None:
        """Return the JSON Schema of a target's arguments, None when nobody has listed it."""
        with self._session.connection() as connection:
            row = connection.execute(statement("find_target"), {"target": target}).fetchone()
        return None if row is None else cast("bytes", row[0])

    def targets(self) -> list[str]:
        """Return what is listed."""
        with self._session.connection() as connection:
            return [str(row[0]) for row in connection.execute(statement("list_targets")).fetchall()]

    def submit(self, jobs: Sequence[NewJob], *, conn: object | None = None) -> list[JobId]:
        """Record jobs without idempotency keys, in their order."""
        with asking(self._session, conn) as cursor:
            rows = cursor.execute(statement("insert_jobs"), _new(jobs)).fetchall()
        return [JobId(row[0]) for row in rows]

    def submit_once(self, job: NewJob, *, conn: object | None = None) -> JobId:
        """Record a job unless its idempotency key has one; raise `Conflict` when that one is of another kind."""
        at = {"idempotency_key": job.idempotency_key}
        with asking(self._session, conn) as cursor:
            cursor.execute(statement("free_idempotency_key"), at)
            for _ in range(KEY_ATTEMPTS):
                made = cursor.execute(statement("insert_jobs"), _new([job])).fetchone()
                if made is not None:
                    return JobId(made[0])
                known = cursor.execute(statement("find_keyed_job"), at).fetchone()
                if known is not None:
                    return _same(job, *known)
        raise Conflict(f"idempotency key {job.idempotency_key!r} comes and goes: try again", field="idempotency_key")

    def cancel(self, job: JobId, reason: str) -> JobState | None:
        """End a job that waits, ask for the end of one that runs; return what it was, None when it had ended."""
        with self._session.transaction() as connection:
            row = connection.execute(statement("cancel_job"), {"job": job, "reason": reason}).fetchone()
            announce(connection, "jobs")
        return None if row is None else JobState(cast("str", row[0]))

    # ── reading ──

    def get(self, job: JobId) -> JobRecord | None:
        """Return one job."""
        found = self._list({"ids": [job], "limit": 1})
        return found[0] if found else None

    def find(self, wanted: JobFilter) -> list[JobRecord]:
        """Return jobs, newest first."""
        states = None if wanted.states is None else [state.value for state in wanted.states]
        return self._list({**msgspec.structs.asdict(wanted), "states": states})

    def _list(self, at: dict[str, Any]) -> list[JobRecord]:
        everything = dict.fromkeys(("ids", "queue", "key", "target", "states", "before"))
        with self._session.connection() as connection:
            rows = connection.execute(statement("list_jobs"), {**everything, **at}).fetchall()
        return [_record(*row) for row in rows]

    def attempts(self, job: JobId) -> list[FailedAttempt]:
        """Return a job's failed attempts."""
        with self._session.connection() as connection:
            rows = connection.execute(statement("list_job_failures"), {"job": job}).fetchall()
        return [
            FailedAttempt(attempt=a, worker=w, started_at=s, finished_at=f, failure=read_failure(why))  # type: ignore[arg-type]
            for a, w, s, f, why in rows
        ]

    # ── queues ──

    def queues(self, queue: str | None = None) -> list[QueueState]:
        """Return every queue that has open jobs or of which something was said."""
        with self._session.connection() as connection:
            rows = connection.execute(statement("list_queues"), {"queue": queue}).fetchall()
        return [_queue(*row) for row in rows]

    def keys(self, queue: str) -> list[KeyState]:
        """Return the keys of a queue, busiest first."""
        with self._session.connection() as connection:
            rows = connection.execute(statement("list_queue_keys"), {"queue": queue}).fetchall()
        return [KeyState(key=key, pending=pending, running=running) for key, pending, running in rows]  # type: ignore[arg-type]

    def change(self, verb: str, at: dict[str, Any]) -> bool:
        """Pause, resume or limit a queue; return whether that changed something."""
        with self._session.transaction() as connection:
            done = connection.execute(statement(f"{verb}_queue"), at)
            announce(connection, "jobs")
        return done.rowcount > 0

    # ── dead letters ──

    def dead(self, at: dict[str, Any]) -> list[DeadItem]:
        """Return what waits for a decision."""
        everything = dict.fromkeys(("ids", "what", "queue"))
        error = None if at.get("error") is None else bytes_of_type(at["error"])
        with self._session.connection() as connection:
            rows = connection.execute(statement("list_dead"), {**everything, **at, "error": error}).fetchall()
        return [_dead(*row) for row in rows]

    def dead_groups(self) -> list[DeadGroup]:
        """Return what waits for a decision, counted by error."""
        with self._session.connection() as connection:
            rows = connection.execute(statement("group_dead")).fetchall()
        return [DeadGroup(kind=k, what=w, error=type_of_bytes(e), count=n, last=at) for k, w, e, n, at in rows]  # type: ignore[arg-type]

    def requeue(self, ids: Sequence[str]) -> dict[str, str]:
        """Try these again; return for each the id under which it goes on: a job's own, a run's successor."""
        with self._session.transaction() as connection:
            jobs = connection.execute(statement("requeue_dead_jobs"), {"ids": list(ids)}).fetchall()
            runs = connection.execute(statement("requeue_dead_runs"), {"ids": list(ids)}).fetchall()
            connection.execute("NOTIFY kronos_work")
        return {str(row[0]): str(row[1]) for row in (*jobs, *runs)}

    def discard(self, ids: Sequence[str], reason: str) -> list[str]:
        """Give these up for good; return those that were."""
        with self._session.transaction() as connection:
            rows = connection.execute(statement("discard_dead"), {"ids": list(ids), "reason": reason}).fetchall()
        return [str(row[0]) for row in rows]


def _new(jobs: Sequence[NewJob]) -> dict[str, Any]:
    return {
        "queues": [job.queue for job in jobs],
        "keys": [job.key for job in jobs],
        "targets": [job.target for job in jobs],
        "inputs": [job.input for job in jobs],
        "priorities": [job.priority for job in jobs],
        "delays_ms": [job.delay_ms for job in jobs],
        "dues": [_moment(job.due_ns) for job in jobs],
        "deadlines_ms": [job.deadline_ms for job in jobs],
        "deadlines": [_moment(job.deadline_ns) for job in jobs],
        "keeps_ms": [job.keep_ms for job in jobs],
        "idempotency_keys": [job.idempotency_key for job in jobs],
    }


def _moment(ns: int | None) -> datetime | None:
    return None if ns is None else datetime.fromtimestamp(ns / 1e9, UTC)


def _same(job: NewJob, known: str, target: str, given: bytes) -> JobId:
    if (target, given) != (job.target, job.input):
        raise Conflict(
            f"idempotency key {job.idempotency_key!r} belongs to job {known}, a call of {target} with "
            f"{'other arguments' if target == job.target else 'its own arguments'}: use another key",
            field="idempotency_key",
            value=job.idempotency_key,
        )
    return JobId(known)


_FIELDS: Final = JobRecord.__struct_fields__


def _record(*row: Any) -> JobRecord:
    values = dict(zip(_FIELDS, row, strict=True))
    values["state"] = JobState(values["state"])
    values["failure"] = failure_in(values["failure"])
    return JobRecord(**values)


def _queue(*row: Any) -> QueueState:
    values = dict(zip(QueueState.__struct_fields__, row, strict=True))
    values["rate_s"] = None if values["rate_s"] is None else values["rate_s"] / 1000
    return QueueState(**values)


def _dead(*row: Any) -> DeadItem:
    kind, name, what, queue, step, attempt, failure, _, at = row
    return DeadItem(
        kind=kind, id=name, what=what, queue=queue, step=step, attempt=attempt, failure=read_failure(failure), at=at
    )
