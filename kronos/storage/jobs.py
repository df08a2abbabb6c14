"""Jobs in Postgres, as a worker sees them.

Rule 1: one transaction a turn: the fence, then what has ended, then claims: a limit is held against what is true then.
Rule 2: whatever a turn does names (job, worker, attempt), so that a turn may be sent twice after a lost answer.
Rule 3: queues with keys or limits are claimed by one worker at a time; the others by all at once, with SKIP LOCKED.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, cast

from kronos.kernel.ids import IncarnationId, JobId
from kronos.ports.jobs import ClaimedJob, Claims, FailedJob, FinishedJob, Lane, Wish
from kronos.storage.database import Connection, Session
from kronos.storage.fencing import fenced
from kronos.storage.statements import statement

__all__ = ["PostgresJobs"]

RESCAN_S: Final = 0.1
"""Claims start at the low-water mark; this often they look from the beginning, where a better rank may have come."""


class PostgresJobs:
    """`ports.JobStore` over Postgres; `queues` are those to claim from, None for all."""

    def __init__(self, url: str, *, queues: Sequence[str] | None = None) -> None:
        self._session = Session(url, purpose="jobs")
        self._queues = None if queues is None else list(queues)
        self._low_water: dict[str, int] = {}
        self._rescan_at = 0.0

    def turn(
        self,
        incarnation: IncarnationId,
        finished: Sequence[FinishedJob],
        failed: Sequence[FailedJob],
        wishes: Sequence[Wish],
    ) -> Claims:
        """In one transaction: record what has ended, and claim more."""
        with self._session.transaction() as connection:
            fenced(connection, incarnation)
            lanes = self._end(connection, incarnation, finished, failed, look=bool(wishes))
            claims = Claims()
            for wish in wishes:
                self._claim(connection, incarnation, wish, lanes, claims)
            if wishes and not claims.jobs:
                claims.next_due_s = cast("tuple[float]", connection.execute(statement("find_next_due")).fetchone())[0]
        return claims

    def _end(
        self,
        connection: Connection,
        incarnation: IncarnationId,
        finished: Sequence[FinishedJob],
        failed: Sequence[FailedJob],
        *,
        look: bool,
    ) -> list[Lane]:
        with connection.pipeline():
            if finished:
                connection.execute(statement("finish_jobs"), _finished(incarnation, finished))
            if failed:
                connection.execute(statement("fail_jobs"), _failed(incarnation, failed))
            if not look:
                return []
            found = connection.execute(statement("find_lanes"), {"queues": self._queues})
            return [Lane(*row) for row in found.fetchall()]  # type: ignore[arg-type]

    def _claim(
        self, connection: Connection, incarnation: IncarnationId, wish: Wish, lanes: list[Lane], claims: Claims
    ) -> None:
        """Share `wish.limit` out among the queues; what one leaves goes to those after it."""
        left = wish.limit
        self._forget_marks()
        for place, lane in enumerate(lanes):
            if not left:
                return
            share = -(-left // (len(lanes) - place))
            at = {"incarnation": incarnation, "queue": lane.queue, "targets": wish.targets, "limit": share}
            rows = self._claim_plain(connection, at) if lane.is_plain else _claim_fairly(connection, at, lane)
            claims.held_back |= lane.is_limited and len(rows) < share
            claims.jobs += rows
            left -= len(rows)

    def _claim_plain(self, connection: Connection, at: dict[str, Any]) -> list[ClaimedJob]:
        low_water = self._low_water.get(at["queue"], 0)
        rows = connection.execute(statement("claim_jobs"), {**at, "low_water": low_water}).fetchall()
        claimed = sorted((ClaimedJob(*row) for row in rows), key=_by_rank)  # type: ignore[arg-type]
        if len(claimed) == at["limit"]:
            self._low_water[at["queue"]] = claimed[-1].rank
        else:
            self._low_water.pop(at["queue"], None)
        return claimed

    def _forget_marks(self) -> None:
        now = time.monotonic()
        if now >= self._rescan_at:
            self._rescan_at = now + RESCAN_S
            self._low_water.clear()

    def cancelled(self, incarnation: IncarnationId) -> list[JobId]:
        """Return the jobs in hand whose end somebody asked for."""
        with self._session.connection() as connection:
            rows = connection.execute(statement("find_cancelled_jobs"), {"incarnation": incarnation}).fetchall()
        return [cast("JobId", row[0]) for row in rows]

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

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


def _by_rank(job: ClaimedJob) -> tuple[int, str]:
    return (job.rank, job.id)


def _claim_fairly(connection: Connection, at: dict[str, Any], lane: Lane) -> list[ClaimedJob]:
    with connection.pipeline():
        connection.execute(statement("lock_queue"), {"queue": lane.queue})
        rows = connection.execute(statement("claim_jobs_fairly"), {**at, "keys": lane.keys}).fetchall()
    return sorted((ClaimedJob(*row) for row in rows), key=_by_rank)  # type: ignore[arg-type]


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
