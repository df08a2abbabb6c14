"""Jobs in Postgres, as a worker sees them.

Rule 1: one transaction a turn: the fence, then what has ended, then claims: a limit is held against what is true then.
Rule 2: whatever a turn does names (job, worker, attempt), so that a turn may be sent twice after a lost answer.
Rule 3: queues with keys or limits are claimed by one worker at a time; the others by all at once, with SKIP LOCKED.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from kronos.core.jobs import CHUNK
from kronos.core.options import STEPS_QUEUE
from kronos.kernel.ids import DefinitionId, IncarnationId, JobId
from kronos.ports.jobs import ClaimedJob, Claims, Ended, FailedJob, FinishedJob, Lane, Room, SentSteps
from kronos.storage.database import LINK, Connection, Link, Session, committing
from kronos.storage.fencing import ask_fence, check_fence, fenced
from kronos.storage.notices import announce
from kronos.storage.statements import statement

__all__ = ["PostgresJobs"]

RESCAN_S: Final = 0.1
"""Claims start at the low-water mark; this often they look from the beginning, where a better rank may have come."""


class PostgresJobs:
    """`ports.JobStore` over Postgres; `queues` are those to claim from, None for all."""

    def __init__(self, url: str, *, queues: Sequence[str] | None = None, link: Link = LINK) -> None:
        self._session = Session(url, purpose="jobs", link=link)
        self._monotonic = link.monotonic
        self._queues = None if queues is None else list(queues)
        self._plain: list[str] = []
        """Queues that were without keys and limits the last time; a claim of one looks for itself."""
        self._low_water: dict[str, int] = {}
        self._rescan_at = 0.0

    def turn(self, incarnation: IncarnationId, ended: Ended, rooms: Sequence[Room]) -> Claims:
        """In one transaction: record what has ended, and claim more."""
        self._forget_marks()
        with self._session.connection() as connection, committing(connection):
            return self._turn(connection, incarnation, ended, rooms)

    def _turn(self, connection: Connection, incarnation: IncarnationId, ended: Ended, rooms: Sequence[Room]) -> Claims:
        """Ask for everything in one round trip; queues that were not plain the last time take another."""
        plain = self._plain
        with connection.pipeline():
            connection.execute("BEGIN")
            asked = ask_fence(connection, incarnation)
            _end(connection, incarnation, ended)
            looked = connection.execute(statement("find_lanes"), {"queues": self._queues}) if rooms else None
            sent = [
                (room, at, connection.execute(statement("claim_jobs"), at))
                for room in rooms
                for place, queue in enumerate(plain)
                if room.wants(queue)
                for at in (self._at(incarnation, queue, room, share=len(plain) - place),)
            ]
            check_fence(asked, incarnation)
        claims = Claims()
        left = {id(room): room.limit for room in rooms}
        for room, at, cursor in sent:
            left[id(room)] -= _weight(at["queue"]) * self._took(at, cursor.fetchall(), claims)
        lanes = [] if looked is None else [Lane(*row) for row in looked.fetchall()]  # type: ignore[arg-type]
        self._plain = [lane.queue for lane in lanes if lane.is_plain]
        rest = [lane for lane in lanes if not (lane.is_plain and lane.queue in plain)]
        claims.held_back = any(not room.wants(lane.queue) for lane in lanes for room in rooms)
        for room in rooms:
            for place, lane in enumerate(rest):
                wanted = room._replace(limit=left[id(room)])
                if wanted.limit > 0 and wanted.wants(lane.queue):
                    at = self._at(incarnation, lane.queue, wanted, share=len(rest) - place)
                    left[id(room)] -= _weight(lane.queue) * self._claim(connection, at, lane, claims)
        if rooms and not claims.jobs:
            claims.next_due_s = cast("tuple[float]", connection.execute(statement("find_next_due")).fetchone())[0]
        return claims

    def _at(self, incarnation: IncarnationId, queue: str, room: Room, *, share: int) -> dict[str, Any]:
        """Return the parameters of a claim of one `share`-th of the room."""
        return {
            "incarnation": incarnation,
            "queue": queue,
            "targets": room.targets,
            "limit": -(-room.limit // (share * _weight(queue))),
            "low_water": self._low_water.get(queue, 0),
        }

    def _claim(self, connection: Connection, at: dict[str, Any], lane: Lane, claims: Claims) -> int:
        if lane.is_plain:
            return self._took(at, connection.execute(statement("claim_jobs"), at).fetchall(), claims)
        with connection.pipeline():
            connection.execute(statement("lock_queue"), {"queue": lane.queue})
            rows = connection.execute(statement("claim_jobs_fairly"), {**at, "keys": lane.keys}).fetchall()
        claims.held_back |= lane.is_limited and len(rows) < at["limit"]
        claims.jobs += sorted((ClaimedJob(*row) for row in rows), key=_by_rank)  # type: ignore[arg-type]
        return len(rows)

    def _took(self, at: dict[str, Any], rows: list[tuple[object, ...]], claims: Claims) -> int:
        claimed = sorted((ClaimedJob(*row) for row in rows), key=_by_rank)  # type: ignore[arg-type]
        if len(claimed) == at["limit"]:
            self._low_water[at["queue"]] = claimed[-1].rank
        else:
            self._low_water.pop(at["queue"], None)
        claims.jobs += claimed
        return len(claimed)

    def _forget_marks(self) -> None:
        now = self._monotonic()
        if now >= self._rescan_at:
            self._rescan_at = now + RESCAN_S
            self._low_water.clear()

    def cancelled(self, incarnation: IncarnationId, kept: Sequence[JobId]) -> list[JobId]:
        """Return those of the jobs in hand whose end somebody asked for, or that are not ours any more."""
        at = {"incarnation": incarnation, "kept": list(kept)}
        with self._session.connection() as connection:
            rows = connection.execute(statement("find_cancelled_jobs"), at).fetchall()
        return [cast("JobId", row[0]) for row in rows]

    def shared(self, incarnation: IncarnationId) -> dict[DefinitionId, int]:
        """Return by how many other workers each definition is served."""
        with self._session.connection() as connection:
            found = connection.execute(statement("find_shared_definitions"), {"incarnation": incarnation}).fetchall()
        return dict(cast("list[tuple[DefinitionId, int]]", found))

    def release(self, incarnation: IncarnationId, *, kept: Sequence[JobId], begun: Sequence[JobId]) -> None:
        """Give back every job of this incarnation but `kept`; only those of `begun` have made an attempt."""
        with self._session.transaction() as connection:
            fenced(connection, incarnation)
            at = {"incarnation": incarnation, "kept": list(kept), "begun": list(begun)}
            connection.execute(statement("release_jobs"), at)

    def maintain(self) -> None:
        """Expire what came too late, forget what was kept long enough."""
        with self._session.connection() as connection:
            connection.execute(statement("expire_jobs"))
            connection.execute(statement("purge_jobs"))
            connection.execute(statement("sweep_step_jobs"))

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


def _by_rank(job: ClaimedJob) -> tuple[int, str]:
    return (job.rank, job.id)


def _weight(queue: str) -> int:
    """Return how many slots a job of `queue` may fill."""
    return CHUNK if queue == STEPS_QUEUE else 1


def _end(connection: Connection, incarnation: IncarnationId, ended: Ended) -> None:
    if ended.finished:
        connection.execute(statement("finish_jobs"), _finished(incarnation, ended.finished))
    if ended.failed:
        connection.execute(statement("fail_jobs"), _failed(incarnation, ended.failed))
    if ended.sent:
        connection.execute(statement("send_outcomes"), _sent(incarnation, ended.sent))
        announce(connection, "inbox")


def _sent(incarnation: IncarnationId, jobs: Sequence[SentSteps]) -> dict[str, object]:
    ordered = sorted(jobs, key=lambda job: job.id)
    return {
        "incarnation": incarnation,
        "jobs": [job.id for job in ordered],
        "attempts": [job.attempt for job in ordered],
        "commands": [job.command for job in ordered],
        "bodies": [job.body for job in ordered],
    }


def _finished(incarnation: IncarnationId, jobs: Sequence[FinishedJob]) -> dict[str, object]:
    ids, attempts, outputs, started, finished = zip(*sorted(jobs), strict=True)
    return {
        "incarnation": incarnation,
        "jobs": list(ids),
        "attempts": list(attempts),
        "outputs": list(outputs),
        "started": list(started),
        "finished": list(finished),
    }


def _failed(incarnation: IncarnationId, jobs: Sequence[FailedJob]) -> dict[str, object]:
    ordered = sorted(jobs, key=lambda job: job.id)
    return {
        "incarnation": incarnation,
        "jobs": [job.id for job in ordered],
        "attempts": [job.attempt for job in ordered],
        "states": [job.state for job in ordered],
        "dues": [job.due_ns for job in ordered],
        "failures": [job.failures for job in ordered],
        "whys": [job.failure for job in ordered],
        "started": [job.started_ns for job in ordered],
        "finished": [job.finished_ns for job in ordered],
    }
