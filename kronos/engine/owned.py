"""One run in its owner's hands: what happened, what is not yet durable, and what comes next.

Rule 1: whatever depends on an outcome waits in `after_commit` until the flush that holds the outcome is acknowledged.
Rule 2: no thread but the owner loop's touches this object.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from kronos.core.events import Failure, Kind, RunFacts, StepFacts
from kronos.core.graph import Node
from kronos.core.retry import retry_delay_s
from kronos.core.state import StepState, StepStatus
from kronos.engine.commands import COMMANDS
from kronos.engine.outcomes import SentOutcome
from kronos.engine.runlog import RunLog
from kronos.engine.serving import Served
from kronos.engine.slots.processes import PROCESS_DIED
from kronos.engine.tasks import Outcome, Task
from kronos.errors import InvalidInput
from kronos.kernel.hashing import input_digest
from kronos.kernel.ids import IncarnationId, StepName
from kronos.ports.queue import ClaimedRun, Command, DeadLetter, LoadedRun

__all__ = ["DEATHS_MAX", "TAKEOVERS_MAX", "OwnedRun"]

TAKEOVERS_MAX: Final = 3
"""Takeovers without progress after which a run is suspected of killing its workers: each attempt is made in a process
of its own.  If that one dies, the run goes to the dead letters; if not, somebody else killed the workers.
"""
FOREVER_NS: Final = 2**63 - 1
PARK_MIN_NS: Final = 5_000_000_000
"""A run that waits longer than this is given back; a shorter wait is cheaper in memory than a claim and a load."""
WAKE_EARLY_NS: Final = 1_000_000_000
"""It is claimed again this long before, so that what it waits for happens to the millisecond."""
DEATHS_MAX: Final = 6
"""Takeovers without progress after which a run goes to the dead letters unheard: its steps may kill other processes."""


_OPEN: Final = frozenset({StepStatus.SCHEDULED, StepStatus.RUNNING})
"""Attempts whose outcome may be on its way when the run changes hands."""


class OwnedRun:
    """A run that this incarnation advances."""

    __slots__ = (
        "_chance",
        "_failing",
        "_left",
        "_now_ns",
        "_outputs",
        "_probation",
        "_served",
        "_takeovers",
        "_worker",
        "active",
        "claimed",
        "flushing",
        "id",
        "log",
        "parking",
        "retries",
        "suspects",
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
    ) -> None:
        self.claimed: Final = claimed
        self.id: Final = claimed.id
        self.log: Final = RunLog(claimed, now_ns)
        self.active: dict[str, int] = {}
        """Attempts that were handed to slots, or wait for a flush to be."""
        self.retries: list[tuple[int, str]] = []
        """(due ns, step) of attempts that wait for their backoff; the loop empties it into its timers."""
        self.waits: dict[str, int | None] = {}
        """Steps that nobody works at, and when each is due (ns), None where only a message can end it."""
        self.suspects: list[Task] = []
        """Attempts of a run on probation; the loop begins them one by one, as slots are free."""
        self.flushing = False
        self.parking = False
        """Whether a flush under way gives this run back: nothing of it counts any more unless that is refused."""
        self._served = served
        self._worker = worker
        self._now_ns = now_ns
        self._chance = chance
        self._outputs: dict[str, bytes] = {}
        self._left = {step: len(before) for step, before in served.graph.predecessors.items()}
        self._failing: tuple[str, Failure] | None = None
        self._takeovers = 0
        self._probation = False

    # ── beginning ──

    def begin(self, *, takeovers: int = 0, probation: bool = False) -> list[Task]:
        """Record the start and return the attempts that can run at once.

        On `probation` (its last worker died) every attempt is on record before it runs, until there is progress.
        """
        self._takeovers, self._probation = takeovers, probation
        definition = self._served.definition
        facts = RunFacts(
            workflow=definition.workflow,
            version=definition.version,
            definition=definition.id,
            input=self.log.stored(self.claimed.input),
        )
        self.log.append(Kind.RUN_STARTED, facts)
        tasks = self._prepare(self._served.graph.roots)
        self.end_if_due()
        return tasks

    def take_over(
        self,
        loaded: LoadedRun,
        outputs: dict[str, bytes],
        *,
        takeovers: int,
        probation: bool,
        outcomes: Sequence[Command] = (),
    ) -> list[Task]:
        """Go on where the record ends, with `outcomes` that its inbox holds; then lost attempts are recorded as lost
        and tried again.
        """
        self.log.load(loaded)
        self._outputs = outputs
        self._takeovers, self._probation = takeovers, probation
        for step in outputs:
            self._release(step)
        self._take_waiting(outcomes)
        tasks: list[Task] = []
        for step, known in self.log.state.steps.items():
            if known.status is StepStatus.RUNNING:
                lost = Failure(type="WorkerLost", message="the worker died while this attempt ran", cause="lost")
                self._after_failure(step, known.attempt, known.facts, lost, self._now_ns())
            elif known.status is StepStatus.SCHEDULED:
                tasks += self._prepare((step,))
            elif known.status is StepStatus.RETRYING:
                self._wait(step, known.facts.retry_due or self._now_ns())
            elif known.status is StepStatus.FAILED and known.facts.failure is not None:
                self._failing = (step, known.facts.failure)
        tasks += self._prepare([step for step, left in self._left.items() if not left and self._is_untouched(step)])
        self.end_if_due()
        return tasks

    def _take_waiting(self, outcomes: Sequence[Command]) -> None:
        steps = self.log.state.steps.items()
        self.active = {step: known.attempt for step, known in steps if known.status in _OPEN}
        for command in outcomes:
            self.obey(command)
        for step, known in self.log.state.steps.items():
            if known.status in _OPEN:
                del self.active[step]

    def _is_untouched(self, step: str) -> bool:
        return step not in self.log.state.steps and step not in self.active

    def give_up(self, loaded: LoadedRun, *, takeovers: int) -> None:
        """End a run whose steps keep killing their worker, and put it among the dead letters."""
        self.log.load(loaded)
        suspects = [(name, step) for name, step in self.log.state.steps.items() if step.status is StepStatus.RUNNING]
        step = suspects[0][0] if suspects else None
        self._bury(step, suspects[0][1].attempt if suspects else 0, takeovers=takeovers)

    def _bury(self, step: str | None, attempt: int, *, takeovers: int) -> None:
        failure = Failure(
            type="WorkerLost",
            message=f"given up after {takeovers} takeovers without progress: "
            + (f"step {step!r} kills the process that runs it" if step else "its worker died each time"),
            cause="lost",
            retryable=False,
        )
        letter = DeadLetter(self.log.uuid, step, attempt, msgspec.json.encode(failure))
        self.log.end(Kind.RUN_FAILED, RunFacts(failure=failure, step=step, dead=True), dead=letter)

    def refuse(self, loaded: LoadedRun, failure: Failure) -> None:
        """End a run whose last values the store did not take."""
        self.log.load(loaded)
        if not loaded.events:
            self.log.append(Kind.RUN_STARTED, RunFacts(workflow=self.claimed.workflow, version=self.claimed.version))
        self.fail(failure)

    # ── steps ──

    @property
    def has_last_chance(self) -> bool:
        """Whether one more death of its worker, or none any more, makes this run the suspect: it goes on alone."""
        return self._takeovers >= TAKEOVERS_MAX - 1

    @property
    def _is_apart(self) -> bool:
        return self._takeovers >= TAKEOVERS_MAX

    def awaits(self, task: Task) -> bool:
        """Whether an outcome of `task` would count."""
        return not self.is_over and self.active.get(task.step) == task.attempt

    def retry(self, step: str) -> list[Task]:
        """Return the next attempt of a step whose backoff is over."""
        if self.is_over or self._failing is not None or self.log.state.steps[step].status is not StepStatus.RETRYING:
            return []
        self.waits.pop(step, None)
        return self._prepare((step,))

    def note_waiting(self, task: Task) -> None:
        """Record that an attempt waits for a slot, so that whoever looks can see it."""
        if self.log.status(task.step) in (StepStatus.PENDING, StepStatus.RETRYING):
            facts = StepFacts(scheduled=self._now_ns())
            self.log.append(Kind.STEP_SCHEDULED, facts, task.step, task.attempt)

    def note_started(self, task: Task, started_ns: int) -> None:
        """Record that an attempt runs: its outcome will come in a later flush."""
        if self.log.status(task.step) is not StepStatus.RUNNING:
            self.log.append(Kind.STEP_INPUT_RECORDED, self._started(task, started_ns), task.step, task.attempt)

    def take_outcome(self, sent: SentOutcome) -> None:
        """Record how an attempt ended that did not end in this worker's slots."""
        if self.is_over or self.active.get(sent.step) != sent.attempt:
            return
        task = self._task(sent.step, sent.attempt, self._served.graph.by_name[sent.step])
        self.record(task, sent.outcome, worker=IncarnationId(sent.worker))

    def record(self, task: Task, outcome: Outcome, *, worker: IncarnationId | None = None) -> None:
        """Record how an attempt ended, on `worker` where it is not this one; what depends on it goes behind the
        commit.  A late outcome of an attempt that was given up is dropped.
        """
        if not self.awaits(task):
            return
        del self.active[task.step]
        facts = self._started(task, outcome.started_ns, worker)
        if self._is_apart and outcome.failure is not None and outcome.failure.type == PROCESS_DIED:
            self._bury(task.step, task.attempt, takeovers=self._takeovers)
            return
        if outcome.failure is not None:
            facts = msgspec.structs.replace(facts, effects=outcome.effects)
            self._after_failure(task.step, task.attempt, facts, outcome.failure, outcome.finished_ns)
        else:
            assert outcome.output is not None, "an outcome has an output or a failure"
            self._completed(task, facts, outcome, outcome.output)
        self.end_if_due()

    def _completed(self, task: Task, facts: StepFacts, outcome: Outcome, output: bytes) -> None:
        done = StepFacts(
            scheduled=facts.scheduled,
            started=facts.started,
            worker=facts.worker,
            input=facts.input,
            code=facts.code,
            finished=outcome.finished_ns,
            output=self.log.stored(output),
            effects=outcome.effects,
        )
        self.log.append(Kind.STEP_COMPLETED, done, task.step, task.attempt, at=outcome.finished_ns)
        self._outputs[task.step] = output
        self._takeovers, self._probation = 0, False
        ready = self._release(task.step)
        if self._failing is None:
            self.log.buffer.after_commit += self._prepare(ready)

    def _after_failure(self, step: str, attempt: int, facts: StepFacts, failure: Failure, finished_ns: int) -> None:
        failures = self.log.state.steps[step].failures if step in self.log.state.steps else 0
        delay_s = retry_delay_s(
            self._served.graph.by_name[step].options,
            failure,
            failures=failures + 1,
            chance=self._chance(),
        )
        due = None if delay_s is None else finished_ns + int(delay_s * 1e9)
        failed = msgspec.structs.replace(facts, finished=finished_ns, failure=failure, retry_due=due)
        kind = Kind.STEP_FAILED if due is None else Kind.STEP_RETRIED
        self.log.append(kind, failed, step, attempt, at=finished_ns)
        if due is None:
            self._failing = self._failing or (step, failure)
        else:
            self._wait(step, due)

    # ── waiting ──

    def _wait(self, step: str, due: int) -> None:
        self.waits[step] = due
        self.retries.append((due, step))

    @property
    def ends_by(self) -> int | None:
        """When the run passes its own limit (ns), None where it has none."""
        limit = self.claimed.timeout_ms
        return None if limit is None else self.claimed.created_ns + limit * 1_000_000

    def asleep_until(self) -> int | None:
        """Return when a run that does nothing but wait must be looked at again (ns, FOREVER_NS: only after a message);
        None while there is something to do, or soon will be.
        """
        if not self.waits or self.active or self.is_over:
            return None
        dues = [due for due in (*self.waits.values(), self.ends_by) if due is not None]
        due = min(dues, default=FOREVER_NS)
        if due == FOREVER_NS:
            return due
        return due - WAKE_EARLY_NS if due > self._now_ns() + PARK_MIN_NS else None

    # ── ends ──

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, durable or not."""
        return self.log.is_over

    def end_if_due(self) -> None:
        """Record the end of a run that has nothing left to do: after a failure, once running siblings are done."""
        if self.is_over or self.active:
            return
        if self._failing is not None:
            step, failure = self._failing
            self.log.end(Kind.RUN_FAILED, RunFacts(failure=failure, step=step))
        elif len(self._outputs) == len(self._served.graph.nodes):
            try:
                output = self._served.graph.result.bytes_of(self.claimed.input, self._outputs)
            except InvalidInput as error:
                failure = Failure(type="InvalidInput", message=error.message, retryable=False)
                self.log.end(Kind.RUN_FAILED, RunFacts(failure=failure))
                return
            self.log.end(Kind.RUN_COMPLETED, RunFacts(output=self.log.stored(output)))

    def fail(self, failure: Failure) -> None:
        """End the run now, whatever runs."""
        if not self.is_over:
            self.log.end(Kind.RUN_FAILED, RunFacts(failure=failure))

    def cancel(self, *, reason: str, by: str) -> None:
        """End the run by request, whatever runs."""
        if not self.is_over:
            self.log.end(Kind.RUN_CANCELLED, RunFacts(reason=reason, by=by))

    def obey(self, command: Command) -> None:
        """Turn an inbox row into events; it is deleted in the flush that makes them durable.

        An end that still waits for its flush is taken back: a cancel that was accepted is not forgotten.
        """
        assert not self.log.is_ending, "a command is obeyed before the end is under way, or after it was refused"
        self.log.inbox_seen += 1
        self.log.buffer.drained.append(command.id)
        self.log.withdraw_end()
        COMMANDS[command.kind](self, command.body)

    # ── plumbing ──

    def _prepare(self, steps: tuple[str, ...] | list[str]) -> list[Task]:
        """Bind the inputs of `steps`; those that must be on record before they run go behind the next commit."""
        now: list[Task] = []
        for step in steps:
            node = self._served.graph.by_name[step]
            known = self.log.state.steps.get(step)
            task = self._bind(step, node, known)
            if task is None:
                continue
            self.active[step] = task.attempt
            if self._probation:
                self.suspects.append(task)
            elif node.options.effect == "external":
                self.begin_on_record(task)
            else:
                now.append(task)
        return now

    def begin_on_record(self, task: Task) -> None:
        """Record that an attempt runs before it does."""
        self.note_started(task, self._now_ns())
        self.log.buffer.after_commit.append(task)

    def _bind(self, step: str, node: Node, known: StepState | None) -> Task | None:
        attempt = 1
        if known is not None:
            attempt = known.attempt + (known.status is StepStatus.RETRYING)
        try:
            return self._task(step, attempt, node)
        except InvalidInput as error:
            now = self._now_ns()
            failure = Failure(type="InvalidInput", message=error.message, retryable=False)
            facts = StepFacts(scheduled=now, started=now, worker=self._worker)
            self._after_failure(step, attempt, facts, failure, now)
            return None

    def _task(self, step: str, attempt: int, node: Node) -> Task:
        data = self._served.graph.bindings[step].bytes_of(self.claimed.input, self._outputs)
        options = node.options
        executor = "process" if self._is_apart else options.executor
        return Task(self.id, StepName(step), attempt, node.target, data, options.timeout_s, executor)

    def _release(self, step: str) -> list[str]:
        left, ready = self._left, []
        for follower in self._served.graph.successors[step]:
            left[follower] -= 1
            if not left[follower]:
                ready.append(follower)
        return ready

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
            code=self._served.definition.codes.get(task.step),
        )
