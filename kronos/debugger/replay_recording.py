"""What a run left behind that a replay needs: each attempt's input, answers and outcome.

Rule 1: nothing is guessed.  An input is bound from the run's input and recorded outputs, by the graph on record.
Rule 2: what the run's user never saw cannot be compared: an attempt whose worker died has no outcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import msgspec

from kronos.core.events import Effect, Event, Failure, Kind, StepFacts
from kronos.core.inputs import Inputs, RunOutputs
from kronos.kernel.ids import RunId, StepName
from kronos.ports.history import Definition, History, RunSummary

__all__ = ["RecordedAttempt", "Recording", "read_recording"]

_PAGE = 1_000
_OUTCOMES = frozenset({Kind.STEP_COMPLETED, Kind.STEP_FAILED, Kind.STEP_RETRIED})


class RecordedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a step: canonical `output`, or `failure`; `effects` in the order in which they were asked."""

    step: StepName
    number: int
    output: bytes | None
    failure: Failure | None
    effects: tuple[Effect, ...]
    code: str | None


class Recording(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A run as far as it came.  `attempts` holds only ended ones; `outputs` those of completed steps."""

    run: RunSummary
    definition: Definition
    input: bytes
    attempts: dict[str, list[RecordedAttempt]]
    outputs: RunOutputs

    def bound_input(self, step: str) -> bytes:
        """Return the canonical arguments that the run gave to a step."""
        return self._inputs.of(step)

    @cached_property
    def _inputs(self) -> Inputs:
        return Inputs(self.definition.graph, self.input, self.outputs)


def read_recording(history: History, run_id: RunId) -> Recording:
    """Read a run; raise `NotFound` for an unknown one."""
    run = history.run(run_id)
    definition = history.definition(run.definition)
    ended: dict[tuple[str, int], RecordedAttempt] = {}
    for event in _events(history, run_id):
        if event.kind in _OUTCOMES and isinstance(event.facts, StepFacts):
            known = ended.get((event.step, event.attempt))
            ended[event.step, event.attempt] = _attempt(history, event, event.facts, known)
    attempts: dict[str, list[RecordedAttempt]] = {}
    outputs = RunOutputs()
    for (step, _), attempt in sorted(ended.items()):
        attempts.setdefault(step, []).append(attempt)
        if attempt.output is not None:
            outputs.put(step, attempt.output)
    return Recording(
        run=run, definition=definition, input=history.payload(run.input), attempts=attempts, outputs=outputs
    )


def _attempt(history: History, event: Event, facts: StepFacts, known: RecordedAttempt | None) -> RecordedAttempt:
    """Return what an event says of an attempt; a later `step_retried` alone adds nothing to its failure."""
    if known is not None and facts.failure is None and facts.output is msgspec.UNSET:
        return known
    output = facts.output
    return RecordedAttempt(
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
