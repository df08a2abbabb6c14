"""The attempts of a run that its owner has in hand: how one is made, what is on record of it, whether it still counts.

Rule: an attempt is known by step and number; an outcome of any other than the one in hand is dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from kronos.core.events import Failure, Kind, RunFacts, StepFacts
from kronos.core.graph import node_name
from kronos.core.inputs import UNDO
from kronos.core.options import Executor
from kronos.core.plan import Plan
from kronos.core.state import StepStatus
from kronos.engine.runlog import RunLog
from kronos.engine.serving import Served
from kronos.engine.tasks import Outcome, Task
from kronos.kernel.hashing import input_digest
from kronos.kernel.ids import IncarnationId, StepName
from kronos.ports.queue import ClaimedRun, DeadLetter

__all__ = ["ROOM_MAX", "TAKEOVERS_MAX", "Attempts"]

ROOM_MAX: Final = 16
"""Attempts in hand at most, of each executor, where a budget is known to be used up only when attempts have ended."""

TAKEOVERS_MAX: Final = 3
"""Takeovers without progress after which a run is suspected of killing its workers: each attempt is made in a process
of its own.  If that one dies, the run goes to the dead letters; if not, somebody else killed the workers.
"""


class Attempts:
    """What an owned run is made of, and its attempts."""

    __slots__ = (
        "_chance",
        "_demanded",
        "_failing",
        "_graph",
        "_is_refused",
        "_left_to_undo",
        "_now_ns",
        "_probation",
        "_rationed",
        "_room",
        "_served",
        "_takeovers",
        "_undoing",
        "_worker",
        "active",
        "claimed",
        "id",
        "log",
        "plan",
        "retries",
        "suspects",
        "unwanted",
        "waits",
    )

    def __init__(
        self,
        claimed: ClaimedRun,
        served: Served,
        *,
        worker: IncarnationId,
        now_ns: Callable[[], int],
        chance: Callable[[], float],
        room: Mapping[Executor, int],
    ) -> None:
        """`room` is how many slots this worker has of each executor."""
        self.claimed: Final = claimed
        self.id: Final = claimed.id
        self.log: Final = RunLog(claimed, now_ns)
        self.log.has_children = served.graph.has_children
        self.plan = Plan(served.graph, claimed.input)
        self.active: dict[str, int] = {}
        """Attempts that were handed to slots, or wait for a flush to be."""
        self.retries: list[tuple[int, str]] = []
        """(due ns, step) of attempts that wait for their backoff; the loop empties it into its timers."""
        self.waits: dict[str, int | None] = {}
        """Steps that nobody works at, and when each is due (ns), None where only a message can end it."""
        self.suspects: list[Task] = []
        """Attempts of a run on probation; the loop begins them one by one, as slots are free."""
        self._served = served
        self._graph: Final = served.graph
        self._worker = worker
        self._room = room
        self._rationed: dict[Executor, deque[str]] = {}
        """Steps that are ready and wait until fewer attempts are in hand: a run spends at most its budget and those."""
        self._now_ns = now_ns
        self._chance = chance
        self._failing: tuple[str, Failure] | None = None
        self._demanded: tuple[Kind, RunFacts, DeadLetter | None] | None = None
        """An end that does not wait for what runs; it stands until it is durable, whatever is said in between."""
        self._undoing: RunFacts | None = None
        """The end that comes once everything is undone."""
        self._left_to_undo: list[str] | None = None
        self._is_refused = False
        """Whether the store does not take its values: it can only be ended."""
        self.unwanted: list[tuple[str, int]] = []
        """Attempts that the loop asks to end."""
        self._takeovers = 0
        self._probation = False

    @property
    def is_held(self) -> bool:
        """Whether it was paused: nothing begins."""
        return self.log.state.notes.pause is not None

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, durable or not."""
        return self.log.is_over

    @property
    def has_last_chance(self) -> bool:
        """Whether one more death of its worker, or none any more, makes this run the suspect: it goes on alone."""
        return self._takeovers >= TAKEOVERS_MAX - 1

    @property
    def _is_apart(self) -> bool:
        return self._takeovers >= TAKEOVERS_MAX

    def awaits(self, task: Task) -> bool:
        """Whether an outcome of `task` would count."""
        return self.active.get(task.step) == task.attempt and not self.log.is_over

    def note_waiting(self, task: Task) -> None:
        """Record that an attempt waits for a slot, so that whoever looks can see it."""
        if self.log.status(task.step) in (StepStatus.PENDING, StepStatus.RETRYING):
            facts = StepFacts(scheduled=self._now_ns())
            self.log.append(Kind.STEP_SCHEDULED, facts, task.step, task.attempt)

    def note_started(self, task: Task, started_ns: int) -> None:
        """Record that an attempt runs: its outcome will come in a later flush."""
        if self.log.status(task.step) is not StepStatus.RUNNING:
            self.log.append(Kind.STEP_INPUT_RECORDED, self._started(task, started_ns), task.step, task.attempt)

    def _has_room(self, executor: Executor) -> bool:
        """Whether one more attempt may be in hand without adding more to what is spent than the slots can run."""
        nodes = self._graph.by_name
        in_hand = sum(nodes[node_name(step)].options.executor == executor for step in self.active)
        return in_hand < max(1, min(self._room.get(executor, ROOM_MAX), ROOM_MAX))

    def _must_wait(self, step: str) -> bool:
        """Put a step aside that is ready, where the budget leaves no room for it now; return whether it was."""
        budget = self._graph.budget
        if budget is None or not budget.is_spent_late or step.startswith(UNDO):
            return False
        executor = self._graph.by_name[node_name(step)].options.executor
        if self._has_room(executor):
            return False
        self._rationed.setdefault(executor, deque()).append(step)
        return True

    def _next_rationed(self) -> str | None:
        """Return a step that was put aside and for which there is room now."""
        for executor, steps in self._rationed.items():
            if steps and self._has_room(executor):
                return steps.popleft()
        return None

    def begin_on_record(self, task: Task) -> None:
        """Record that an attempt runs before it does."""
        self.note_started(task, self._now_ns())
        self.log.buffer.after_commit.append(task)

    def _next_attempt(self, step: str) -> int:
        known = self.log.state.steps.get(step)
        return 1 if known is None else known.attempt + (known.status is StepStatus.RETRYING)

    def _task(self, step: str, attempt: int) -> Task:
        node = self._graph.by_name[node_name(step)]
        options = node.options
        executor = "process" if self._is_apart and options.effect != "tx" else options.executor
        data = self.plan.inputs.of(step)
        return Task(
            self.id,
            StepName(step),
            attempt,
            node.target,
            data,
            options.timeout_s,
            executor,
            heartbeat_s=options.heartbeat_timeout_s,
        )

    def _started(self, task: Task, started_ns: int, worker: IncarnationId | None = None) -> StepFacts:
        known = self.log.state.steps.get(task.step)
        if known is not None and known.attempt == task.attempt and known.status is StepStatus.RUNNING:
            return known.facts
        scheduled = started_ns
        if known is not None and known.attempt == task.attempt and known.facts.scheduled is not None:
            scheduled = known.facts.scheduled
        return StepFacts(
            scheduled=scheduled,
            started=started_ns,
            worker=self._worker if worker is None else worker,
            input=input_digest(task.input),
            code=self._served.definition.codes.get(node_name(task.step)),
        )

    def _done(self, task: Task, outcome: Outcome, output: msgspec.Raw, worker: IncarnationId | None) -> StepFacts:
        """Return the facts of an attempt that succeeded; mostly none is on record yet, and they are made in one go."""
        if task.step in self.log.state.steps:
            return msgspec.structs.replace(
                self._started(task, outcome.started_ns, worker),
                finished=outcome.finished_ns,
                output=output,
                effects=outcome.effects,
                costs=outcome.costs,
            )
        return StepFacts(
            scheduled=outcome.started_ns,
            started=outcome.started_ns,
            worker=self._worker if worker is None else worker,
            input=input_digest(task.input),
            code=self._served.definition.codes.get(node_name(task.step)),
            finished=outcome.finished_ns,
            output=output,
            effects=outcome.effects,
            costs=outcome.costs,
        )
