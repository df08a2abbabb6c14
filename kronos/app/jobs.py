"""Jobs, as a program asks for them: `app.jobs`.

Rule: everything is checked before it is recorded; what was recorded is durable when a call returns, or when the
      caller's own transaction commits.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from kronos.app.arguments import check_start, fitting, named_arguments
from kronos.app.waiting import moment_after
from kronos.core.definition import StepDefinition
from kronos.core.fields import closest
from kronos.core.jobs import PRIORITY_DEFAULT, JobState
from kronos.core.options import QUEUE_NAME, Duration, duration_s
from kronos.engine.execution import invocation_of
from kronos.engine.listing import EFFECT_KEYWORD, QUEUE_KEYWORD
from kronos.engine.news import RunWatch
from kronos.engine.serving import Serving
from kronos.errors import Conflict, InvalidInput, KronosError, NotFound
from kronos.kernel import canonical
from kronos.kernel.ids import JobId
from kronos.kernel.schema import check_against
from kronos.kernel.texts import check_text
from kronos.ports.jobbook import FailedAttempt, JobFilter, JobRecord, NewJob
from kronos.storage.jobbook import JobBook

__all__ = ["LIST_MAX", "PAYLOAD_MAX", "JobFailedError", "JobHandle", "Jobs", "parse_job_id"]

Step = StepDefinition[Any, Any]

PAYLOAD_MAX: Final = 16 * 1024 * 1024
"""Bytes of a job's arguments, at most; larger things are datasets or files."""
LIST_MAX: Final = 1_000
KEY_MAX: Final = 200


class Jobs:
    """Submit, read, cancel, wait."""

    def __init__(
        self,
        book: JobBook,
        serving: Serving,
        *,
        serve: Callable[[Step], None],
        watch: Callable[[str], RunWatch],
    ) -> None:
        self._book = book
        self._serving = serving
        self._serve = serve
        self._watch = watch

    def submit(
        self,
        step: Step | str,
        arguments: Mapping[str, object] | None = None,
        *,
        queue: str | None = None,
        key: str = "",
        priority: int = PRIORITY_DEFAULT,
        delay: Duration | None = None,
        at: datetime | None = None,
        deadline: Duration | datetime | None = None,
        idempotency_key: str | None = None,
        keep: Duration = "7d",
        conn: object | None = None,
    ) -> JobId:
        """Ask for one call of `step` (or of the target "module:name") with `arguments` by name; return the job's id.

        It goes to `queue`, else to the step's own (a step named by its target was listed with it), else to "default".
        `priority` 10 goes first, 1 last, one step is worth a minute of waiting.  It does not begin before `delay` has
        passed or before `at` (aware); what has not begun by a later `deadline` expires.  One `idempotency_key` is one
        job until that has ended and was kept for `keep`.  `key` is what limits and fairness within a queue count by.
        With `conn`, a psycopg connection, it is part of your own transaction there.
        Raises `NotFound` for an unknown target, `InvalidInput` naming the field, `Conflict` for a key of another call.
        """
        target, data = self._checked(step, canonical.encode({} if arguments is None else named_arguments(arguments)))
        return self.submit_json(
            target,
            data,
            queue=queue,
            key=key,
            priority=priority,
            delay=delay,
            at=at,
            deadline=deadline,
            idempotency_key=idempotency_key,
            keep=keep,
            conn=conn,
        )

    def submit_json(
        self,
        step: Step | str,
        arguments: bytes | str,
        *,
        queue: str | None = None,
        key: str = "",
        priority: int = PRIORITY_DEFAULT,
        delay: Duration | None = None,
        at: datetime | None = None,
        deadline: Duration | datetime | None = None,
        idempotency_key: str | None = None,
        keep: Duration = "7d",
        conn: object | None = None,
    ) -> JobId:
        """`submit` with arguments that are JSON text already."""
        target, data = self._checked(step, arguments.encode() if isinstance(arguments, str) else arguments)
        if at is not None and delay is not None:
            raise InvalidInput("delay and at exclude each other: give one of them", field="at", value=at)
        check_start(delay, at, deadline)
        job = NewJob(
            target=target,
            input=data,
            queue=self._queue(target, queue),
            key=_text(key, "key"),
            priority=_priority(priority),
            keep_ms=_ms(keep, "keep"),
            delay_ms=None if delay is None else _ms(delay, "delay"),
            due_ns=None if at is None else _ns(at, "at"),
            deadline_ms=None if deadline is None or isinstance(deadline, datetime) else _ms(deadline, "deadline"),
            deadline_ns=_ns(deadline, "deadline") if isinstance(deadline, datetime) else None,
            idempotency_key=None if idempotency_key is None else _text(idempotency_key, "idempotency_key", least=1),
        )
        if job.idempotency_key is not None:
            return self._book.submit_once(job, conn=conn)
        return self._book.submit([job], conn=conn)[0]

    def submit_many(
        self,
        step: Step | str,
        arguments: Sequence[Mapping[str, object]],
        *,
        queue: str | None = None,
        key: str = "",
        priority: int = PRIORITY_DEFAULT,
        keep: Duration = "7d",
        conn: object | None = None,
    ) -> Sequence[JobId]:
        """Ask for one call of `step` for each of `arguments`, in one transaction; return their ids in that order."""
        checked = [self._checked(step, canonical.encode(named_arguments(each))) for each in arguments]
        key, priority, keep_ms = _text(key, "key"), _priority(priority), _ms(keep, "keep")
        own = {target: self._queue(target, queue) for target in {target for target, _ in checked}}
        jobs = [
            NewJob(target=target, input=data, queue=own[target], key=key, priority=priority, keep_ms=keep_ms)
            for target, data in checked
        ]
        return self._book.submit(jobs, conn=conn) if jobs else []

    def get(self, job_id: str) -> JobRecord:
        """Return a job as it stands; raise `NotFound`."""
        found = self._book.get(parse_job_id(job_id))
        if found is None:
            raise NotFound(
                f"there is no job {job_id}: `kronos jobs list` prints them; ended ones are forgotten in time",
                field="job_id",
                value=job_id,
            )
        return found

    def attempts(self, job_id: str) -> Sequence[FailedAttempt]:
        """Return a job's failed attempts, in order."""
        return self._book.attempts(self.get(job_id).id)

    def list(self, wanted: JobFilter | None = None) -> Sequence[JobRecord]:
        """Return jobs, newest first, at most `wanted.limit`."""
        wanted = wanted or JobFilter()
        if not 1 <= wanted.limit <= LIST_MAX:
            raise InvalidInput(f"limit {wanted.limit}: give 1 to {LIST_MAX}", field="limit", value=wanted.limit)
        for field in ("queue", "key", "target"):
            if (given := getattr(wanted, field)) is not None:
                check_text(given, field)
        if wanted.before is not None:
            parse_job_id(wanted.before)
        return self._book.find(wanted)

    def cancel(self, job_id: str, *, reason: str = "") -> JobRecord:
        """End a job that waits, ask for the end of one that runs; raise `Conflict` when it has ended already."""
        found = self.get(job_id)
        if self._book.cancel(found.id, check_text(reason, "reason")) is None:
            state = self.get(job_id).state
            raise Conflict(f"job {job_id} is {state} already", job_id=job_id, state=state.value)
        return self.get(job_id)

    def wait(self, job_id: str, timeout_s: float | None = None) -> JobRecord:
        """Return the job once it has ended; raise `TimeoutError` after `timeout_s`."""
        until = moment_after(timeout_s)
        with self._watch(parse_job_id(job_id)) as watch:
            while True:
                job = self.get(job_id)
                if job.state.is_final:
                    return job
                if time.monotonic() >= until:
                    raise TimeoutError(f"job {job_id} is {job.state} after {timeout_s:g} s")
                watch.wait(until)

    def _queue(self, target: str, queue: str | None) -> str:
        """Return the queue that is given, or the step's own."""
        if queue is not None and queue != "":
            return check_queue(queue)
        step = self._serving.targets.get(target)
        return (self._listed_queue(target) if step is None else step.options.queue) or "default"

    def _listed_queue(self, target: str) -> str | None:
        """Return the queue of its own that a step was listed with."""
        listed = json.loads(self._book.schema_of(target) or b"{}").get(QUEUE_KEYWORD)
        return None if listed is None else str(listed)

    def _checked(self, step: Step | str, data: bytes) -> tuple[str, bytes]:
        """Return the target and the canonical arguments."""
        if len(data) > PAYLOAD_MAX:
            raise InvalidInput(f"the arguments have {len(data):,} bytes: at most {PAYLOAD_MAX:,}", field="arguments")
        if isinstance(step, StepDefinition):
            _refuse_database_step(step.options.effect, step.target)
            self._serve(step)
            return step.target, fitting(step.target, data, invocation_of(step).checked)
        if not isinstance(step, str):
            raise InvalidInput(
                f"a {type(step).__name__} is no job: give a step or its target, such as 'shop.work:pack'; "
                "a workflow is started with `start`",
                field="target",
                value=getattr(step, "name", repr(step)),
            )
        served = self._serving.targets.get(check_text(step, "target"))
        if served is not None:
            _refuse_database_step(served.options.effect, step)
            return step, fitting(step, data, invocation_of(served).checked)
        schema = self._book.schema_of(step)
        if schema is None:
            known = self._book.targets()
            raise NotFound(
                f"no worker serves {step!r}{closest(step, known)}; known: {', '.join(known[:20]) or 'none'}. "
                "A worker lists the steps of its modules when it starts",
                field="target",
                value=step,
            )
        _refuse_database_step(str(json.loads(schema).get(EFFECT_KEYWORD, "")), step)
        return step, fitting(step, data, partial(check_against, schema))


class JobHandle:
    """A job that was submitted here."""

    def __init__(self, jobs: Jobs, job_id: JobId, step: Step) -> None:
        self._jobs = jobs
        self.job_id: Final = job_id
        self._step = step

    def result(self, timeout: float | None = None) -> Any:
        """Return the typed result; raise `JobFailedError` or, after `timeout` s, `TimeoutError`."""
        job = self._jobs.wait(self.job_id, timeout)
        if job.state is not JobState.COMPLETED:
            raise JobFailedError(job)
        assert job.output is not None, "a completed job has an output"
        return canonical.decode(job.output, self._step.signature.returns)

    @property
    def status(self) -> JobRecord:
        """The job as of now."""
        return self._jobs.get(self.job_id)


class JobFailedError(KronosError):
    """A job that was waited for ended otherwise than completed; `job` is its record."""

    code = "job_failed"

    def __init__(self, job: JobRecord) -> None:
        why = "" if job.failure is None else f": {job.failure.type}: {job.failure.message}"
        super().__init__(f"job {job.id} ({job.target}) is {job.state}{why}", job_id=job.id, state=job.state.value)
        self.job = job


def parse_job_id(text: object) -> JobId:
    """Return `text` as a job id; raise `InvalidInput` naming it when it is none."""
    try:
        if isinstance(text, str):
            return JobId(str(uuid.UUID(text)))
    except ValueError:
        pass
    raise InvalidInput(f"job id {text!r} is not a UUID: `kronos jobs list` prints them", field="job_id", value=text)


def check_queue(name: str) -> str:
    """Return the name of a queue; raise `InvalidInput` when it cannot be one."""
    if QUEUE_NAME.fullmatch(check_text(name, "queue")) is None:
        raise InvalidInput(
            f"queue {name!r}: write it in small letters, digits, '_', '.' or '-', at most 63 of them",
            field="queue",
            value=name,
        )
    return name


def _refuse_database_step(effect: str, target: str) -> None:
    if effect == "tx":
        raise InvalidInput(
            f'{target} is a database step (effect="tx"), whose transaction is that of a run: '
            "call it in a workflow and start that, or declare another effect",
            field="target",
            value=target,
        )


def _text(value: str, field: str, *, least: int = 0) -> str:
    return check_text(value, field, least=least, most=KEY_MAX)


def _priority(value: int) -> int:
    if type(value) is not int or not 1 <= value <= 10:
        raise InvalidInput(f"priority {value!r}: give 1 to 10, 10 goes first", field="priority", value=value)
    return value


def _ms(value: Duration, field: str) -> int:
    return max(1, round(duration_s(value, field=field) * 1000))


def _ns(value: datetime, field: str) -> int:
    if not isinstance(value, datetime):
        raise InvalidInput(f"{field} {value!r} is no datetime: give an aware one", field=field, value=value)
    if value.tzinfo is None:
        raise InvalidInput(f"{field} {value.isoformat()} has no time zone: give an aware datetime", field=field)
    return int(value.timestamp() * 1_000_000) * 1000
