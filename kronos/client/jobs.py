"""`client.jobs`, `client.queues`, `client.dead_letters`: a server's jobs and what was given up."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from kronos._proto.v1 import service_pb2 as pb
from kronos.client.records import FailureRecord
from kronos.kernel import canonical

__all__ = ["DeadLettersClient", "DeadRecord", "JobRecord", "JobsClient", "QueueRecord", "QueuesClient"]

FINAL: Final = frozenset({"completed", "cancelled", "expired", "dead", "discarded"})
POLL_S: Final = 0.02
POLL_MAX_S: Final = 0.5


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands.  `input` and `output` are decoded JSON; times are ns since the epoch.

    `state` is pending, running, completed, cancelled, expired, dead or discarded.
    """

    id: str
    target: str
    queue: str
    key: str
    priority: int
    state: str
    attempt: int
    failures: int
    losses: int
    input: Any
    output: Any
    failure: FailureRecord | None
    idempotency_key: str | None
    reason: str | None
    created_at: int
    due_at: int
    deadline_at: int | None
    started_at: int | None
    finished_at: int | None


class QueueRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A queue: its limits, and how many of its jobs are where; `keys` maps a key to (pending, running)."""

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
    keys: dict[str, tuple[int, int]]


class DeadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job or a run that was given up; `what` is the job's target or the run's workflow."""

    kind: str
    id: str
    what: str
    queue: str | None
    step: str | None
    attempt: int
    failure: FailureRecord
    at: int


class JobsClient:
    """Reached as `client.jobs`."""

    def __init__(self, call: Callable[..., Any], stub: Any) -> None:
        self._call = call
        self._stub = stub

    def submit(self, target: str, arguments: Mapping[str, object] | None = None, **options: Any) -> JobRecord:
        """Ask for one call of the step at `target` ("module:name"); it is durable then.

        `options`: queue, key, priority (1 to 10, 10 first), delay, at_ns, deadline, idempotency_key, keep.
        """
        return self.submit_json(target, canonical.encode(dict(arguments or {})).decode(), **options)

    def submit_json(self, target: str, arguments: str, **options: Any) -> JobRecord:
        """`submit` with arguments that are JSON text already."""
        given = {name: value for name, value in options.items() if value is not None}
        request = pb.SubmitJobRequest(target=target, arguments=arguments, **given)
        return _job(self._call(self._stub.SubmitJob, request, pb.Job))

    def get(self, job_id: str) -> JobRecord:
        """Return a job as it stands; raise `NotFound`."""
        return _job(self._call(self._stub.GetJob, pb.JobRequest(job_id=job_id), pb.Job))

    def cancel(self, job_id: str, *, reason: str = "") -> JobRecord:
        """End a job that waits, ask for the end of one that runs; raise `Conflict` when it has ended."""
        return _job(self._call(self._stub.CancelJob, pb.JobRequest(job_id=job_id, reason=reason), pb.Job))

    def wait(self, job_id: str, timeout_s: float | None = None) -> JobRecord:
        """Return the job once it has ended; raise `TimeoutError` after `timeout_s`."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        pause = POLL_S
        while (job := self.get(job_id)).state not in FINAL:
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"job {job_id} is {job.state} after {timeout_s:g} s")
            time.sleep(pause)
            pause = min(POLL_MAX_S, 2 * pause)
        return job

    def list(
        self,
        *,
        queue: str = "",
        key: str = "",
        target: str = "",
        states: Sequence[str] = (),
        before: str = "",
        limit: int = 100,
    ) -> builtins.list[JobRecord]:
        """Return jobs, newest first."""
        request = pb.ListJobsRequest(queue=queue, key=key, target=target, states=states, before=before, limit=limit)
        return [_job(each) for each in self._call(self._stub.ListJobs, request, pb.ListJobsResponse).jobs]


class QueuesClient:
    """Reached as `client.queues`."""

    def __init__(self, call: Callable[..., Any], stub: Any) -> None:
        self._call = call
        self._stub = stub

    def get(self, name: str) -> QueueRecord:
        """Return one queue with its keys; raise `NotFound`."""
        return self._listed(name)[0]

    def pause(self, name: str, *, by: str = "") -> QueueRecord:
        """Let nothing more begin; what runs goes on."""
        return _queue(self._call(self._stub.PauseQueue, pb.QueueRequest(name=name, by=by), pb.Queue))

    def resume(self, name: str) -> QueueRecord:
        """Go on; raise `Conflict` when the queue was not paused."""
        return _queue(self._call(self._stub.ResumeQueue, pb.QueueRequest(name=name), pb.Queue))

    def limit(
        self,
        name: str,
        *,
        concurrency: int | None = None,
        key_concurrency: int | None = None,
        rate: int | None = None,
        per: str = "1s",
    ) -> QueueRecord:
        """Set the limits of a queue; None takes one away."""
        request = pb.SetQueueLimitsRequest(
            name=name, concurrency=concurrency, key_concurrency=key_concurrency, rate=rate, per=per
        )
        return _queue(self._call(self._stub.SetQueueLimits, request, pb.Queue))

    def list(self) -> list[QueueRecord]:
        """Return every queue with open jobs or settings."""
        return self._listed("")

    def _listed(self, name: str) -> builtins.list[QueueRecord]:
        answer = self._call(self._stub.ListQueues, pb.ListQueuesRequest(name=name), pb.ListQueuesResponse)
        return [_queue(each) for each in answer.queues]


class DeadLettersClient:
    """Reached as `client.dead_letters`."""

    def __init__(self, call: Callable[..., Any], stub: Any) -> None:
        self._call = call
        self._stub = stub

    def get(self, letter: str) -> DeadRecord:
        """Return one; raise `NotFound`."""
        return self._listed(pb.DeadLettersRequest(ids=[letter]))[0]

    def groups(self) -> list[dict[str, Any]]:
        """Return counts by error, most first: kind, what, error, count, last (ns)."""
        answer = self._call(
            self._stub.ListDeadLetters, pb.DeadLettersRequest(by_error=True), pb.ListDeadLettersResponse
        )
        return [
            {"kind": g.kind, "what": g.what, "error": g.error, "count": g.count, "last": g.last_at_ns}
            for g in answer.groups
        ]

    def requeue(self, letters: Sequence[str] = (), *, error: str = "", what: str = "") -> dict[str, str]:
        """Try again; return for each the id under which it goes on."""
        request = pb.DeadLettersRequest(ids=letters, error=error, what=what)
        return dict(self._call(self._stub.RequeueDeadLetters, request, pb.DecidedDeadLetters).decided)

    def discard(self, letters: Sequence[str] = (), *, reason: str, error: str = "", what: str = "") -> list[str]:
        """Give up for good, with a reason that is kept; return the ids."""
        request = pb.DeadLettersRequest(ids=letters, error=error, what=what, reason=reason)
        return sorted(self._call(self._stub.DiscardDeadLetters, request, pb.DecidedDeadLetters).decided)

    def list(self, *, error: str = "", what: str = "", queue: str = "", limit: int = 100) -> builtins.list[DeadRecord]:
        """Return dead letters, newest first."""
        return self._listed(pb.DeadLettersRequest(error=error, what=what, queue=queue, limit=limit))

    def _listed(self, request: pb.DeadLettersRequest) -> builtins.list[DeadRecord]:
        answer = self._call(self._stub.ListDeadLetters, request, pb.ListDeadLettersResponse)
        return [
            DeadRecord(
                kind=each.kind,
                id=each.id,
                what=each.what,
                queue=each.queue or None,
                step=each.step or None,
                attempt=each.attempt,
                failure=_failure(each.failure),
                at=each.at_ns,
            )
            for each in answer.letters
        ]


def _failure(failure: pb.Failure) -> FailureRecord:
    return FailureRecord(type=failure.type, message=failure.message, cause=failure.cause, traceback=failure.traceback)


def _job(job: pb.Job) -> JobRecord:
    return JobRecord(
        id=job.job_id,
        target=job.target,
        queue=job.queue,
        key=job.key,
        priority=job.priority,
        state=job.state,
        attempt=job.attempt,
        failures=job.failures,
        losses=job.losses,
        input=canonical.decode(job.input.encode()),
        output=canonical.decode(job.output.encode()) if job.output else None,
        failure=_failure(job.failure) if job.HasField("failure") else None,
        idempotency_key=job.idempotency_key or None,
        reason=job.reason or None,
        created_at=job.created_at_ns,
        due_at=job.due_at_ns,
        deadline_at=job.deadline_at_ns or None,
        started_at=job.started_at_ns or None,
        finished_at=job.finished_at_ns or None,
    )


def _queue(queue: pb.Queue) -> QueueRecord:
    return QueueRecord(
        name=queue.name,
        paused=queue.paused,
        paused_by=queue.paused_by or None,
        concurrency=queue.concurrency or None,
        key_concurrency=queue.key_concurrency or None,
        rate=queue.rate or None,
        rate_s=queue.rate_seconds or None,
        pending=queue.pending,
        delayed=queue.delayed,
        running=queue.running,
        dead=queue.dead,
        oldest_s=queue.oldest_seconds or None,
        keys={each.key: (each.pending, each.running) for each in queue.keys},
    )
