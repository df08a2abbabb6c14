"""What a run does next: attempts, their outcomes, and what those set free.

Rule 1: whatever depends on an outcome waits in `after_commit` until the flush that holds the outcome is acknowledged.
Rule 2: which step comes next is the plan's word (`core.plan`), how it begins that of its kind (`engine.kinds`).
Rule 3: once a step has failed for good nothing begins any more; what runs may end and is recorded.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kronos.core.events import Attribute, Failure, Kind, RunFacts, StepFacts
from kronos.core.graph import node_name
from kronos.core.inputs import UNDO
from kronos.core.retry import retry_delay_s
from kronos.core.state import StepStatus
from kronos.engine.attempts import Attempts
from kronos.engine.kinds import KINDS
from kronos.engine.offers import offer_name, offer_one, spread
from kronos.engine.outcomes import SentOutcome
from kronos.engine.slots.processes import PROCESS_DIED
from kronos.engine.tasks import Outcome, Task
from kronos.errors import InvalidInput
from kronos.kernel.ids import IncarnationId
from kronos.ports.queue import DeadLetter

__all__ = ["Progress"]

_ON_RECORD: Final = frozenset({"external", "tx"})
"""Effects whose attempt is on record before its code runs.  A database step's outcome may wait in the inbox of a run
whose owner died: the next owner then knows which attempt it is of.
"""


class Progress(Attempts):
    """The part of an owned run that goes forward."""

    __slots__ = ()

    # ── what comes next ──

    def advance(self) -> list[Task]:
        """Begin what is ready and end what has ended inside, until there is nothing of either."""
        plan, tasks = self.plan, list[Task]()
        if self.log.is_over:
            return tasks
        held = self.is_held
        while self._failing is None and self._undoing is None:
            if plan.ended:
                self._close(plan.ended.popleft())
            elif held:
                break
            elif self._rationed and (rationed := self._next_rationed()) is not None:
                tasks += self.begin_step(rationed)
            elif plan.ready:
                tasks += self.begin_step(plan.ready.popleft())
            elif not plan.more():
                break
        return tasks

    def begin_step(self, step: str) -> list[Task]:
        """Begin a step as its kind says; one whose input cannot be bound fails."""
        try:
            return KINDS[self._graph.kind_of(step)](self, step)
        except InvalidInput as error:
            self._refuse_step(step, error)
            return []

    def attempt(self, step: str) -> list[Task]:
        """Return the next attempt; one that must be on record before it runs goes behind the next commit.

        Where the budget is used up there is none, and the run fails; where attempts in hand may use it up it waits.
        """
        if self._graph.budget is not None and self._is_broke(step):
            return []
        if self._must_wait(step):
            return []
        task = self._task(step, self._next_attempt(step))
        self.active[step] = task.attempt
        options = self._graph.by_name[node_name(step)].options
        if options.queue is not None:
            self.note_waiting(task)
            self.log.buffer.beside.offered.append(offer_one(self._served.definition.id, task, options))
        elif self._probation:
            self.suspects.append(task)
        elif options.effect in _ON_RECORD:
            self.begin_on_record(task)
        else:
            return [task]
        return []

    def _is_broke(self, step: str) -> bool:
        budget = self._graph.budget
        if budget is None or step.startswith(UNDO):
            return False
        steps, spent = self.log.state.steps, self.log.state.spent
        handed_out = sum(step not in steps or steps[step].attempt < attempt for step, attempt in self.active.items())
        why = budget.used_up_by(msgspec.structs.replace(spent, attempts=spent.attempts + handed_out))
        if why is None:
            return False
        message = f"step {step!r} was not begun: {why}"
        self._failing = (step, Failure(type="BudgetExceeded", message=message, retryable=False))
        return True

    def may_spread(self, task: Task) -> bool:
        """Whether any worker may execute an attempt: not where it is on record as begun here, or has a process."""
        is_fresh = self.log.status(task.step) in (StepStatus.PENDING, StepStatus.RETRYING)
        return is_fresh and task.executor != "process" and not self._probation

    def spread(self, tasks: list[Task]) -> None:
        """Offer `tasks` to other workers: they are this run's, and awaited like its own."""
        self.log.buffer.beside.offered += spread(self._served.definition.id, tasks)

    def open(self, step: str, *, elements: int | None = None, arm: str | None = None) -> None:
        """Record that a node that holds others was opened."""
        now = self._now_ns()
        facts = StepFacts(scheduled=now, started=now, elements=elements, arm=arm, wait="inside")
        self.log.append(Kind.STEP_EXPANDED, facts, step, self._next_attempt(step), at=now)

    def wait_for(self, step: str) -> None:
        """Record that a step waits for a time, a message or somebody's word."""
        raise NotImplementedError

    def skip(self, step: str) -> None:
        """Record that a step will not be taken."""
        if self.log.status(step) is StepStatus.PENDING:
            self.log.append(Kind.STEP_SKIPPED, StepFacts(), step, 1)

    def rounds_max(self, loop: str) -> int:
        """Return the bound of a loop."""
        return self._graph.by_name[loop].control.rounds_max

    def start_child(self, step: str) -> None:
        """Start the run that a step waits for."""
        raise NotImplementedError

    def finish(self, step: str, output: bytes) -> None:
        """Record the end of a step that executes nothing."""
        now = self._now_ns()
        done = StepFacts(scheduled=now, started=now, finished=now, output=self.log.stored(output))
        self.log.append(Kind.STEP_COMPLETED, done, step, self._next_attempt(step), at=now)
        self.plan.complete(step, output)

    def _close(self, step: str) -> None:
        """Record the output of a node whose inside has ended."""
        known, now = self.log.state.steps[step], self._now_ns()
        try:
            result = self.plan.result_of(step)
        except InvalidInput as error:
            self._refuse_step(step, error)
            return
        if isinstance(result, Failure):
            self._after_failure(step, known.attempt, known.facts, result, now)
            return
        done = msgspec.structs.replace(known.facts, finished=now, output=self.log.stored(result))
        self.log.append(Kind.STEP_COMPLETED, done, step, known.attempt, at=now)
        self.plan.complete(step, result)

    def _refuse_step(self, step: str, error: InvalidInput) -> None:
        now = self._now_ns()
        failure = Failure(type="InvalidInput", message=error.message, retryable=False)
        known = self.log.state.steps.get(step)
        running = known is not None and known.status is StepStatus.RUNNING
        facts = known.facts if known and running else StepFacts(scheduled=now, started=now, worker=self._worker)
        self._after_failure(step, self._next_attempt(step), facts, failure, now)

    def retry(self, step: str) -> list[Task]:
        """Return the next attempt of a step whose backoff is over."""
        if self.is_over or self._failing is not None or self.log.state.steps[step].status is not StepStatus.RETRYING:
            return []
        self.waits.pop(step, None)
        return [*self.begin_step(step), *self.advance()]

    # ── outcomes ──

    def take_outcome(self, sent: SentOutcome) -> None:
        """Record how an attempt ended that did not end in this worker's slots."""
        if self.is_over or self.active.get(sent.step) != sent.attempt:
            return
        task = self._task(sent.step, sent.attempt)
        if self.claimed.claims > 1 and self._graph.by_name[node_name(sent.step)].options.queue is not None:
            self.log.buffer.beside.withdraw(offer_name(task))  # whoever took over may have offered it again
        self.record(task, sent.outcome, worker=IncarnationId(sent.worker))

    def record(self, task: Task, outcome: Outcome, *, worker: IncarnationId | None = None) -> None:
        """Record how an attempt ended, on `worker` where it is not this one; what depends on it goes behind the
        commit.  A late outcome of an attempt that was given up is dropped.
        """
        if not self.awaits(task):
            return
        del self.active[task.step]
        if outcome.failure is not None and self._is_apart and outcome.failure.type == PROCESS_DIED:
            self._bury(task.step, task.attempt, takeovers=self._takeovers)
            return
        if outcome.attributes:
            self.note_attributes(outcome.attributes)
        if outcome.failure is not None:
            facts = self._started(task, outcome.started_ns, worker)
            facts = msgspec.structs.replace(facts, effects=outcome.effects, costs=outcome.costs)
            self._after_failure(task.step, task.attempt, facts, outcome.failure, outcome.finished_ns)
            self.log.buffer.after_commit += self.advance() if self._rationed else []
        else:
            assert outcome.output is not None, "an outcome has an output or a failure"
            self._completed(task, outcome, outcome.output, worker)
        self.end_if_due()

    def _completed(self, task: Task, outcome: Outcome, output: bytes, worker: IncarnationId | None) -> None:
        done = self._done(task, outcome, self.log.stored(output), worker)
        self.log.append(Kind.STEP_COMPLETED, done, task.step, task.attempt, at=outcome.finished_ns)
        self._takeovers, self._probation = 0, False
        self.plan.complete(task.step, output)
        self.log.buffer.after_commit += self.advance()

    def _after_failure(self, step: str, attempt: int, facts: StepFacts, failure: Failure, finished_ns: int) -> None:
        failures = self.log.state.steps[step].failures if step in self.log.state.steps else 0
        delay_s = retry_delay_s(
            self._graph.by_name[node_name(step)].options,
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

    def _wait(self, step: str, due: int) -> None:
        self.waits[step] = due
        self.retries.append((due, step))

    # ── ends ──

    def _bury(self, step: str | None, attempt: int, *, takeovers: int) -> None:
        failure = Failure(
            type="WorkerLost",
            message=f"given up after {takeovers} takeovers without progress: "
            + (f"step {step!r} kills the process that runs it" if step else "its worker died each time"),
            cause="lost",
            retryable=False,
        )
        letter = DeadLetter(self.log.uuid, step, attempt, msgspec.json.encode(failure))
        self._demand(Kind.RUN_FAILED, RunFacts(failure=failure, step=step, dead=True), letter)

    def _demand(self, kind: Kind, facts: RunFacts, letter: DeadLetter | None = None) -> None:
        """End the run now, whatever runs; the first one who asks is heard."""
        self._demanded = self._demanded or (kind, facts, letter)
        self.end_if_due()

    def note_attributes(self, attributes: dict[str, Attribute | None]) -> None:
        """Set searchable attributes."""
        raise NotImplementedError

    def end_if_due(self) -> None:
        """Record the end of a run that has nothing left to do."""
        raise NotImplementedError
