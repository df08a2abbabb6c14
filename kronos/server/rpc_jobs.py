"""Calls about jobs, queues and dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import grpc

from kronos._proto.v1 import service_pb2 as pb
from kronos.app import Kronos
from kronos.core.jobs import PRIORITY_DEFAULT, JobState
from kronos.errors import InvalidInput
from kronos.kernel.ids import JobId
from kronos.kernel.unreadable import readable_text
from kronos.ports.jobbook import DeadGroup, DeadItem, JobFilter, JobRecord, KeyState, QueueState
from kronos.server.rpc_answers import answer, failure_message

__all__ = ["JobCalls"]

LIMIT_DEFAULT = 100


class JobCalls:
    """A part of the service."""

    _app: Kronos

    def SubmitJob(self, request: pb.SubmitJobRequest, context: grpc.ServicerContext) -> pb.Job:  # noqa: N802
        def submit() -> pb.Job:
            jobs = self._app.jobs
            job_id = jobs.submit_json(
                _named(request.target, "target"),
                request.arguments or "{}",
                queue=request.queue or None,
                key=request.key,
                priority=request.priority or PRIORITY_DEFAULT,
                delay=request.delay or None,
                at=datetime.fromtimestamp(request.at_ns / 1e9, UTC) if request.at_ns else None,
                deadline=request.deadline or None,
                idempotency_key=request.idempotency_key or None,
                keep=request.keep or "7d",
            )
            return _job(jobs.get(job_id))

        return answer(context, "SubmitJob", submit)

    def GetJob(self, request: pb.JobRequest, context: grpc.ServicerContext) -> pb.Job:  # noqa: N802
        return answer(context, "GetJob", lambda: _job(self._app.jobs.get(request.job_id)))

    def ListJobs(self, request: pb.ListJobsRequest, context: grpc.ServicerContext) -> pb.ListJobsResponse:  # noqa: N802
        def listed() -> pb.ListJobsResponse:
            wanted = JobFilter(
                queue=request.queue or None,
                key=request.key or None,
                target=request.target or None,
                states=tuple(map(_state, request.states)) or None,
                before=JobId(request.before) if request.before else None,
                limit=request.limit or LIMIT_DEFAULT,
            )
            return pb.ListJobsResponse(jobs=map(_job, self._app.jobs.list(wanted)))

        return answer(context, "ListJobs", listed)

    def CancelJob(self, request: pb.JobRequest, context: grpc.ServicerContext) -> pb.Job:  # noqa: N802
        return answer(context, "CancelJob", lambda: _job(self._app.jobs.cancel(request.job_id, reason=request.reason)))

    def ListQueues(  # noqa: N802
        self, request: pb.ListQueuesRequest, context: grpc.ServicerContext
    ) -> pb.ListQueuesResponse:
        def listed() -> pb.ListQueuesResponse:
            queues = self._app.queues
            if not request.name:
                return pb.ListQueuesResponse(queues=[_queue(each) for each in queues.list()])
            return pb.ListQueuesResponse(queues=[_queue(queues.get(request.name), queues.keys(request.name))])

        return answer(context, "ListQueues", listed)

    def PauseQueue(self, request: pb.QueueRequest, context: grpc.ServicerContext) -> pb.Queue:  # noqa: N802
        return answer(context, "PauseQueue", lambda: _queue(self._app.queues.pause(request.name, by=request.by)))

    def ResumeQueue(self, request: pb.QueueRequest, context: grpc.ServicerContext) -> pb.Queue:  # noqa: N802
        return answer(context, "ResumeQueue", lambda: _queue(self._app.queues.resume(request.name)))

    def SetQueueLimits(  # noqa: N802
        self, request: pb.SetQueueLimitsRequest, context: grpc.ServicerContext
    ) -> pb.Queue:
        def limit() -> pb.Queue:
            changed = self._app.queues.limit(
                request.name,
                concurrency=request.concurrency or None,
                key_concurrency=request.key_concurrency or None,
                rate=request.rate or None,
                per=request.per or "1s",
            )
            return _queue(changed)

        return answer(context, "SetQueueLimits", limit)

    def ListDeadLetters(  # noqa: N802
        self, request: pb.DeadLettersRequest, context: grpc.ServicerContext
    ) -> pb.ListDeadLettersResponse:
        def listed() -> pb.ListDeadLettersResponse:
            letters = self._app.dead_letters
            if request.by_error:
                return pb.ListDeadLettersResponse(groups=map(_group, letters.groups()))
            found = [letters.get(each) for each in request.ids] or letters.list(
                error=request.error or None,
                what=request.what or None,
                queue=request.queue or None,
                limit=request.limit or LIMIT_DEFAULT,
            )
            return pb.ListDeadLettersResponse(letters=map(_letter, found))

        return answer(context, "ListDeadLetters", listed)

    def RequeueDeadLetters(  # noqa: N802
        self, request: pb.DeadLettersRequest, context: grpc.ServicerContext
    ) -> pb.DecidedDeadLetters:
        def requeue() -> pb.DecidedDeadLetters:
            error, what = request.error or None, request.what or None
            decided = self._app.dead_letters.requeue(list(request.ids), error=error, what=what)
            return pb.DecidedDeadLetters(decided=decided)

        return answer(context, "RequeueDeadLetters", requeue)

    def DiscardDeadLetters(  # noqa: N802
        self, request: pb.DeadLettersRequest, context: grpc.ServicerContext
    ) -> pb.DecidedDeadLetters:
        def discard() -> pb.DecidedDeadLetters:
            error, what = request.error or None, request.what or None
            letters = self._app.dead_letters
            gone = letters.discard(list(request.ids), reason=request.reason, error=error, what=what)
            return pb.DecidedDeadLetters(decided=dict.fromkeys(gone, ""))

        return answer(context, "DiscardDeadLetters", discard)


def _named(text: str, field: str) -> str:
    if not text:
        raise InvalidInput(f"{field} is empty: name a step as module:name", field=field, value="")
    return text


def _state(text: str) -> JobState:
    try:
        return JobState(text)
    except ValueError:
        known = ", ".join(JobState)
        raise InvalidInput(f"state {text!r} is unknown; known: {known}", field="states", value=text) from None


def _job(job: JobRecord) -> pb.Job:
    return pb.Job(
        job_id=job.id,
        target=job.target,
        queue=job.queue,
        key=job.key,
        priority=job.priority,
        state=job.state.value,
        attempt=job.attempt,
        failures=job.failures,
        losses=job.losses,
        input=readable_text(job.input),
        output="" if job.output is None else readable_text(job.output),
        failure=failure_message(job.failure),
        idempotency_key=job.idempotency_key or "",
        reason=job.reason or "",
        created_at_ns=job.created_at,
        due_at_ns=job.due_at,
        deadline_at_ns=job.deadline_at or 0,
        started_at_ns=job.started_at or 0,
        finished_at_ns=job.finished_at or 0,
    )


def _queue(queue: QueueState, keys: Sequence[KeyState] = ()) -> pb.Queue:
    return pb.Queue(
        name=queue.name,
        paused=queue.paused,
        paused_by=queue.paused_by or "",
        concurrency=queue.concurrency or 0,
        key_concurrency=queue.key_concurrency or 0,
        rate=queue.rate or 0,
        rate_seconds=queue.rate_s or 0.0,
        pending=queue.pending,
        delayed=queue.delayed,
        running=queue.running,
        dead=queue.dead,
        oldest_seconds=queue.oldest_s or 0.0,
        keys=[pb.QueueKey(key=each.key, pending=each.pending, running=each.running) for each in keys],
    )


def _letter(letter: DeadItem) -> pb.DeadLetter:
    return pb.DeadLetter(
        kind=letter.kind,
        id=letter.id,
        what=letter.what,
        queue=letter.queue or "",
        step=letter.step or "",
        attempt=letter.attempt,
        failure=failure_message(letter.failure),
        at_ns=letter.at,
    )


def _group(group: DeadGroup) -> pb.DeadGroup:
    return pb.DeadGroup(kind=group.kind, what=group.what, error=group.error, count=group.count, last_at_ns=group.last)
