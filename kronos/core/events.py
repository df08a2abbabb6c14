"""What can happen to a run, and how several facts travel as one event.

Rule 1: an event is immutable and has a `seq`; its run's events are numbered 1, 2, 3, … without a gap.
Rule 2: an event may bring the facts before it along: `step_completed` with count 5 stands for
        scheduled, started, input recorded, output recorded and completed.  It takes `count` numbers, the last
        of which is its own.  One row a step instead of five is what makes the log fast.
Rule 3: every prefix of such an event is itself an event, of the kind of its last fact (`truncate`).
Rule 4: facts hold values, never each other in a circle, so the garbage collector need not look at them (`gc=False`):
        with a worker's tens of thousands in its lists it cost 13 of 44 µs a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal, TypeAlias

import msgspec

from kronos.core.costs import Costs
from kronos.errors import CorruptHistory, InvalidInput

__all__ = [
    "LEADING",
    "Attribute",
    "Effect",
    "Event",
    "Failure",
    "Kind",
    "Origin",
    "RunFacts",
    "StepFacts",
    "decode_facts",
    "encode_facts",
    "expand",
    "read_event",
    "truncate",
]


class Kind(StrEnum):
    """Every kind of event, in the words that users see."""

    RUN_STARTED = "run_started"
    RUN_COMPLETED = "run_completed"
    RUN_FAILED = "run_failed"
    RUN_CANCELLED = "run_cancelled"
    RUN_FORKED = "run_forked"
    RUN_SIGNALLED = "run_signalled"
    RUN_PAUSED = "run_paused"
    RUN_RESUMED = "run_resumed"
    RUN_ADOPTED = "run_adopted"
    RUN_ATTRIBUTED = "run_attributed"
    RUN_CONTINUED = "run_continued"
    RUN_COMPENSATING = "run_compensating"
    STEP_SCHEDULED = "step_scheduled"
    STEP_STARTED = "step_started"
    STEP_INPUT_RECORDED = "step_input_recorded"
    STEP_OUTPUT_RECORDED = "step_output_recorded"
    STEP_COMPLETED = "step_completed"
    STEP_FAILED = "step_failed"
    STEP_RETRIED = "step_retried"
    STEP_SKIPPED = "step_skipped"
    STEP_EXPANDED = "step_expanded"


_STARTING = (Kind.STEP_SCHEDULED, Kind.STEP_STARTED, Kind.STEP_INPUT_RECORDED)

LEADING: Final[Mapping[Kind, tuple[Kind, ...]]] = {
    **{kind: (kind,) for kind in Kind if kind.startswith("run_")},
    Kind.STEP_SCHEDULED: _STARTING[:1],
    Kind.STEP_STARTED: _STARTING[:2],
    Kind.STEP_INPUT_RECORDED: _STARTING,
    Kind.STEP_OUTPUT_RECORDED: (*_STARTING, Kind.STEP_OUTPUT_RECORDED),
    Kind.STEP_COMPLETED: (*_STARTING, Kind.STEP_OUTPUT_RECORDED, Kind.STEP_COMPLETED),
    Kind.STEP_FAILED: (*_STARTING, Kind.STEP_FAILED),
    Kind.STEP_RETRIED: (*_STARTING, Kind.STEP_FAILED, Kind.STEP_RETRIED),
    Kind.STEP_SKIPPED: (Kind.STEP_SKIPPED,),
    Kind.STEP_EXPANDED: (*_STARTING, Kind.STEP_EXPANDED),
}
"""The facts that lead up to each kind, itself last: an event stands for the last `count` of them."""


Attribute: TypeAlias = str | int | float | bool
"""What an attribute of a run may hold."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Why an attempt, or a run, did not succeed.

    `cause`: "error" the user's code raised; "timeout"; "lost" the worker died while it ran (does not use up a
    retry); "cancelled".  `traceback` holds frames of user code, without the values of their variables.
    """

    type: str
    message: str
    traceback: str = ""
    retryable: bool = True
    cause: Literal["error", "timeout", "lost", "cancelled"] = "error"


class Effect(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One thing that a step learned from the world: `name` says what it called, `value` is canonical JSON."""

    name: str
    value: msgspec.Raw
    key: str = ""


class Origin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where an outcome that a fork took over was recorded: the run itself, never a fork that only shows it."""

    run: str
    step: str
    attempt: int
    seq: int


class StepFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is known of one attempt; times are ns since the epoch (database clock).

    `scheduled`, `started`, `finished` when; `due` not before; `worker` the incarnation; `input` hash of the
    bound arguments; `code` identity of the step that ran; `output` canonical JSON, {"$blob": …}, or {"$map": n} for
    what the n elements of a map gave; `elements` how many steps a map is made of (a loop, at most), `arm` which arm
    of a branch is taken; `costs` what it reported.  A step that waits instead of working says for what (`wait`) and
    until when (`due`), what it `asks`, and which message (`signal`, its seq) or run (`child`) ended it.
    Of forks: `reused_from` says that nothing was executed, `replaced` that the output was given by whoever forked,
    `anew` that a failed step is tried again with all its retries.
    """

    scheduled: int | None = None
    due: int | None = None
    started: int | None = None
    worker: int | None = None
    input: str | None = None
    code: str | None = None
    finished: int | None = None
    output: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    effects: tuple[Effect, ...] = ()
    failure: Failure | None = None
    retry_due: int | None = None
    elements: int | None = None
    arm: str | None = None
    child: str | None = None
    costs: Costs | None = None
    wait: Literal["timer", "signal", "approval", "child", "inside"] | None = None
    signal: int | None = None
    asks: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    reused_from: Origin | None = None
    replaced: bool = False
    anew: bool = False


class RunFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is known of a run as a whole.

    `dead`: it was given up after repeated takeovers; `signal` the name of a message, `value` what it says (without a
    name: a decision on `step`) and `key` what tells it from others; `attributes` those that were set, null where one
    was removed; `changes` what a fork changed; `child_of` and `child_step` which step of which run started it,
    `continues` the run whose place it took, `successor` the run that takes its own; `ending` how it ends (failed,
    cancelled) once what it did is undone; `timeout_ms` how long it may take.
    """

    workflow: str | None = None
    version: str | None = None
    definition: str | None = None
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    output: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    step: str | None = None
    failure: Failure | None = None
    dead: bool = False
    by: str | None = None
    reason: str | None = None
    parent: str | None = None
    parent_seq: int | None = None
    signal: str | None = None
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    key: str | None = None
    attributes: dict[str, Attribute | None] = {}
    changes: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    child_of: str | None = None
    child_step: str | None = None
    continues: str | None = None
    successor: str | None = None
    ending: str | None = None
    timeout_ms: int | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of the log.  `step` is "" and `attempt` 0 for facts about the run; `at` is ns since the epoch."""

    seq: int
    kind: Kind
    at: int
    facts: StepFacts | RunFacts
    step: str = ""
    attempt: int = 0
    count: int = 1

    @property
    def first_seq(self) -> int:
        """The number of the first fact that this event stands for."""
        return self.seq - self.count + 1


_encode_facts = msgspec.json.Encoder(order="sorted").encode
_decode_step = msgspec.json.Decoder(StepFacts).decode
_decode_run = msgspec.json.Decoder(RunFacts).decode


def encode_facts(facts: StepFacts | RunFacts) -> bytes:
    """Return the canonical bytes of an event's facts: what is stored, and what the chain covers."""
    return _encode_facts(facts)


def decode_facts(kind: Kind, body: bytes) -> StepFacts | RunFacts:
    """Return the facts of a stored event; raise `CorruptHistory` when they are not what `kind` holds."""
    try:
        return _decode_run(body) if kind.startswith("run_") else _decode_step(body)
    except msgspec.MsgspecError as error:
        raise CorruptHistory(f"the stored facts of a {kind} event are damaged: {error}", kind=kind) from error


def read_event(  # noqa: PLR0917 - the columns of a row, in their order
    seq: int, count: int, kind: str, step: str, attempt: int, at: int, body: bytes
) -> Event:
    """Return the event of a stored row; raise `CorruptHistory` when its facts are damaged."""
    known = Kind(kind)
    facts = decode_facts(known, body)
    return Event(seq=seq, kind=known, at=at, facts=facts, step=step, attempt=attempt, count=count)


def truncate(event: Event, seq: int) -> Event:
    """Return `event` as it stood when only its facts up to `seq` were known."""
    if seq == event.seq:
        return event
    if not event.first_seq <= seq < event.seq:
        raise InvalidInput(f"seq {seq} is outside {event.first_seq}..{event.seq}", field="seq", value=seq)
    kind = LEADING[event.kind][seq - event.seq - 1]
    facts = event.facts
    assert isinstance(facts, StepFacts), "only facts about steps travel together"
    known = _known_at(kind, facts)
    return Event(
        seq=seq,
        kind=kind,
        at=_time_of(kind, facts, event.at),
        facts=known,
        step=event.step,
        attempt=event.attempt,
        count=event.count - (event.seq - seq),
    )


def expand(event: Event) -> list[Event]:
    """Return the single facts that `event` stands for, each with its own `seq` and a count of 1."""
    if event.count == 1:
        return [event]
    prefixes = [truncate(event, seq) for seq in range(event.first_seq, event.seq + 1)]
    return [msgspec.structs.replace(prefix, count=1) for prefix in prefixes]


def _known_at(kind: Kind, facts: StepFacts) -> StepFacts:
    scheduled = StepFacts(scheduled=facts.scheduled, due=facts.due, wait=facts.wait, asks=facts.asks)
    if kind is Kind.STEP_SCHEDULED:
        return scheduled
    started = msgspec.structs.replace(
        scheduled, started=facts.started, worker=facts.worker, code=facts.code, child=facts.child
    )
    if kind is Kind.STEP_STARTED:
        return started
    started = msgspec.structs.replace(started, input=facts.input)
    if kind is Kind.STEP_INPUT_RECORDED:
        return started
    if kind is Kind.STEP_OUTPUT_RECORDED:
        return msgspec.structs.replace(
            started,
            output=facts.output,
            finished=facts.finished,
            elements=facts.elements,
            arm=facts.arm,
            reused_from=facts.reused_from,
            replaced=facts.replaced,
        )
    return msgspec.structs.replace(facts, retry_due=None)


def _time_of(kind: Kind, facts: StepFacts, last: int) -> int:
    if kind is Kind.STEP_SCHEDULED:
        return facts.scheduled or last
    if kind in (Kind.STEP_STARTED, Kind.STEP_INPUT_RECORDED):
        return facts.started or last
    return facts.finished or last
