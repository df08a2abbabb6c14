"""Runs that a run starts: children, which a step waits for, and the successor that takes its place.

Rule: what is started is inserted in the flush that makes its start a fact, so whoever dies, there is one of it or none.
"""

from __future__ import annotations

import msgspec

from kronos.core.children import CONTINUE
from kronos.core.events import Failure, Kind, StepFacts
from kronos.core.families import ChildEnded, run_id_of
from kronos.core.state import Phase, StepStatus
from kronos.engine.conversation import Conversation
from kronos.kernel.hashing import input_digest
from kronos.ports.queue import RunStart

__all__ = ["Kinship"]


class Kinship(Conversation):
    """The part of an owned run that starts others."""

    __slots__ = ()

    def start_child(self, step: str) -> None:
        """Start the run that a step waits for; it is inserted in the flush that makes this a fact."""
        now, attempt = self._now_ns(), self._next_attempt(step)
        data, limit_s = self.plan.inputs.of(step), self._graph.by_name[step].options.timeout_s
        run = run_id_of(self.log.uuid, step, attempt, at_ns=now)
        facts = StepFacts(scheduled=now, started=now, input=input_digest(data), wait="child", child=str(run))
        self.log.append(Kind.STEP_INPUT_RECORDED, facts, step, attempt, at=now)
        limit_ms = None if limit_s is None else max(1, int(limit_s * 1000))
        definition = self._served.definition.codes[step]
        self.log.buffer.beside.starts.append(RunStart(run, self.log.uuid, step, attempt, definition, data, limit_ms))
        self.waits[step] = None

    def child_ended(self, ended: ChildEnded) -> None:
        """Record how a run ended that a step of this one had started."""
        known = self.log.state.steps.get(ended.step)
        if self.is_over or known is None or known.status is not StepStatus.RUNNING or known.attempt != ended.attempt:
            return
        self.waits.pop(ended.step, None)
        facts, now = msgspec.structs.replace(known.facts, child=ended.child), self._now_ns()
        if ended.phase == Phase.COMPLETED:
            output = bytes(ended.output)
            done = msgspec.structs.replace(facts, finished=now, output=self.log.stored(output))
            self.log.append(Kind.STEP_COMPLETED, done, ended.step, ended.attempt, at=now)
            self._takeovers, self._probation = 0, False
            self.plan.complete(ended.step, output)
            self.log.buffer.after_commit += self.advance()
        else:
            why = "" if ended.failure is None else f": {ended.failure.type}: {ended.failure.message}"
            failure = Failure(type="ChildFailed", message=f"child run {ended.child} is {ended.phase}{why}")
            self._after_failure(ended.step, ended.attempt, facts, failure, now)
        self.end_if_due()

    def _successor(self) -> RunStart | None:
        """Return the run that takes the place of this one, None where it simply ends."""
        if self.log.status(CONTINUE) is not StepStatus.COMPLETED or CONTINUE not in self._graph.by_name:
            return None
        run = run_id_of(self.log.uuid, CONTINUE, 1, at_ns=self._now_ns())
        data = self.plan.inputs.of(CONTINUE)
        return RunStart(run, self.log.uuid, None, 1, self.claimed.definition, data, self.claimed.timeout_ms)
