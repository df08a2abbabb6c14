"""What a run is, and how one event moves it.

Rule 1: every state transition of a run lives in this file; what was said to it is kept by `notes.py`.
Rule 2: nothing here reads a clock, draws a random number, or does I/O.
Rule 3: a run is the fold of its events: `Run = fold(apply, events)`, at every `seq`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec
from immutables import Map
from msgspec.structs import replace

from kronos.core.costs import NO_COSTS, Costs, Spent
from kronos.core.events import LEADING, Event, Failure, Kind, RunFacts, StepFacts, truncate
from kronos.core.notes import NO_NOTES, Notes, noted, without
from kronos.errors import TransitionError
from kronos.kernel.ids import RunId

__all__ = [
    "ALLOWED",
    "FINAL",
    "STEP_ALLOWED",
    "Phase",
    "Run",
    "StepState",
    "StepStatus",
    "apply",
    "fold",
    "new_run",
]


class Phase(StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"

    @property
    def is_final(self) -> bool:
        """Whether no event can follow."""
        return self in FINAL


FINAL: Final = frozenset({Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED, Phase.DEAD})


class StepStatus(StrEnum):
    """Where a step stands; a step without an event is pending."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class StepState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step as of an event.  `failures` counts attempts that used up a retry; `facts` are the attempt's."""

    status: StepStatus
    attempt: int
    facts: StepFacts
    failures: int = 0

    @property
    def waits_for(self) -> str | None:
        """What it waits for (a timer, signal, approval or child); None where it does not wait."""
        is_open = self.status is StepStatus.RUNNING and self.facts.wait != "inside"
        return self.facts.wait if is_open else None


class Run(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One execution as of `seq`.  `steps` is a persistent map: copying a dict an event would be quadratic.

    `attempts` counts those that began, `worked_ns` the time they took together, `costs` what they reported.
    """

    id: RunId
    seq: int = 0
    phase: Phase = Phase.PENDING
    facts: RunFacts = RunFacts()
    started: int | None = None
    finished: int | None = None
    output: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    failure: Failure | None = None
    failed_step: str | None = None
    steps: Map[str, StepState] = Map()
    attempts: int = 0
    worked_ns: int = 0
    costs: Costs = NO_COSTS
    notes: Notes = NO_NOTES
    compensating: RunFacts | None = None
    """The end that comes once what was done is undone."""

    @property
    def spent(self) -> Spent:
        """What it has used up so far."""
        return Spent(attempts=self.attempts, worked_ns=self.worked_ns, costs=self.costs)


_STEP_KINDS: Final = frozenset(kind for kind in Kind if kind.startswith("step_"))
_RUN_ENDS: Final = frozenset({Kind.RUN_COMPLETED, Kind.RUN_FAILED, Kind.RUN_CANCELLED})
_BEGIN: Final = frozenset({Kind.RUN_STARTED, Kind.RUN_FORKED})
_RUN_NOTES: Final = frozenset(
    {
        Kind.RUN_SIGNALLED,
        Kind.RUN_PAUSED,
        Kind.RUN_RESUMED,
        Kind.RUN_ADOPTED,
        Kind.RUN_ATTRIBUTED,
        Kind.RUN_CONTINUED,
        Kind.RUN_COMPENSATING,
    }
)

ALLOWED: Final[Mapping[Phase, frozenset[Kind]]] = {
    Phase.PENDING: _BEGIN | {Kind.RUN_CANCELLED, Kind.RUN_FAILED},
    Phase.RUNNING: _STEP_KINDS | _RUN_ENDS | _RUN_NOTES | {Kind.RUN_FORKED},
    Phase.WAITING: _STEP_KINDS | _RUN_ENDS | _RUN_NOTES | {Kind.RUN_FORKED},
    **dict.fromkeys(FINAL, frozenset[Kind]()),
}
"""Which kinds may follow in which phase."""

_STATUS_AFTER: Final[Mapping[Kind, StepStatus]] = {
    Kind.STEP_SCHEDULED: StepStatus.SCHEDULED,
    Kind.STEP_STARTED: StepStatus.RUNNING,
    Kind.STEP_INPUT_RECORDED: StepStatus.RUNNING,
    Kind.STEP_OUTPUT_RECORDED: StepStatus.RUNNING,
    Kind.STEP_COMPLETED: StepStatus.COMPLETED,
    Kind.STEP_FAILED: StepStatus.FAILED,
    Kind.STEP_RETRIED: StepStatus.RETRYING,
    Kind.STEP_SKIPPED: StepStatus.SKIPPED,
    Kind.STEP_EXPANDED: StepStatus.RUNNING,
}

STEP_ALLOWED: Final[Mapping[StepStatus, frozenset[Kind]]] = {
    StepStatus.PENDING: frozenset({Kind.STEP_SCHEDULED, Kind.STEP_SKIPPED}),
    StepStatus.RETRYING: frozenset({Kind.STEP_SCHEDULED}),
    StepStatus.SCHEDULED: frozenset({Kind.STEP_STARTED}),
    StepStatus.RUNNING: frozenset(
        {
            Kind.STEP_INPUT_RECORDED,
            Kind.STEP_EXPANDED,
            Kind.STEP_OUTPUT_RECORDED,
            Kind.STEP_COMPLETED,
            Kind.STEP_FAILED,
        }
    ),
    StepStatus.COMPLETED: frozenset(),
    StepStatus.FAILED: frozenset({Kind.STEP_RETRIED}),
    StepStatus.SKIPPED: frozenset(),
}
"""Which *first* fact an event about a step may bring, given where the step stands."""

_OPENING: Final = frozenset({Kind.STEP_SCHEDULED, Kind.STEP_SKIPPED})
_STEP_ENDS: Final = frozenset({Kind.STEP_COMPLETED, Kind.STEP_FAILED, Kind.STEP_RETRIED})
_IDLE: Final = frozenset({StepStatus.PENDING, StepStatus.SCHEDULED, StepStatus.RETRYING})

_PHASE_AFTER: Final[Mapping[Kind, Phase]] = {
    Kind.RUN_STARTED: Phase.RUNNING,
    Kind.RUN_FORKED: Phase.RUNNING,
    Kind.RUN_COMPLETED: Phase.COMPLETED,
    Kind.RUN_FAILED: Phase.FAILED,
    Kind.RUN_CANCELLED: Phase.CANCELLED,
}

_ABSENT: Final = StepState(status=StepStatus.PENDING, attempt=0, facts=StepFacts())


def new_run(run_id: RunId) -> Run:
    """Return a run to which nothing has happened."""
    return Run(id=run_id)


def apply(run: Run, event: Event) -> Run:
    """Return the run as it stands after `event`; never mutate `run`.

    Raises `TransitionError` when the event does not follow: a gap in `seq`, a kind that the phase forbids.
    """
    if event.seq - event.count != run.seq:
        raise TransitionError(
            f"run {run.id}: event {event.kind} begins at seq {event.first_seq}, expected {run.seq + 1}",
            run_id=run.id,
            seq=event.seq,
            expected=run.seq + 1,
        )
    if event.kind not in ALLOWED[run.phase]:
        raise _illegal(run, event, run.phase)
    if isinstance(event.facts, StepFacts):
        return _apply_step(run, event, event.facts)
    return _apply_run(run, event, event.facts)


def _apply_step(run: Run, event: Event, facts: StepFacts) -> Run:
    before = run.steps.get(event.step, _ABSENT)
    first = _first_kind(event)
    if first not in STEP_ALLOWED[before.status]:
        raise _illegal(run, event, before.status)
    expected = before.attempt + (first in _OPENING)
    if event.attempt != expected:
        raise TransitionError(
            f"run {run.id}: {event.kind} of step {event.step!r} names attempt {event.attempt}, expected {expected}",
            run_id=run.id,
            seq=event.seq,
            expected=expected,
        )
    is_lost = facts.failure is not None and facts.failure.cause == "lost"
    ends = event.kind in _STEP_ENDS and first is not Kind.STEP_RETRIED
    step = StepState(
        status=_STATUS_AFTER[event.kind],
        attempt=event.attempt,
        facts=facts,
        failures=(0 if facts.anew else before.failures) + (ends and facts.failure is not None and not is_lost),
    )
    worked_ns, costs = run.worked_ns, run.costs
    worked = facts.wait is None and facts.reused_from is None and not facts.replaced
    if ends and worked:
        if facts.started is not None and facts.finished is not None and not is_lost:
            worked_ns += facts.finished - facts.started
        if facts.costs is not None:
            costs += facts.costs
    return replace(  # half the price of naming each field, and this is done for every row
        run,
        seq=event.seq,
        steps=run.steps.set(event.step, step),
        attempts=run.attempts + (worked and before.status in _IDLE and event.kind not in _OPENING),
        worked_ns=worked_ns,
        costs=costs,
        notes=run.notes if facts.signal is None else without(run.notes, facts.signal),
    )


def _apply_run(run: Run, event: Event, facts: RunFacts) -> Run:
    if event.kind in _RUN_NOTES:
        known = run.facts
        if event.kind is Kind.RUN_ADOPTED:
            known = replace(known, definition=facts.definition, version=facts.version)
        undoing = facts if event.kind is Kind.RUN_COMPENSATING else run.compensating
        return replace(run, seq=event.seq, facts=known, notes=noted(run.notes, event, facts), compensating=undoing)
    phase = Phase.DEAD if facts.dead else _PHASE_AFTER[event.kind]
    begins = event.kind in _BEGIN
    return Run(
        id=run.id,
        seq=event.seq,
        phase=phase,
        facts=facts if begins else run.facts,
        started=event.at if begins else run.started,
        finished=None if begins else event.at,
        output=facts.output,
        failure=facts.failure,
        failed_step=facts.step,
        steps=run.steps,
        attempts=run.attempts,
        worked_ns=run.worked_ns,
        costs=run.costs,
        notes=replace(run.notes, pause=None) if event.kind is Kind.RUN_FORKED else run.notes,
    )


def fold(run_id: RunId, events: Iterable[Event], *, upto: int | None = None) -> Run:
    """Return the run after `events`, or as of seq `upto`, which may lie inside an event."""
    run = new_run(run_id)
    for event in events:
        if upto is not None and event.seq > upto:
            return apply(run, truncate(event, upto)) if event.first_seq <= upto else run
        run = apply(run, event)
    return run


def _first_kind(event: Event) -> Kind:
    return LEADING[event.kind][-event.count]


def _illegal(run: Run, event: Event, where: Phase | StepStatus) -> TransitionError:
    subject = f"step {event.step!r}" if event.step else "the run"
    return TransitionError(
        f"run {run.id}: event {event.kind} at seq {event.seq} is not allowed while {subject} is {where}",
        run_id=run.id,
        seq=event.seq,
        kind=event.kind,
        phase=where,
    )
