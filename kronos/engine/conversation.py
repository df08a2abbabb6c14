"""What a run waits for and what is said to it: timers, messages, decisions, pauses, attributes.

Rule 1: a message is on record before anything comes of it; it is taken by one step, the oldest message first.
Rule 2: a held run begins nothing and does not fail; what runs may end, what is due may come due: that is recorded.
Rule 3: a rejection that no step reads fails the run: what comes after an approval must not happen without it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kronos.core.asking import AskApproval, AskSignal, Decided, asked_of, due_of, is_waiting, read_asked
from kronos.core.events import Attribute, Failure, Kind, RunFacts, StepFacts
from kronos.core.graph import node_name
from kronos.core.state import StepState, StepStatus
from kronos.engine.progress import Progress
from kronos.engine.tasks import Task
from kronos.kernel import canonical
from kronos.kernel.hashing import input_digest

__all__ = ["FOREVER_NS", "PARK_MIN_NS", "Conversation"]

FOREVER_NS: Final = 2**63 - 1
PARK_MIN_NS: Final = 5_000_000_000
"""A run that waits longer than this is given back; a shorter wait is cheaper in memory than a claim and a load."""
WAKE_EARLY_NS: Final = 1_000_000_000
"""It is claimed again this long before, so that what it waits for happens to the millisecond."""


class Conversation(Progress):
    """The part of an owned run that waits and listens."""

    __slots__ = ()

    # ── waiting ──

    def wait_for(self, step: str) -> None:
        """Record that a step waits; end it at once where its message is already here."""
        kind, data, now = self._graph.kind_of(step), self.plan.inputs.of(step), self._now_ns()
        asked = read_asked(kind, data)
        facts = StepFacts(
            scheduled=now,
            due=due_of(asked, now),
            started=now,
            wait=kind,  # type: ignore[arg-type] # KINDS names those that wait
            input=input_digest(data),
            asks=msgspec.Raw(data),
        )
        self.log.append(Kind.STEP_INPUT_RECORDED, facts, step, self._next_attempt(step), at=now)
        self._await(step, facts)

    def take_up_waits(self) -> None:
        """Wait again for what the record says is waited for."""
        for step, known in sorted(self.log.state.steps.items()):
            if is_waiting(known) and step not in self.waits:
                self._await(step, known.facts)

    def _await(self, step: str, facts: StepFacts) -> None:
        self.waits[step] = facts.due
        if facts.due is not None:
            self.retries.append((facts.due, step))
        if facts.wait == "signal":
            self._deliver(step)

    def retry(self, step: str) -> list[Task]:
        """Return what begins now that `step` is due: its next attempt, or what follows its wait."""
        known = self.log.state.steps.get(step)
        if known is None or self.is_over:
            return []
        if is_waiting(known):
            self._expire(step, known)
            self.end_if_due()
            return []
        if self.is_held and known.status is StepStatus.RETRYING:
            self.waits.pop(step, None)
            self.plan.ready.append(step)
            return []
        begun = super().retry(step)
        self.end_if_due()
        return begun

    def _expire(self, step: str, known: StepState) -> None:
        asked = asked_of(known)
        if isinstance(asked, AskSignal):
            if asked.default is not msgspec.UNSET:
                self._end_wait(step, bytes(asked.default))
                return
            message = f"no signal {asked.name!r} came within {asked.timeout:g} s"
            self._fail_wait(step, Failure(type="StepTimeout", message=message, cause="timeout", retryable=False))
        elif isinstance(asked, AskApproval):
            why = f"nobody decided within {asked.timeout:g} s"
            self._decided(step, Decided(approved=False, reason=why, timed_out=True))
        else:
            self._end_wait(step, b"null")

    def _end_wait(self, step: str, output: bytes, *, signal: int | None = None) -> None:
        known, now = self.log.state.steps[step], self._now_ns()
        done = msgspec.structs.replace(known.facts, finished=now, output=self.log.stored(output), signal=signal)
        self.log.append(Kind.STEP_COMPLETED, done, step, known.attempt, at=now)
        self.waits.pop(step, None)
        self.plan.complete(step, output)
        self.log.buffer.after_commit += self.advance()

    def _fail_wait(self, step: str, failure: Failure) -> None:
        known = self.log.state.steps[step]
        self.waits.pop(step, None)
        self._after_failure(step, known.attempt, known.facts, failure, self._now_ns())

    @property
    def ends_by(self) -> int | None:
        """When the run passes its own limit (ns), None where it has none."""
        limit = self.claimed.timeout_ms
        return None if limit is None else self.claimed.created_ns + limit * 1_000_000

    def asleep_until(self) -> int | None:
        """Return when a run that does nothing but wait must be looked at again (ns, FOREVER_NS: only after a message);
        None while there is something to do, or soon will be.
        """
        if self.active or self.is_over or self._demanded is not None or not (self.waits or self.is_held):
            return None
        dues = [due for due in (*self.waits.values(), self.ends_by) if due is not None]
        due = min(dues, default=FOREVER_NS)
        if due == FOREVER_NS:
            return due
        return due - WAKE_EARLY_NS if due > self._now_ns() + PARK_MIN_NS else None

    # ── messages ──

    def signal(self, *, name: str, value: msgspec.Raw, by: str, key: str) -> None:
        """Record a message, and give the oldest one of its name to the step that waits for it.

        One whose `key` is on record already was sent again: nothing comes of it.
        """
        if not key or key not in self.log.state.notes.keys:
            self.log.append(Kind.RUN_SIGNALLED, RunFacts(signal=name, value=value, by=by, key=key or None))
            for step in self._awaiting(name):
                self._deliver(step)
        self.end_if_due()

    def _awaiting(self, name: str) -> list[str]:
        """Return the steps that wait for a message called `name`, the one that began first first."""
        steps = self.log.state.steps
        found = [step for step in self.waits if is_waiting(steps[step]) and _name_of(steps[step]) == name]
        return sorted(found, key=lambda step: (steps[step].facts.started or 0, step))

    def _deliver(self, step: str) -> None:
        known = self.log.state.steps[step]
        name = _name_of(known)
        found = next((each for each in self.log.state.notes.signals if each.name == name), None)
        if found is not None:
            self._end_wait(step, bytes(found.value), signal=found.seq)

    def decide(self, *, step: str, approved: bool, by: str, reason: str) -> None:
        """Record who approved or rejected what, and why; it ends the wait unless that is over."""
        said = msgspec.Raw(b"true" if approved else b"false")
        self.log.append(Kind.RUN_SIGNALLED, RunFacts(step=step, value=said, by=by, reason=reason))
        known = self.log.state.steps.get(step)
        if known is not None and is_waiting(known) and known.facts.wait == "approval":
            self._decided(step, Decided(approved=approved, by=by, reason=reason))
        self.end_if_due()

    def _decided(self, step: str, decided: Decided) -> None:
        if decided.approved or node_name(step) in self._graph.read:
            self._end_wait(step, canonical.encode(decided))
            return
        why = f": {decided.reason}" if decided.reason else ""
        said = f"{decided.by or 'somebody'} rejected {step!r}{why}"
        if decided.timed_out:
            said = f"{step!r} was not approved{why}"
        self._fail_wait(step, Failure(type="Rejected", message=said, retryable=False))

    # ── holding ──

    def pause(self, *, by: str, reason: str) -> None:
        """Begin nothing new until `resume`."""
        if self.log.state.notes.pause is None:
            self.log.append(Kind.RUN_PAUSED, RunFacts(by=by, reason=reason))
        self.end_if_due()

    def resume(self, *, by: str, reason: str) -> None:
        """Go on with what was held back; it begins behind the commit."""
        if self.is_held:
            self.log.append(Kind.RUN_RESUMED, RunFacts(by=by, reason=reason))
            self.log.buffer.after_commit += self.advance()
        self.end_if_due()

    def hold_back(self, tasks: list[Task]) -> list[Task]:
        """Return which of `tasks`, that no slot has yet, may begin: none while the run is held."""
        if not self.is_held:
            return tasks
        for task in tasks:
            if self.awaits(task):
                del self.active[task.step]
                self.plan.ready.append(task.step)
        return []

    # ── attributes ──

    def attribute(self, attributes: dict[str, Attribute | None]) -> None:
        """Set searchable attributes; None removes one."""
        self.note_attributes(attributes)
        self.end_if_due()

    def note_attributes(self, attributes: dict[str, Attribute | None]) -> None:
        """Record attributes; what is so already is not said again."""
        held = self.log.state.notes.attributes
        given = {name: value for name, value in attributes.items() if held.get(name) != value}
        if given:
            self.log.append(Kind.RUN_ATTRIBUTED, RunFacts(attributes=given))
            self.log.buffer.beside.attributes = dict(self.log.state.notes.attributes)


def _name_of(step: StepState) -> str | None:
    asked = asked_of(step) if step.facts.wait == "signal" else None
    return asked.name if isinstance(asked, AskSignal) else None
