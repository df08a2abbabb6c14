"""What a job is, and what becomes of it after an attempt.

Rule 1: every state of a job and every way between two of them stands here; the statements under `storage/sql` carry
        them out.
Rule 2: a job that was lost with its worker has not failed: it is tried again for nothing, apart from the others once
        it is suspected of killing them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from kronos.core.events import Failure
from kronos.core.options import StepOptions
from kronos.core.retry import retry_delay_s

__all__ = ["APART_LOSSES", "CHUNK", "LOSSES_MAX", "PRIORITY_DEFAULT", "WAYS", "JobState", "Next", "after_failure"]

PRIORITY_DEFAULT: Final = 5
APART_LOSSES: Final = 2
"""Workers that died with a job in hand before it is tried in a process of its own; if that dies, it is dead."""
LOSSES_MAX: Final = 6
"""Workers that died with a job in hand after which it is dead unheard."""


CHUNK: Final = 32
"""Steps in one such job."""


class JobState(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DEAD = "dead"
    DISCARDED = "discarded"

    @property
    def is_final(self) -> bool:
        """Whether it has ended; a dead one may yet be requeued by hand."""
        return self not in (JobState.PENDING, JobState.RUNNING)


WAYS: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.PENDING: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.EXPIRED}),
    JobState.RUNNING: frozenset({JobState.PENDING, JobState.COMPLETED, JobState.CANCELLED, JobState.DEAD}),
    JobState.COMPLETED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.EXPIRED: frozenset(),
    JobState.DEAD: frozenset({JobState.PENDING, JobState.DISCARDED}),
    JobState.DISCARDED: frozenset(),
}
"""Which state may follow which."""


class Next(NamedTuple):
    """What becomes of a job whose attempt failed: its state, its failures so far, and when it is due again (ns)."""

    state: JobState
    failures: int
    due_ns: int | None


def after_failure(
    options: StepOptions, failure: Failure, *, failures: int, finished_ns: int, chance: float, is_apart: bool
) -> Next:
    """Return what becomes of a job after a failed attempt, its `failures` before it; `chance` is in [0, 1).

    `is_apart` says that the attempt ran in a process of its own, and that process died.
    """
    if failure.cause == "cancelled":
        return Next(JobState.CANCELLED, failures, None)
    failures += failure.cause != "lost"
    delay_s = None if is_apart else retry_delay_s(options, failure, failures=failures, chance=chance)
    if delay_s is None:
        return Next(JobState.DEAD, failures, None)
    return Next(JobState.PENDING, failures, finished_ns + int(delay_s * 1e9))
