"""A fork in its owner's hands: it branches off where its parent stood, and executes what is not done.

Rule 1: `run_forked` is the first event of its own and says all that it changes; from then on it is a run like any
        other, and survives like any other.
Rule 2: what had failed for good is tried anew with all its retries; an attempt that ran there goes on there, not here.
Rule 3: a step whose outcome is given or taken over goes on record as if it had ended here, before what depends on it
        begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from kronos.core.events import Failure, Kind, RunFacts, StepFacts
from kronos.core.forking import encode_fork
from kronos.core.graph import node_name
from kronos.core.state import StepState, StepStatus
from kronos.engine.forking import Ground
from kronos.engine.owned import OwnedRun
from kronos.engine.serving import Served
from kronos.engine.tasks import Task
from kronos.errors import InvalidInput
from kronos.kernel.hashing import input_digest
from kronos.ports.queue import ClaimedRun

__all__ = ["ForkedRun"]


class ForkedRun(OwnedRun):
    """A fork that this incarnation advances."""

    __slots__ = ("_dropped", "_ground")

    def __init__(self, claimed: ClaimedRun, served: Served, ground: Ground, **around: Any) -> None:
        super().__init__(claimed, served, **around)
        self._ground: Final = ground
        self._dropped: frozenset[str] = frozenset()

    @property
    def steps(self) -> Mapping[str, StepState]:
        """The steps on record, without those that the fork's code dropped."""
        known, dropped = self.log.state.steps, self._dropped
        return {step: state for step, state in known.items() if step not in dropped} if dropped else known

    # ── branching off ──

    def _go_on(self) -> Failure:
        nodes = self._graph.by_name
        self._dropped = frozenset(step for step in self.log.state.steps if node_name(step) not in nodes)
        if self.log.state.seq > self.claimed.parent_seq:
            return super()._go_on()
        self._branch_off()
        message = f"this attempt went on in run {self.claimed.parent}, from which this one was forked"
        return Failure(type="LeftBehind", message=message, cause="lost")

    def _branch_off(self) -> None:
        definition = self._served.definition
        facts = RunFacts(
            workflow=definition.workflow,
            version=definition.version,
            definition=definition.id,
            input=self.log.stored(self.claimed.input),
            parent=str(self.claimed.parent),
            parent_seq=self.claimed.parent_seq,
            changes=self.log.stored(encode_fork(self._ground.fork)),
            timeout_ms=self.claimed.timeout_ms,
        )
        self.log.append(Kind.RUN_FORKED, facts)
        for step, known in self.steps.items():
            opened = known.facts.elements is not None or known.facts.arm is not None
            if known.status is StepStatus.FAILED and not opened:
                anew = msgspec.structs.replace(known.facts, retry_due=self._now_ns(), anew=True)
                self.log.append(Kind.STEP_RETRIED, anew, step, known.attempt)

    def _lose(self, step: str, known: StepState, lost: Failure) -> None:
        if not self._stands_in(step):
            super()._lose(step, known, lost)

    # ── steps ──

    def begin_step(self, step: str) -> list[Task]:
        """Begin a step, unless its outcome is given, taken over, or may not be had."""
        return [] if self._stands_in(step) else super().begin_step(step)

    def attempt(self, step: str) -> list[Task]:
        """Return the next attempt; behind the next commit where there is one, for it may hold what this depends on."""
        tasks = super().attempt(step)
        if not self.log.buffer.rows:
            return tasks
        self.log.buffer.after_commit += tasks
        return []

    def _task(self, step: str, attempt: int) -> Task:
        task = super()._task(step, attempt)
        return msgspec.structs.replace(task, input=self._ground.fork.arguments(step, task.input))

    def _stands_in(self, step: str) -> bool:
        """Record the outcome of a step that need not, or may not, be executed; return whether there was one."""
        attempt, now = self._next_attempt(step), self._now_ns()
        begun = StepFacts(scheduled=now, started=now, worker=self._worker)
        try:
            given = self._ground.replaced_output(step)
            if given is not None:
                done = msgspec.structs.replace(begun, finished=now, output=self.log.stored(given), replaced=True)
                return self._stand_in(step, attempt, done, given)
            if self._graph.kind_of(step) != "step":
                return False
            digest = input_digest(self._task(step, attempt).input)
        except InvalidInput as error:
            self._refuse_step(step, error)
            return True
        node = self._graph.by_name[node_name(step)]
        found = self._ground.outcome(step, node, digest)
        if found is not None:
            taken = msgspec.structs.replace(found.facts, output=self.log.stored(found.output))
            return self._stand_in(step, attempt, taken, found.output)
        refusal = self._ground.refusal(step, node)
        if refusal is not None:
            self._after_failure(step, attempt, begun, refusal, now)
        return refusal is not None

    def _stand_in(self, step: str, attempt: int, facts: StepFacts, output: bytes) -> bool:
        self.log.append(Kind.STEP_COMPLETED, facts, step, attempt)
        self.plan.complete(step, output)
        return True
