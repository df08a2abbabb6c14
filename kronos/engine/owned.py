"""One run in its owner's hands, from its beginning or a takeover to its end.

Rule 1: what it does in between is `engine.progress`.
Rule 2: no thread but the owner loop's touches this object.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from kronos.core.asking import is_waiting
from kronos.core.events import Failure, Kind, RunFacts
from kronos.core.inputs import RunOutputs
from kronos.core.options import Executor
from kronos.core.plan import Plan, is_open
from kronos.core.state import Run, StepState, StepStatus
from kronos.engine.attempts import TAKEOVERS_MAX
from kronos.engine.commands import ENDINGS, Unreadable, is_about, put_aside, understand
from kronos.engine.compensation import Compensation
from kronos.engine.serving import Served
from kronos.engine.tasks import Task
from kronos.errors import InvalidInput
from kronos.kernel.ids import IncarnationId
from kronos.ports.queue import ClaimedRun, Command, LoadedRun

__all__ = ["DEATHS_MAX", "TAKEOVERS_MAX", "OwnedRun"]

DEATHS_MAX: Final = 6
"""Takeovers without progress after which a run goes to the dead letters unheard: its steps may kill other processes."""
WORKER_LOST: Final = Failure(type="WorkerLost", message="the worker died while this attempt ran", cause="lost")

_OPEN: Final = frozenset({StepStatus.SCHEDULED, StepStatus.RUNNING})
"""Attempts whose outcome may be on its way when the run changes hands."""


class OwnedRun(Compensation):
    """A run that this incarnation advances."""

    __slots__ = ("flushing", "parking")

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
        super().__init__(claimed, served, worker=worker, now_ns=now_ns, chance=chance, room=room)
        self.flushing = False
        self.parking = False
        """Whether a flush under way gives this run back: nothing of it counts any more unless that is refused."""

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
            child_of=_text(self.claimed.child_of),
            child_step=self.claimed.child_step,
            continues=_text(self.claimed.continues),
            timeout_ms=self.claimed.timeout_ms,
        )
        self.log.append(Kind.RUN_STARTED, facts)
        self.plan.begin()
        tasks = self.advance()
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
        state: Run | None = None,
    ) -> list[Task]:
        """Go on where the record ends (`state` is its fold), with `outcomes` that its inbox holds; then lost attempts
        are recorded as lost and tried again.
        """
        self.log.load(loaded, state)
        lost = self._go_on()
        self._takeovers, self._probation = takeovers, probation
        self.plan = Plan(self._graph, self.claimed.input, RunOutputs(outputs))
        self.plan.resume(self.steps)
        self._failing = self._failure_on_record()
        self._undoing = self.log.state.compensating
        later = self._take_waiting(outcomes)
        tasks: list[Task] = []
        for step, known in sorted(self.steps.items(), key=_by_name):
            if known.status is StepStatus.RUNNING and known.facts.wait == "child" and lost is WORKER_LOST:
                self.waits[step] = None
            elif known.status is StepStatus.RUNNING and not is_open(known) and not is_waiting(known):
                self._lose(step, known, lost)
            elif known.status is StepStatus.SCHEDULED and self._failing is None and self._undoing is None:
                tasks += self.begin_step(step)
            elif known.status is StepStatus.RETRYING:
                self._wait(step, known.facts.retry_due or self._now_ns())
        self.take_up_waits()
        tasks += self.advance() if self._undoing is None else self.undo_next()
        for command in later:
            self.obey(command)
        self.end_if_due()
        return [task for task in tasks if self.awaits(task)]

    @property
    def steps(self) -> Mapping[str, StepState]:
        """The steps on record."""
        return self.log.state.steps

    def _go_on(self) -> Failure:
        """Return why an attempt on record does not run any more."""
        return WORKER_LOST

    def _lose(self, step: str, known: StepState, lost: Failure) -> None:
        self._after_failure(step, known.attempt, known.facts, lost, self._now_ns())

    def _failure_on_record(self) -> tuple[str, Failure] | None:
        steps = self.steps.items()
        failed = [(known.facts.finished or 0, step) for step, known in steps if known.status is StepStatus.FAILED]
        if not failed:
            return None
        _, step = min(failed)
        failure = self.log.state.steps[step].facts.failure
        assert failure is not None, "a failed step has a failure"
        return step, failure

    def _take_waiting(self, outcomes: Sequence[Command]) -> list[Command]:
        """Obey those of attempts on record; return those of steps that were spread and are not."""
        steps = self.steps.items()
        self.active = {step: known.attempt for step, known in steps if known.status in _OPEN and not known.facts.wait}
        later = [command for command in outcomes if not is_about(command, self.active)]
        for command in outcomes:
            if command not in later:
                self.obey(command)
        for step, known in self.steps.items():
            if known.status in _OPEN:
                self.active.pop(step, None)
        return later

    def give_up(self, loaded: LoadedRun, *, takeovers: int) -> None:
        """End a run whose steps keep killing their worker, and put it among the dead letters."""
        self.log.load(loaded)
        steps = self.log.state.steps.items()
        suspects = [each for each in steps if each[1].status is StepStatus.RUNNING and each[1].facts.wait is None]
        step = suspects[0][0] if suspects else None
        self._bury(step, suspects[0][1].attempt if suspects else 0, takeovers=takeovers)

    def refuse(self, loaded: LoadedRun, failure: Failure) -> None:
        """End a run whose last values the store did not take."""
        self.log.load(loaded)
        self._is_refused = True
        if not loaded.events:
            self.log.append(Kind.RUN_STARTED, RunFacts(workflow=self.claimed.workflow, version=self.claimed.version))
        self.fail(failure)

    # ── ends ──

    def end_if_due(self) -> None:
        """Record the end of a run that has nothing left to do: after a failure, once running siblings are done."""
        if self._demanded is not None:
            self._end_as_demanded()
            return
        if self._undoing is not None:
            self.log.buffer.after_commit += self.undo_next()
            return
        if self.active or self.is_over:
            return
        if self._failing is not None:
            if self.is_held:
                return  # what its failure sets off waits for resume, as all that follows does
            step, failure = self._failing
            self.conclude(Kind.RUN_FAILED, RunFacts(failure=failure, step=step))
        elif self.plan.is_done:
            try:
                output = self._graph.result.bytes_of(self.claimed.input, self.plan.outputs)
            except InvalidInput as error:
                failure = Failure(type="InvalidInput", message=error.message, retryable=False)
                self.conclude(Kind.RUN_FAILED, RunFacts(failure=failure))
                return
            self.log.end(Kind.RUN_COMPLETED, RunFacts(output=self.log.stored(output)), successor=self._successor())

    def _end_as_demanded(self) -> None:
        if not self.is_over and self._demanded is not None:
            kind, facts, letter = self._demanded
            self.conclude(kind, facts, letter)

    def fail(self, failure: Failure) -> None:
        """End the run now, whatever runs."""
        self._demand(Kind.RUN_FAILED, RunFacts(failure=failure))

    def cancel(self, *, reason: str, by: str) -> None:
        """End the run by request, whatever runs."""
        self._demand(Kind.RUN_CANCELLED, RunFacts(reason=reason, by=by))

    def adopt(self, *, definition: str, version: str, by: str, reason: str) -> None:
        """Record that the run goes on under another definition: the one under which it was claimed."""
        if not self.is_over:
            facts = RunFacts(definition=definition, version=version, by=by, reason=reason)
            self.log.append(Kind.RUN_ADOPTED, facts)

    def obey(self, command: Command) -> None:
        """Turn an inbox row into events; it is deleted in the flush that makes them durable.

        An end that still waits for its flush is taken back and comes after: nothing that was accepted is forgotten.
        """
        assert not self.log.is_ending, "a command is obeyed before the end is under way, or after it was refused"
        self.log.inbox_seen += 1
        try:
            order = understand(command)
        except Unreadable as error:
            self._put_aside(command, str(error))
            return
        drained = self.log.buffer.beside.drained_by_end if command.kind in ENDINGS else self.log.buffer.beside.drained
        drained.append(command.id)
        self.log.withdraw_end()
        order(self)

    def _put_aside(self, command: Command, why: str) -> None:
        self.log.buffer.beside.drained.append(command.id)
        self.log.withdraw_end()
        self.log.append(Kind.RUN_SIGNALLED, put_aside(command, why))
        self.end_if_due()


def _text(run: uuid.UUID | None) -> str | None:
    return None if run is None else str(run)


def _by_name(step: tuple[str, StepState]) -> str:
    return step[0]
