"""Jobs that say of themselves what no worker, and nobody who asked, can have written.

Rule 1: a job is held against its attempts, its times against each other, its arguments against what its target was
        listed with when it was asked for.
Rule 2: what a later listing, a requeue by hand or a clock may have changed is believed: a sound job is never named.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from kronos.app.fsck.finding import Finding
from kronos.app.fsck.reading import Reader
from kronos.core.events import Failure
from kronos.core.jobs import LOSSES_MAX
from kronos.errors import KronosError
from kronos.kernel import canonical
from kronos.kernel.schema import check_against

__all__ = ["JobLine", "check_jobs", "faults_of_job"]

FETCHED: Final = 50
CLOCK_MS: Final = 60_000.0
"""How far the clocks of a worker and of the database may be apart, and two readings of one."""
_UNDONE: Final = frozenset({"pending", "running", "dead"})
_KEPT: Final = frozenset({"completed", "cancelled", "expired", "discarded"})


class JobLine(NamedTuple):
    """A job's row.  Times are ms since the epoch; `listed` is the schema of its target, where that is older than it."""

    id: uuid.UUID
    state: str
    target: str
    input: bytes
    attempt: int
    failures: int
    losses: int
    output: bytes | None
    failure: bytes | None
    created: float
    started: float | None
    finished: float | None
    deadline: float | None
    expires: float | None
    keep: int
    is_ranked: bool
    failed_attempts: list[int]
    failed: list[bytes]
    is_listed: bool
    listed: bytes | None


def check_jobs(reader: Reader) -> Iterator[Finding]:
    """Yield every job whose row cannot be."""
    with reader.snapshot():
        for row in reader.stream("read_jobs", fetched=FETCHED):
            job = JobLine(*row)
            for what in faults_of_job(job):
                yield Finding(check="job", row=f"jobs: {job.id}", what=what)


def faults_of_job(job: JobLine) -> Iterator[str]:
    """Yield what is wrong with one job."""
    yield from _attempts(job)
    yield from _end(job)
    yield from _times(job)
    yield from _call(job)


def _attempts(job: JobLine) -> Iterator[str]:
    failures = [_read(each) for each in job.failed]
    if None in failures:
        yield "a failure of its attempts cannot be read"
    counted = sum(each is not None and each.cause not in ("lost", "cancelled") for each in failures)
    if not 0 <= job.failures <= counted:
        yield f"it counts {job.failures} failures; {counted} of its attempts are on record as failed"
    if job.failed_attempts and job.failed_attempts[-1] > job.attempt:
        yield f"attempt {job.failed_attempts[-1]} failed, and it is at attempt {job.attempt}"
    if job.state in ("running", "completed") and job.attempt in job.failed_attempts:
        yield f"attempt {job.attempt} is {job.state}, and on record as failed"
    if job.state in ("running", "completed", "dead") and job.attempt < 1:
        yield f"it is {job.state} and was never begun"


def _end(job: JobLine) -> Iterator[str]:
    is_completed = job.state == "completed"
    if (job.output is None) == is_completed:
        yield f"it is {job.state} and has {'no' if is_completed else 'an'} output"
    if is_completed and job.failure is not None:
        yield "it is completed and has a failure"
    if job.output is not None and not _is_json(job.output):
        yield "its output is no JSON"
    if is_completed:
        return
    failure = None if job.failure is None else _read(job.failure)
    if job.failure is None and (job.failed or job.state in ("dead", "discarded")):
        yield "its failure is gone"
    elif job.failure is not None and (
        failure is None or (failure.cause != "lost" and job.failure not in job.failed[-1:])
    ):
        yield "its failure is not that of its last failed attempt"
    if job.state in ("dead", "discarded") and job.losses < LOSSES_MAX and job.attempt not in job.failed_attempts:
        yield f"it was given up, and attempt {job.attempt} is not on record as failed"


def _times(job: JobLine) -> Iterator[str]:
    if job.finished is not None:
        if job.started is not None and job.finished < job.started - CLOCK_MS:
            yield "it finished before it started"
        if job.finished < job.created - CLOCK_MS:
            yield "it finished before it was asked for"
    if job.started is not None and job.started < job.created - CLOCK_MS:
        yield "it started before it was asked for"
    if job.state == "expired" and (job.deadline is None or (job.finished or 0.0) < job.deadline - CLOCK_MS):
        yield "it expired before its deadline"
    if not _is_kept(job):
        yield "it is not kept as long after its end as was asked for"
    if not job.is_ranked:
        yield "its rank is not that of its priority and due time"


def _is_kept(job: JobLine) -> bool:
    if job.state not in _KEPT or job.finished is None:
        return job.expires is None
    until = job.finished + job.keep
    if job.state == "discarded":  # by hand, whenever that was
        return job.expires is not None and job.expires >= until - CLOCK_MS
    return job.expires is not None and abs(job.expires - until) <= CLOCK_MS


def _call(job: JobLine) -> Iterator[str]:
    if not job.is_listed:
        yield f"no worker ever listed its target {job.target!r}"
    if not _is_json(job.input):
        yield "its arguments are no JSON"
    elif job.state in _UNDONE and job.listed is not None:
        try:
            check_against(job.listed, job.input)
        except (KronosError, ValueError) as error:
            yield f"its arguments do not fit those that {job.target!r} was listed with: {error}"


def _read(data: bytes) -> Failure | None:
    try:
        return msgspec.json.decode(data, type=Failure)
    except msgspec.MsgspecError:
        return None


def _is_json(data: bytes) -> bool:
    try:
        _: Any = canonical.decode(data)
    except KronosError:
        return False
    return True
