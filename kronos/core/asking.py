"""What a step that waits is asked: until when, for which message, for whose word.

Rule: the bound input of such a step is one of these; it goes on record, so that whoever looks knows what is awaited
      without having the code.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec

from kronos.core.state import StepState, StepStatus
from kronos.errors import InvalidInput

__all__ = [
    "WAITS",
    "AskApproval",
    "AskSignal",
    "Asked",
    "Decided",
    "Timer",
    "asked_of",
    "due_of",
    "is_waiting",
    "read_asked",
]

WAITS: Final = frozenset({"timer", "signal", "approval"})
"""Kinds of nodes that wait for a time or for somebody, and execute nothing."""
SECONDS_MAX: Final = 10 * 366 * 86_400.0


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """`seconds` from now, or `until` (ISO 8601 with its zone)."""

    seconds: float | None = None
    until: datetime | None = None


class AskSignal(msgspec.Struct, frozen=True, kw_only=True):
    """A message called `name` that fits the JSON Schema `schema`; after `timeout` s, `default` where there is one."""

    name: str
    schema: msgspec.Raw = msgspec.Raw(b"{}")
    timeout: float | None = None
    default: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class AskApproval(msgspec.Struct, frozen=True, kw_only=True):
    """The word of `who` on `message`, which is any value; after `timeout` s nobody has approved."""

    who: str
    message: msgspec.Raw = msgspec.Raw(b'""')
    timeout: float | None = None


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an approval: `by` whom and why (`reason`); `timed_out` where nobody said anything in time."""

    approved: bool
    by: str = ""
    reason: str = ""
    timed_out: bool = False


Asked: TypeAlias = Timer | AskSignal | AskApproval
_TYPES: Final[dict[str, Any]] = {"timer": Timer, "signal": AskSignal, "approval": AskApproval}


def read_asked(kind: str, data: bytes) -> Asked:
    """Return what the bound input of a waiting step asks; raise `InvalidInput` naming the field."""
    try:
        asked: Asked = msgspec.json.decode(data, type=_TYPES[kind])
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"this {kind} cannot be waited for: {error}", value=data.decode(errors="replace")) from None
    if isinstance(asked, Timer):
        _check_timer(asked)
    return asked


def due_of(asked: Asked, now_ns: int) -> int | None:
    """Return when the wait is over in any case (ns), None where only a message ends it."""
    if isinstance(asked, Timer) and asked.until is not None:
        return int(asked.until.timestamp() * 1_000_000) * 1_000
    seconds = asked.seconds if isinstance(asked, Timer) else asked.timeout
    return None if seconds is None else now_ns + int(seconds * 1e9)


def is_waiting(step: StepState) -> bool:
    """Whether a step waits for a time or for somebody."""
    return step.status is StepStatus.RUNNING and step.facts.wait in WAITS


def asked_of(step: StepState) -> Asked:
    """Return what a waiting step asks."""
    facts = step.facts
    assert facts.asks is not msgspec.UNSET, "what is waited for is on record"
    return read_asked(facts.wait or "", bytes(facts.asks))


def _check_timer(timer: Timer) -> None:
    if timer.until is not None and timer.until.tzinfo is None:
        raise InvalidInput(
            f"until={timer.until.isoformat()!r} has no time zone: write it with one, as in 2026-01-01T09:00:00Z",
            field="until",
            value=timer.until.isoformat(),
        )
    if timer.seconds is not None and not 0 <= timer.seconds <= SECONDS_MAX:
        raise InvalidInput(
            f"seconds={timer.seconds!r}: expected 0 to {SECONDS_MAX:g}", field="seconds", value=timer.seconds
        )
