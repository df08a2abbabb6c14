"""What a run left behind that a replay needs: each attempt's input, answers and outcome.

Rule 1: nothing is guessed.  An input is bound from the run's input and recorded outputs, by the graph on record.
Rule 2: what a fork shares, and what it took over, was recorded under the definition, the input and the name of another
        run, and is read there.
Rule 3: what the run's user never saw cannot be compared: an attempt whose worker died has no outcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from operator import itemgetter

import msgspec

from kronos.core.events import Effect, Event, Failure, Kind, Origin, StepFacts
from kronos.core.forking import Fork
from kronos.core.inputs import Inputs, RunOutputs
from kronos.kernel.ids import RunId, StepName
from kronos.ports.history import Definition, History, RunSummary

__all__ = ["RecordedAttempt", "RecordedScope", "Recording", "read_recording"]

_PAGE = 1_000
_OUTCOMES = frozenset({Kind.STEP_COMPLETED, Kind.STEP_FAILED, Kind.STEP_RETRIED})


class RecordedScope(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Under what a part of a history was recorded; a run that is no fork has one."""

    run_id: RunId
    definition: Definition
    input: bytes
    fork: Fork | None
    outputs: RunOutputs

    def bound_input(self, step: str) -> bytes:
        """Return the canonical arguments that a step was given here."""
        return self.replaced(step, self._inputs.of(step))

    def replaced(self, step: str, data: bytes) -> bytes:
        """Return arguments with what the fork replaced of them."""
        return data if self.fork is None else self.fork.arguments(step, data)

    @cached_property
    def _inputs(self) -> Inputs:
        return Inputs(self.definition.graph, self.input, self.outputs)


class RecordedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a step: canonical `output`, or `failure`; `effects` in the order in which they were asked.

    `origin` is where its journal is; `replaced` says that a fork was given its output.
    """

    scope: RecordedScope
    origin: Origin
    replaced: bool
    step: StepName
    number: int
    output: bytes | None
    failure: Failure | None
    effects: tuple[Effect, ...]
    code: str | None


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A run as far as it came.  `attempts` holds only ended ones; `outputs` those of completed steps."""

    run: RunSummary
    definition: Definition
    input: bytes
    attempts: dict[str, list[RecordedAttempt]]
    outputs: RunOutputs
    scope: RecordedScope
    """That of what the run itself recorded."""
    result: bytes | None

    def last_attempt(self, step: str) -> RecordedAttempt | None:
        """Return the attempt of a step that ended last."""
        ended = self.attempts.get(step)
        return ended[-1] if ended else None

    def recorded_output(self, step: str) -> bytes | None:
        """Return what is recorded as the output of a step: of a map, how many elements it has."""
        last = self.last_attempt(step)
        return None if last is None else last.output

    def recorded_outputs(self) -> Iterator[tuple[str, bytes]]:
        """Yield each completed step and what is recorded as its output."""
        for step in self.attempts:
            output = self.recorded_output(step)
            if output is not None:
                yield step, output

    def bound_input(self, attempt: RecordedAttempt) -> bytes:
        """Return the canonical arguments that the run gave to an attempt."""
        return attempt.scope.bound_input(attempt.step)


def read_recording(history: History, run_id: RunId) -> Recording:
    """Read a run; raise `NotFound` for an unknown one."""
    run = history.run(run_id)
    definition = history.definition(run.definition)
    outputs = RunOutputs()
    scopes = _scopes(history, run, outputs)
    ended: dict[tuple[str, int], RecordedAttempt] = {}
    for event in _events(history, run_id):
        if event.kind in _OUTCOMES and isinstance(event.facts, StepFacts):
            known = ended.get((event.step, event.attempt))
            scope = next(scope for after, scope in reversed(scopes) if event.seq > after)
            ended[event.step, event.attempt] = _attempt(history, event, event.facts, known, scope)
    attempts: dict[str, list[RecordedAttempt]] = {}
    for (step, _), attempt in sorted(ended.items(), key=itemgetter(0)):
        attempts.setdefault(step, []).append(attempt)
        if attempt.output is not None:
            outputs.put(step, attempt.output)
    return Recording(
        run=run,
        definition=definition,
        input=history.payload(run.input),
        attempts=attempts,
        outputs=outputs,
        scope=scopes[-1][1],
        result=None if run.output is None else history.payload(run.output),
    )


def _scopes(history: History, run: RunSummary, outputs: RunOutputs) -> list[tuple[int, RecordedScope]]:
    return [
        (
            scope.after_seq,
            RecordedScope(
                run_id=scope.run_id,
                definition=history.definition(scope.definition),
                input=history.payload(scope.input),
                fork=scope.fork,
                outputs=outputs,
            ),
        )
        for scope in history.scopes(run.id)
    ]


def _attempt(
    history: History, event: Event, facts: StepFacts, known: RecordedAttempt | None, scope: RecordedScope
) -> RecordedAttempt:
    """Return what an event says of an attempt; a later `step_retried` alone adds nothing to its failure."""
    if known is not None and (facts.anew or (facts.failure is None and facts.output is msgspec.UNSET)):
        return known
    output = facts.output
    return RecordedAttempt(
        scope=scope,
        origin=facts.reused_from or Origin(run=scope.run_id, step=event.step, attempt=event.attempt, seq=event.seq),
        replaced=facts.replaced,
        step=StepName(event.step),
        number=event.attempt,
        output=None if isinstance(output, msgspec.UnsetType) else history.payload(output),
        failure=facts.failure,
        effects=facts.effects,
        code=facts.code,
    )


def _events(history: History, run_id: RunId) -> Iterator[Event]:
    after = 0
    while page := history.events(run_id, after=after, limit=_PAGE):
        yield from page
        after = page[-1].seq
