"""What the engine needs of the store of jobs: claim, end, give back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from kronos.kernel.ids import IncarnationId, JobId

__all__ = ["ClaimedJob", "Claims", "FailedJob", "FinishedJob", "JobStore", "Lane", "Wish"]


class ClaimedJob(NamedTuple):
    """A job in this incarnation's hands; `failures` and `losses` are those before this attempt."""

    id: JobId
    target: str
    input: bytes
    attempt: int
    failures: int
    losses: int
    rank: int


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


class Lane(NamedTuple):
    """A queue with pending jobs, the keys of these, and whether limits were set."""

    queue: str
    keys: list[str]
    is_limited: bool

    @property
    def is_plain(self) -> bool:
        """Whether its jobs may be taken in order of rank, by everybody at once."""
        return self.keys == [""] and not self.is_limited


class Wish(NamedTuple):
    """Up to `limit` jobs of `targets`."""

    targets: list[str]
    limit: int


@dataclass(slots=True)
class Claims:
    """What a turn brought.  `held_back` says that limits kept something from being taken; `next_due_s` when a delayed
    job is due, where nothing was there.
    """

    jobs: list[ClaimedJob] = field(default_factory=list)
    held_back: bool = False
    next_due_s: float | None = None


class JobStore(Protocol):
    """The store of jobs, as one incarnation sees it.  Raises `LeaseLost` and `Unavailable` like `Queue`."""

    def turn(
        self,
        incarnation: IncarnationId,
        finished: Sequence[FinishedJob],
        failed: Sequence[FailedJob],
        wishes: Sequence[Wish],
    ) -> Claims:
        """In one transaction: record what has ended, and claim more.  May be sent again after a lost answer."""
        ...

    def cancelled(self, incarnation: IncarnationId) -> list[JobId]:
        """Return the jobs in hand whose end somebody asked for."""
        ...

    def release(self, incarnation: IncarnationId, *, kept: Sequence[JobId], begun: Sequence[JobId]) -> None:
        """Give back every job of this incarnation but `kept`; only those of `begun` have made an attempt."""
        ...

    def maintain(self) -> None:
        """Expire what came too late, forget what was kept long enough."""
        ...
