"""What anyone may ask of jobs, queues and dead letters."""

from __future__ import annotations

import msgspec

from kronos.core.events import Failure
from kronos.core.jobs import JobState
from kronos.kernel.ids import JobId

__all__ = [
    "DeadGroup",
    "DeadItem",
    "FailedAttempt",
    "JobFilter",
    "JobRecord",
    "KeyState",
    "NewJob",
    "QueueState",
]


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is asked for.  Times are ns since the epoch, or ms from now where they end in `_ms`."""

    target: str
    input: bytes
    queue: str
    key: str
    priority: int
    keep_ms: int
    delay_ms: int | None = None
    due_ns: int | None = None
    deadline_ms: int | None = None
    deadline_ns: int | None = None
    idempotency_key: str | None = None


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands.  Times are ns since the epoch; `reason` is why it was cancelled or discarded."""

    id: JobId
    target: str
    queue: str
    key: str
    priority: int
    state: JobState
    attempt: int
    failures: int
    losses: int
    worker: int | None
    input: bytes
    output: bytes | None
    failure: Failure | None
    idempotency_key: str | None
    reason: str | None
    created_at: int
    due_at: int
    deadline_at: int | None
    started_at: int | None
    finished_at: int | None


class FailedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a job that failed."""

    attempt: int
    worker: int
    started_at: int
    finished_at: int
    failure: Failure


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs; None is any.  `before` continues a list after its last id."""

    queue: str | None = None
    key: str | None = None
    target: str | None = None
    states: tuple[JobState, ...] | None = None
    before: JobId | None = None
    limit: int = 100


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """A queue: what was said of it, and how many of its jobs are where.

    `pending` are due, `delayed` not yet; `oldest_s` is how long the first of the pending has been due;
    `rate` are claimed in any `rate_s` seconds.
    """

    name: str
    paused: bool
    paused_by: str | None
    concurrency: int | None
    key_concurrency: int | None
    rate: int | None
    rate_s: float | None
    pending: int
    delayed: int
    running: int
    dead: int
    oldest_s: float | None


class KeyState(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a queue, "" for jobs without one."""

    key: str
    pending: int
    running: int


class DeadItem(msgspec.Struct, frozen=True, kw_only=True):
    """A job or a run that was given up; `what` is the job's target or the run's workflow."""

    kind: str
    id: str
    what: str
    queue: str | None
    step: str | None
    attempt: int
    failure: Failure
    at: int


class DeadGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters that met the same error in the same place; `last` is ns since the epoch."""

    kind: str
    what: str
    error: str
    count: int
    last: int
