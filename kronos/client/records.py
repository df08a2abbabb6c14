"""What a server says of runs, as plain frozen records; times are ns since the epoch, None where it has not happened."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kronos._proto.v1 import service_pb2 as pb
from kronos.kernel import canonical

__all__ = ["FINAL_PHASES", "EventRecord", "FailureRecord", "RunPage", "RunRecord", "read_event", "read_run"]

FINAL_PHASES: Final = frozenset({"completed", "failed", "cancelled", "dead"})


class FailureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run did not complete; `cause` is error, timeout, lost or cancelled."""

    type: str
    message: str
    cause: str
    traceback: str = ""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run.  `input` and `output` are decoded JSON; `output` is None until the run has completed.

    A child was started by `child_step` of `child_of`; a successor `continues` a run, which is `continued_by` it.
    """

    run_id: str
    workflow: str
    version: str
    phase: str
    created_at_ns: int
    started_at_ns: int | None
    finished_at_ns: int | None
    head_seq: int
    input: Any
    output: Any
    failure: FailureRecord | None
    failed_step: str | None
    definition_id: str
    child_of: str | None = None
    child_step: str | None = None
    continues: str | None = None
    continued_by: str | None = None
    attributes: dict[str, Any] = {}
    spent: Any = None

    @property
    def is_final(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.phase in FINAL_PHASES


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Runs, newest first; `next_cursor` continues, None at the end."""

    runs: list[RunRecord]
    next_cursor: str | None


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One fact of a run's history; `step` is "" and `attempt` 0 for facts about the run."""

    seq: int
    kind: str
    at_ns: int
    step: str
    attempt: int
    facts: Any


def read_run(message: pb.Run) -> RunRecord:
    """Return the record of a wire message."""
    failure = message.failure
    return RunRecord(
        run_id=message.run_id,
        workflow=message.workflow_name,
        version=message.version,
        phase=message.phase,
        created_at_ns=message.created_at_ns,
        started_at_ns=message.started_at_ns or None,
        finished_at_ns=message.finished_at_ns or None,
        head_seq=message.head_seq,
        input=_decoded(message.input),
        output=_decoded(message.output),
        failure=FailureRecord(
            type=failure.type, message=failure.message, cause=failure.cause, traceback=failure.traceback
        )
        if message.HasField("failure")
        else None,
        failed_step=message.failed_step or None,
        definition_id=message.definition_id,
        child_of=message.child_of or None,
        child_step=message.child_step or None,
        continues=message.continues or None,
        continued_by=message.continued_by or None,
        attributes=_decoded(message.attributes) or {},
        spent=_decoded(message.spent),
    )


def read_event(message: pb.Event) -> EventRecord:
    """Return the record of a wire message."""
    return EventRecord(
        seq=message.seq,
        kind=message.kind,
        at_ns=message.at_ns,
        step=message.step,
        attempt=message.attempt,
        facts=_decoded(message.facts),
    )


def _decoded(text: str) -> Any:
    return canonical.decode(text.encode()) if text else None
