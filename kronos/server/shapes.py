"""What the HTTP API says, as types; the OpenAPI document is derived from them.

Rule 1: nanosecond times are strings, because a browser's numbers end at 2^53.
Rule 2: a recorded value travels as the text of its canonical JSON, so that no digit of it changes on the way.
Rule 3: an unbounded value is cut, says so, and links to the whole.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from kronos.core.events import Kind
from kronos.core.state import Phase, StepStatus

__all__ = [
    "Accepted",
    "AskedApproval",
    "Attempt",
    "Bar",
    "Effect",
    "ErrorBody",
    "ErrorEnvelope",
    "EventLine",
    "EventPage",
    "Failure",
    "Family",
    "Forked",
    "GraphNode",
    "Held",
    "KinLine",
    "Mark",
    "Payload",
    "RunDetail",
    "RunLine",
    "RunList",
    "RunState",
    "Standing",
    "StepView",
    "Timeline",
    "Update",
    "WorkflowLine",
    "WorkflowList",
]

Ns = Annotated[str, msgspec.Meta(pattern="^[0-9]+$", description="nanoseconds since 1970-01-01 UTC")]
Count = Annotated[int, msgspec.Meta(ge=0)]


class _Shape(msgspec.Struct, frozen=True, kw_only=True):
    pass


class ErrorBody(_Shape, frozen=True, kw_only=True):
    """Why a request was refused; `facts` repeats for programs what the message says."""

    code: str
    message: str
    facts: dict[str, Any]


class ErrorEnvelope(_Shape, frozen=True, kw_only=True):
    """The body of every response that is not a success."""

    error: ErrorBody


class Payload(_Shape, frozen=True, kw_only=True):
    """A recorded value: the text of its canonical JSON, its whole size, and where it is whole when it was cut."""

    json: str
    bytes: Count
    truncated: bool
    href: str


class Failure(_Shape, frozen=True, kw_only=True):
    """Why an attempt, or a run, did not succeed."""

    type: str
    message: str
    cause: Literal["error", "timeout", "lost", "cancelled"]
    traceback: str


class RunLine(_Shape, frozen=True, kw_only=True):
    """One run of the list.  `glance` is its result or its failure in a few words."""

    id: str
    workflow: str
    version: str
    phase: Phase
    created_at: Ns
    started_at: Ns | None
    finished_at: Ns | None
    head_seq: Count
    steps_total: Count
    steps_done: Count | None
    glance: str
    failed_step: str | None


class RunList(_Shape, frozen=True, kw_only=True):
    """A page of runs, newest first; `next` is the cursor of the one after, None at the end."""

    runs: list[RunLine]
    next: str | None


class GraphNode(_Shape, frozen=True, kw_only=True):
    """One step of the graph: `needs` by data, `after` by order; `level` is the longest way from a root."""

    step: str
    target: str
    needs: list[str]
    after: list[str]
    level: Count
    retries: Count


class RunDetail(_Shape, frozen=True, kw_only=True):
    """One run with its graph; `steps` stand in topological order."""

    run: RunLine
    definition: str
    input: Payload
    output: Payload | None
    failure: Failure | None
    steps: list[GraphNode]


class EventLine(_Shape, frozen=True, kw_only=True):
    """One fact of a run's history; `note` says the one thing worth knowing, `facts` is there on request."""

    seq: Count
    kind: Kind
    at: Ns
    step: str
    attempt: Count
    note: str
    facts: Payload | None


class EventPage(_Shape, frozen=True, kw_only=True):
    """Events after the one asked for, in order; `head_seq` is the last on record."""

    events: list[EventLine]
    head_seq: Count


class Effect(_Shape, frozen=True, kw_only=True):
    """One thing that a step learned from the world."""

    name: str
    key: str
    value: Payload


class Attempt(_Shape, frozen=True, kw_only=True):
    """One try of a step, as of the position."""

    attempt: Count
    status: StepStatus
    scheduled: Ns | None
    started: Ns | None
    finished: Ns | None
    failure: Failure | None


class StepView(_Shape, frozen=True, kw_only=True, omit_defaults=True):
    """One step as of the position; what is not known there is left out.

    `input` is bound from the run's input and the outputs known there; `input_origin` says whether the history holds
    its hash already ("recorded"), or it follows from what is known ("derived").  `input_matches` compares the two.
    `waits_for` is what a step waits for instead of working: a timer, signal, approval or child.
    Of a fork: `reused_from` is the run whose outcome was taken over, `replaced` says that the output was given.
    """

    step: str
    status: StepStatus
    attempt: Count
    failures: Count
    scheduled: Ns | None = None
    started: Ns | None = None
    finished: Ns | None = None
    due: Ns | None = None
    retry_due: Ns | None = None
    worker: Count | None = None
    code: str | None = None
    input: Payload | None = None
    input_origin: Literal["recorded", "derived"] | None = None
    input_matches: bool | None = None
    output: Payload | None = None
    failure: Failure | None = None
    effects: list[Effect] = []
    attempts: list[Attempt] = []
    report: str | None = None
    reused_from: str | None = None
    replaced: bool = False
    waits_for: str | None = None


class RunState(_Shape, frozen=True, kw_only=True):
    """A run as of `seq`: the fold of its first `seq` events, and nothing of what came later."""

    run_id: str
    seq: Count
    head_seq: Count
    at: Ns | None
    phase: Phase
    steps: list[StepView]
    output: Payload | None
    failure: Failure | None
    event: EventLine | None


class Bar(_Shape, frozen=True, kw_only=True):
    """One attempt in the timeline, or several neighbours where there are too many to draw (`merged` > 1).

    The `*_seq` say which event told it, so that any position knows how much of the bar is known there; `waits_for` what
    it waits for, or did, instead of working.
    """

    step: str
    attempt: Count
    merged: Count
    scheduled: Ns
    scheduled_seq: Count
    started: Ns | None
    started_seq: Count | None
    finished: Ns | None
    finished_seq: Count | None
    status: StepStatus
    waits_for: str | None = None


class Mark(_Shape, frozen=True, kw_only=True):
    """The events `first_seq`..`last_seq` in the scrubber; `tone` is the gravest of them."""

    first_seq: Count
    last_seq: Count
    at: Ns
    tone: Literal["plain", "done", "retry", "failed", "run"]


class Timeline(_Shape, frozen=True, kw_only=True):
    """A whole run in at most 4,000 points; `merged` says whether neighbours were drawn as one."""

    head_seq: Count
    start: Ns | None
    end: Ns | None
    bars: list[Bar]
    marks: list[Mark]
    merged: bool


class Update(_Shape, frozen=True, kw_only=True):
    """What the stream tells: new events, where the run stands."""

    head_seq: Count
    phase: Phase
    events: list[EventLine]


class WorkflowLine(_Shape, frozen=True, kw_only=True):
    """A registered workflow, in its newest version; `trouble` is why its definition cannot be read, null otherwise."""

    workflow: str
    version: str
    steps: Count
    trouble: str | None


class WorkflowList(_Shape, frozen=True, kw_only=True):
    """Every registered workflow."""

    workflows: list[WorkflowLine]


class AskedApproval(_Shape, frozen=True, kw_only=True):
    """A decision that a run waits for; `message` is canonical JSON."""

    step: str
    who: str
    message: str
    since: Ns
    due: Ns | None


class Held(_Shape, frozen=True, kw_only=True):
    """Who paused a run, when and why."""

    by: str
    reason: str
    at: Ns


class Standing(_Shape, frozen=True, kw_only=True):
    """What a run waits for a person to say, and who holds it."""

    approvals: list[AskedApproval]
    pause: Held | None


class Accepted(_Shape, frozen=True, kw_only=True):
    """A request that the run's owner will turn into an event."""

    run_id: str
    accepted: bool


class Forked(_Shape, frozen=True, kw_only=True):
    """A fork that is on record."""

    run_id: str


class KinLine(_Shape, frozen=True, kw_only=True):
    """One run of a family; `parent_seq` is the last seq that it shares with `parent`, `changed` is in words."""

    id: str
    parent: str | None
    parent_seq: Count
    workflow: str
    version: str
    phase: Phase
    created_at: Ns
    changed: list[str]


class Family(_Shape, frozen=True, kw_only=True):
    """A run, those it comes from, and those that come from it, each oldest first."""

    run: KinLine
    ancestors: list[KinLine]
    descendants: list[KinLine]
    is_cut: bool
