"""A run's log as its owner writes it: the fold, the head of the chain, and the rows that are not yet durable.

Rule 1: an event is applied to the fold before it is buffered: an illegal one can never be written.
Rule 2: the end of a run can be taken back until the store has accepted it; no other event can.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from kronos.core.chaining import head_after_body
from kronos.core.costs import NO_COSTS
from kronos.core.events import LEADING, Attribute, Event, Kind, RunFacts, StepFacts, encode_facts
from kronos.core.families import ChildEnded, encode_child_ended
from kronos.core.state import FINAL, Run, StepStatus, apply, fold, new_run
from kronos.engine.tasks import Task
from kronos.kernel.hashing import GENESIS, content_hash
from kronos.kernel.references import reference
from kronos.ports.queue import BlobWrite, ClaimedRun, DeadLetter, EventRow, Head, LoadedRun, RunStart, StepJob

__all__ = ["BLOB_MIN", "HEAD_EVERY", "Buffer", "RunLog"]

BLOB_MIN: Final = 8 * 1024
"""Values larger than this are blobs."""

HEAD_EVERY: Final = 1_000
"""A long run's head is noted on its row each time it passes a multiple of this."""

_LOGGED: Final = {StepStatus.PENDING: 0, StepStatus.RETRYING: 0, StepStatus.SCHEDULED: 1, StepStatus.FAILED: 4}
"""How many of a step's facts are on record already, by its status; 3 while it runs."""


class Beside:
    """What few flushes hold beside rows."""

    __slots__ = ("attributes", "blobs", "dead", "drained", "drained_by_end", "offered", "starts", "withdrawn")

    def __init__(self) -> None:
        self.blobs: list[BlobWrite] = []
        self.dead: list[DeadLetter] = []
        self.attributes: dict[str, Attribute] | None = None
        self.drained: list[int] = []
        self.drained_by_end: list[int] = []
        """Inbox rows that became nothing but the end: they stay where the end is refused."""
        self.starts: list[RunStart] = []
        self.offered: list[StepJob] = []
        self.withdrawn: list[str] = []
        """Names of offers that nobody may take any more."""

    def withdraw(self, once: str) -> None:
        """Offer nothing under this name any more, neither what is there nor what waits here."""
        self.offered = [job for job in self.offered if job.once != once]
        self.withdrawn.append(once)


class Buffer:
    """What one run puts into the next flush.  It is used again once that flush is settled.

    Thousands of runs are in hand at once, so it has few parts: empty lists for what is seldom there, in two buffers a
    run, cost 2 of 17 µs a step in memory that no cache holds.
    """

    __slots__ = ("_beside", "after_commit", "ended", "parked", "rows")

    def __init__(self) -> None:
        self.rows: list[EventRow] = []
        self.ended: Head | None = None
        self.parked = False
        self.after_commit: list[Task] = []
        self._beside: Beside | None = None

    @property
    def beside(self) -> Beside:
        """What goes with the rows; made when first asked for, so ask only to add or where `has_beside`."""
        if self._beside is None:
            self._beside = Beside()
        return self._beside

    @property
    def has_beside(self) -> bool:
        """Whether anything may go with the rows."""
        return self._beside is not None

    @property
    def drained(self) -> Sequence[int]:
        """The inbox rows that became events here."""
        return () if self._beside is None else self._beside.drained

    @property
    def drained_by_end(self) -> Sequence[int]:
        """Those that became nothing but the end."""
        return () if self._beside is None else self._beside.drained_by_end

    @property
    def all_drained(self) -> list[int]:
        """Every inbox row that became something here."""
        return [*self.drained, *self.drained_by_end]

    def drain_by_end(self, commands: Sequence[int]) -> None:
        """Take over inbox rows whose end was refused: they belong to the next."""
        if commands:
            self.beside.drained_by_end += commands

    @property
    def has_something(self) -> bool:
        """Whether there is anything to write."""
        if self.rows:
            return True
        more = self._beside
        return more is not None and bool(more.drained or more.drained_by_end or more.offered)

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits for this to be durable: attempts, a client, the sender of a command, other workers."""
        if self.after_commit or self.ended is not None:
            return True
        more = self._beside
        return more is not None and bool(more.drained or more.drained_by_end or more.offered or more.starts)

    def clear(self) -> None:
        """Forget what was durable."""
        self.rows.clear()
        self.after_commit.clear()
        self.ended = self._beside = None
        self.parked = False


class RunLog:
    """Belongs to one `OwnedRun`, and with it to the owner loop."""

    __slots__ = (
        "_before_end",
        "_claimed",
        "_now_ns",
        "_retention_class",
        "_spare",
        "buffer",
        "has_children",
        "head",
        "id",
        "inbox_seen",
        "state",
        "uuid",
    )

    def __init__(self, claimed: ClaimedRun, now_ns: Callable[[], int]) -> None:
        self.id: Final = claimed.id
        self.uuid: Final = uuid.UUID(claimed.id)
        self.state: Run = new_run(claimed.id)
        self.head: bytes = GENESIS
        self.inbox_seen: int = claimed.inbox_seen
        self.buffer = Buffer()
        self._spare: Buffer | None = Buffer()
        self.has_children = False
        """Whether runs of its definition start runs: those still open are asked to end with this one."""
        self._claimed = claimed
        self._retention_class = claimed.retention_class
        self._now_ns = now_ns
        self._before_end: tuple[Run, bytes, int, int] | None = None

    def load(self, loaded: LoadedRun, state: Run | None = None) -> None:
        """Go on from what is on record; `state` is its fold, where somebody has made it already."""
        self.state = fold(self.id, loaded.events) if state is None else state
        self.head = loaded.head

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, durable or not."""
        return self.state.phase in FINAL

    @property
    def is_ending(self) -> bool:
        """Whether the end is in a flush under way."""
        return self.is_over and self.buffer.ended is None

    def status(self, step: str) -> StepStatus:
        """Return where a step stands."""
        known = self.state.steps.get(step)
        return StepStatus.PENDING if known is None else known.status

    def append(
        self,
        kind: Kind,
        facts: StepFacts | RunFacts,
        step: str = "",
        attempt: int = 0,
        *,
        at: int | None = None,
    ) -> None:
        """Record `facts`, and those of the attempt that lead up to them and are not on record yet."""
        state = self.state
        known = state.steps.get(step) if step else None
        logged = 0 if known is None else _LOGGED.get(known.status, 3)
        count = len(LEADING[kind]) - logged if step else 1
        event = Event(
            seq=state.seq + count,
            kind=kind,
            at=self._now_ns() if at is None else at,
            facts=facts,
            step=step,
            attempt=attempt,
            count=count,
        )
        self.state = apply(state, event)
        body = encode_facts(facts)
        self.head = head_after_body(self.head, event, body)
        self.buffer.rows.append(
            EventRow(
                self._retention_class,
                self.uuid,
                event.seq,
                count,
                kind,
                step,
                attempt,
                event.at,
                body,
                self.head,
            )
        )

    def stored(self, value: bytes) -> msgspec.Raw:
        """Return what a row holds of a value: itself, or the name of its blob."""
        if len(value) <= BLOB_MIN:
            return msgspec.Raw(value)
        name = content_hash(value)
        self.buffer.beside.blobs.append(BlobWrite(name, value, self.id))
        return msgspec.Raw(reference(name, len(value)))

    def end(
        self, kind: Kind, facts: RunFacts, *, dead: DeadLetter | None = None, successor: RunStart | None = None
    ) -> None:
        """Record the end of the run, and the start of the one that takes its place."""
        self._before_end = (self.state, self.head, len(self.buffer.rows), self._starts())
        if successor is not None:
            self.append(Kind.RUN_CONTINUED, RunFacts(successor=str(successor.run)))
            self.buffer.beside.starts.append(successor)
        self.append(kind, facts)
        finished = self.state.finished
        assert finished is not None, "the run has ended"
        if dead is not None:
            self.buffer.beside.dead.append(dead)
        self.buffer.ended = Head(
            self.uuid,
            self.state.seq,
            self.head,
            self.inbox_seen,
            finished,
            phase=self.state.phase.value,
            output=None if self.state.output is msgspec.UNSET else bytes(self.state.output),
            failure=None if facts.failure is None else msgspec.json.encode(facts.failure),
            step=facts.step,
            spent=None if self.state.costs is NO_COSTS else msgspec.json.encode(self.state.spent),
            parent=self._claimed.child_of if successor is None else None,
            parent_body=self._told(facts),
            has_children=self.has_children,
        )

    def _told(self, facts: RunFacts) -> bytes:
        """Return what the parent of a child is told of its end."""
        if self._claimed.child_of is None:
            return b""
        output = self.state.output
        ended = ChildEnded(
            child=self.id,
            step=self._claimed.child_step or "",
            attempt=self._claimed.child_attempt,
            phase=self.state.phase.value,
            output=msgspec.Raw(b"null") if output is msgspec.UNSET else output,
            failure=facts.failure,
        )
        return encode_child_ended(ended)

    def _starts(self) -> int:
        return len(self.buffer.beside.starts) if self.buffer.has_beside else 0

    def withdraw_end(self) -> None:
        """Take back an end that still waits for its flush."""
        if self.buffer.ended is not None:
            assert self._before_end is not None, "an end was recorded"
            _, _, rows, starts = self._before_end
            del self.buffer.rows[rows:]
            if self.buffer.has_beside:
                del self.buffer.beside.starts[starts:]
                self.buffer.beside.dead.clear()
            self.buffer.ended = None
            self.reopen()

    def reopen(self) -> None:
        """Take back an end that the store refused because the inbox holds something unseen."""
        assert self._before_end is not None, "only an end can be refused"
        self.state, self.head, _, _ = self._before_end

    def head_before_end(self) -> Head:
        """Return where the history stands without the end that is buffered, and without what the end alone drained."""
        assert self._before_end is not None, "there is an end"
        state, head, _, _ = self._before_end
        seen = self.inbox_seen - len(self.buffer.drained_by_end)
        return Head(self.uuid, state.seq, head, seen, self._now_ns())

    def take(self) -> Buffer:
        """Return what is buffered, for a flush, and go on with an empty buffer.

        A run has rows in one flush at a time, so two buffers serve it for life: five containers a step less.
        """
        taken, spare = self.buffer, self._spare
        assert spare is not None, "the flush before this one is settled"
        self.buffer, self._spare = spare, None
        return taken

    def settled(self, buffer: Buffer) -> None:
        """Say that the flush which took `buffer` is done with."""
        buffer.clear()
        self._spare = buffer

    def head_now(self) -> Head:
        """Return where the history stands."""
        return Head(self.uuid, self.state.seq, self.head, self.inbox_seen, self._now_ns())
