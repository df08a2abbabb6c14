"""What the engine needs of the store of runs: claim, load, flush, and the life of an incarnation.

What is made once a step is a struct without garbage collection, not a named tuple: see `core.events`, rule 4.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import msgspec

from kronos.core.events import Event, StepFacts
from kronos.kernel.ids import DefinitionId, IncarnationId, RunId

__all__ = [
    "BlobWrite",
    "ClaimedRun",
    "Command",
    "DeadLetter",
    "EventRow",
    "Flush",
    "Head",
    "LoadedRun",
    "Parked",
    "PastOutcome",
    "Progress",
    "Queue",
    "RunRequest",
    "RunStart",
    "StepJob",
    "Takeover",
    "Verdict",
]


class ClaimedRun(NamedTuple):
    """A run that this incarnation owns from now on.  `claims` is 1 the first time; `lost_owner` the dead owner.

    A fork has `changes` (core/forking.py) and a `parent` whose history it shares up to `parent_seq`.  A child says
    which attempt of which step of `child_of` started it; a successor which run it `continues`.
    """

    id: RunId
    retention_class: int
    definition: DefinitionId
    workflow: str
    version: str
    input: bytes
    rank: int
    claims: int
    lost_owner: IncarnationId | None
    takeovers: int
    takeover_seq: int
    inbox_seen: int
    timeout_ms: int | None
    created_ns: int
    inbox_n: int
    parent: uuid.UUID | None = None
    parent_seq: int = 0
    changes: bytes | None = None
    child_of: uuid.UUID | None = None
    child_step: str | None = None
    child_attempt: int = 0
    continues: uuid.UUID | None = None

    @property
    def has_commands(self) -> bool:
        """Whether its inbox holds something that no owner has seen."""
        return self.inbox_n > self.inbox_seen


class LoadedRun(NamedTuple):
    """A run's stored events and the chained hash of the last one."""

    events: list[Event]
    head: bytes


class PastOutcome(NamedTuple):
    """What a step of another run came to; `targets` are the steps' code by node, `environment` what it ran in."""

    run: str
    step: str
    attempt: int
    seq: int
    facts: StepFacts
    targets: Mapping[str, str]
    environment: Mapping[str, str]


class Command(NamedTuple):
    """One inbox row; `trouble` says why it cannot be read, where that is known before its owner has it."""

    id: int
    run_id: RunId
    kind: str
    body: bytes
    trouble: str = ""


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """One row for COPY, in the order of the table's columns."""

    retention_class: int
    run: uuid.UUID
    seq: int
    fact_count: int
    kind: str
    step: str
    attempt: int
    at_ns: int
    body: bytes
    hash: bytes


class Head(msgspec.Struct, frozen=True, gc=False):
    """Where a run's history stands; `phase` and what follows are set where the run ends here.

    `parent` is told by a `child_ended` command with `parent_body`; children that are still open are asked to end.
    """

    run: uuid.UUID
    seq: int
    hash: bytes
    inbox_seen: int
    at_ns: int
    phase: str | None = None
    output: bytes | None = None
    failure: bytes | None = None
    step: str | None = None
    spent: bytes | None = None
    parent: uuid.UUID | None = None
    parent_body: bytes = b""
    has_children: bool = False


class RunRequest(NamedTuple):
    """A run that somebody asks for.  `attributes` are JSON; `retention` names a class, None: as the workflow says."""

    definition: DefinitionId
    input: bytes
    timeout_ms: int | None = None
    attributes: bytes | None = None
    retention: str | None = None


class RunStart(NamedTuple):
    """A run that is started by a fact of another: a child of `step`, or a successor where `step` is None."""

    run: uuid.UUID
    by: uuid.UUID
    step: str | None
    attempt: int
    definition: str
    input: bytes
    timeout_ms: int | None


class Parked(NamedTuple):
    """A run that does nothing but wait, and is given back.

    `wake_ns` is when it must be looked at again (ns), None where only a message can wake it; `claims` as claimed.
    """

    head: Head
    wake_ns: int | None
    claims: int


class Progress(NamedTuple):
    """How far an attempt says it is (JSON), and when it said so (ns)."""

    run: uuid.UUID
    step: str
    attempt: int
    at_ns: int
    progress: bytes


class BlobWrite(NamedTuple):
    """A large value that a row of the flush refers to."""

    hash: str
    data: bytes
    run_id: RunId


class StepJob(NamedTuple):
    """Steps that are offered to other workers; `once` keeps an offer from being made twice."""

    run: uuid.UUID
    queue: str
    target: str
    input: bytes
    once: str | None


class DeadLetter(NamedTuple):
    """A run that was given up."""

    run: uuid.UUID
    step: str | None
    attempt: int
    failure: bytes


class Takeover(NamedTuple):
    """How often a run was taken over without progress; `seq` is the last outcome of a step."""

    run: uuid.UUID
    takeovers: int
    seq: int


@dataclass(slots=True)
class Flush:
    """One group commit: everything in it becomes durable, or nothing."""

    number: int
    acknowledged: int = 0
    """Every flush up to this number is known to be durable: nobody will ask for its proof again."""
    rows: list[EventRow] = field(default_factory=list)
    ended: list[Head] = field(default_factory=list)
    noted: list[Head] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    blobs: list[BlobWrite] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    drained: list[int] = field(default_factory=list)
    drained_by_end: list[int] = field(default_factory=list)
    """Inbox rows that became nothing but the end of their run: they stay where that end is refused."""
    attributes: dict[uuid.UUID, bytes] = field(default_factory=dict)
    """What each run's searchable attributes are now, as JSON."""
    starts: list[RunStart] = field(default_factory=list)
    offered: list[StepJob] = field(default_factory=list)
    withdrawn: list[tuple[uuid.UUID, str]] = field(default_factory=list)
    """Runs, and the names of their offers that nobody may take any more."""


class Verdict(NamedTuple):
    """What became of a flush: `refused` runs have an unseen inbox row and stay open (their last event was left
    out); `rejected` ones hold a value that the database does not take, with its reason, and nothing of theirs was
    written; `kept` runs were to be parked, have an unseen inbox row, and stay with their owner.
    """

    refused: frozenset[uuid.UUID]
    rejected: dict[uuid.UUID, str]
    kept: frozenset[uuid.UUID] = frozenset()


class Queue(Protocol):
    """The store, as one incarnation sees it.  Every method raises `LeaseLost` when the incarnation is dead and
    `Unavailable` when the database does not answer.
    """

    def register(self, *, name: str, lease_s: float) -> IncarnationId:
        """Begin an incarnation."""
        ...

    def renew(self, incarnation: IncarnationId) -> None:
        """Renew the lease."""
        ...

    def reap(self) -> int:
        """Declare silent incarnations dead and give back their runs and jobs; return how many."""
        ...

    def claim(self, incarnation: IncarnationId, definitions: Sequence[DefinitionId], limit: int) -> list[ClaimedRun]:
        """Own up to `limit` runs of `definitions`."""
        ...

    def start(
        self, incarnation: IncarnationId, request: RunRequest, definitions: Sequence[DefinitionId], limit: int
    ) -> tuple[RunId, list[ClaimedRun]]:
        """Start a run and `claim`, in one transaction; the run is among the claimed where its turn has come."""
        ...

    def load(self, runs: Sequence[ClaimedRun]) -> dict[RunId, LoadedRun]:
        """Return what is on record of `runs`; of a fork, with what it shares."""
        ...

    def past_outcomes(self, run: uuid.UUID, after: int) -> list[PastOutcome]:
        """Return what the steps of any run came to after a seq, oldest first."""
        ...

    def recall(self, incarnation: IncarnationId, runs: Sequence[RunId]) -> None:
        """Take back the steps of these runs that their former owner had spread out."""
        ...

    def record_takeovers(self, incarnation: IncarnationId, takeovers: Sequence[Takeover]) -> None:
        """Make takeover counts durable before anything is executed again."""
        ...

    def put_aside(self, incarnation: IncarnationId, run: uuid.UUID, for_s: float) -> None:
        """Give a run back, to be claimed again after `for_s`, or when a command comes for it."""
        ...

    def commands(self, incarnation: IncarnationId) -> list[Command]:
        """Return inbox rows of owned runs, oldest first."""
        ...

    def commands_of(self, incarnation: IncarnationId, runs: Sequence[RunId]) -> list[Command]:
        """Return every inbox row of these owned runs, oldest first."""
        ...

    def flush(self, incarnation: IncarnationId, flush: Flush) -> Verdict:
        """Commit `flush` exactly once, also when the answer to COMMIT is lost."""
        ...

    def show_progress(self, shown: Sequence[Progress]) -> None:
        """Show how far attempts are; not recorded."""
        ...

    def forget_progress(self, attempts: Sequence[tuple[uuid.UUID, str, int]]) -> None:
        """Show no more of attempts that have ended."""
        ...

    def release(self, incarnation: IncarnationId, heads: Sequence[Head]) -> None:
        """Give runs back in order, and note where their histories stand."""
        ...

    def disown(self, incarnation: IncarnationId, kept: Sequence[uuid.UUID]) -> None:
        """Give back every run of the incarnation but `kept`: what it owns without knowing, after a lost answer."""
        ...

    def retire(self, incarnation: IncarnationId, why: str) -> None:
        """End an incarnation in order."""
        ...

    def clock_ns(self) -> int:
        """Return the database's time, ns since the epoch."""
        ...
