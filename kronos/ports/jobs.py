"""What the engine needs of the store of jobs: claim, end, give back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from kronos.core.options import STEPS_QUEUE
from kronos.kernel.ids import DefinitionId, IncarnationId, JobId, RunId

__all__ = ["ClaimedJob", "Claims", "Ended", "FailedJob", "FinishedJob", "JobStore", "Lane", "Room", "SentSteps"]


class ClaimedJob(NamedTuple):
    """A job in this incarnation's hands; `failures` and `losses` are those before this attempt.

    With a `run_id` it is steps of that run: `target` is the definition, `input` lists them.
    """

    id: JobId
    target: str
    input: bytes
    attempt: int
    failures: int
    losses: int
    rank: int
    run_id: RunId | None = None


class FinishedJob(NamedTuple):
    """An attempt that succeeded; times are ns."""

    id: JobId
    attempt: int
    output: bytes
    started_ns: int
    finished_ns: int


class FailedJob(NamedTuple):
    """An attempt that failed, the `state` of its job after it, and when the job is `due_ns` again, None for never."""

    id: JobId
    attempt: int
    state: str
    due_ns: int | None
    failures: int
    failure: bytes
    started_ns: int
    finished_ns: int


class SentSteps(NamedTuple):
    """What came of steps of another worker's run: the `body` of an `outcomes` command."""

    id: JobId
    attempt: int
    command: uuid.UUID
    body: bytes


@dataclass(slots=True)
class Ended:
    """What has ended since the turn before."""

    finished: list[FinishedJob] = field(default_factory=list)
    failed: list[FailedJob] = field(default_factory=list)
    sent: list[SentSteps] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.finished or self.failed or self.sent)

    @property
    def ids(self) -> list[JobId]:
        """The jobs that it is about."""
        ids = [job.id for job in self.finished]
        ids += [job.id for job in self.failed]
        return ids + [job.id for job in self.sent]


class Lane(NamedTuple):
    """A queue with pending jobs, the keys of these, and whether limits were set."""

    queue: str
    keys: list[str]
    is_limited: bool

    @property
    def is_plain(self) -> bool:
        """Whether its jobs may be taken in order of rank, by everybody at once."""
        return self.keys == [""] and not self.is_limited


class Room(NamedTuple):
    """Room for up to `limit` jobs of `targets`; without `spread`, none of the steps that a wide run offers to all."""

    targets: list[str]
    limit: int
    spread: bool = True

    def wants(self, queue: str) -> bool:
        """Whether jobs of `queue` are welcome."""
        return self.spread or queue != STEPS_QUEUE


@dataclass(slots=True)
class Claims:
    """What a turn brought.  `held_back` says that something waits which limits, or a worker's own runs, kept from being
    taken; `next_due_s` when a delayed job is due, where nothing was there.
    """

    jobs: list[ClaimedJob] = field(default_factory=list)
    held_back: bool = False
    next_due_s: float | None = None


class JobStore(Protocol):
    """The store of jobs, as one incarnation sees it.  Raises `LeaseLost` and `Unavailable` like `Queue`."""

    def turn(self, incarnation: IncarnationId, ended: Ended, rooms: Sequence[Room]) -> Claims:
        """In one transaction: record what has ended, and claim more.  May be sent again after a lost answer."""
        ...

    def cancelled(self, incarnation: IncarnationId, kept: Sequence[JobId]) -> list[JobId]:
        """Return those of the jobs in hand whose end somebody asked for, or that are not ours any more."""
        ...

    def shared(self, incarnation: IncarnationId) -> dict[DefinitionId, int]:
        """Return by how many other workers each definition is served."""
        ...

    def release(self, incarnation: IncarnationId, *, kept: Sequence[JobId], begun: Sequence[JobId]) -> None:
        """Give back every job of this incarnation but `kept`; only those of `begun` have made an attempt."""
        ...

    def maintain(self) -> None:
        """Expire what came too late, forget what was kept long enough."""
        ...
