"""What a job is called with, and when it may begin.

Rule: a refusal names the step, the value and the remedy; its `facts["field"]` stays the path of the mismatch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from kronos.core.options import Duration, duration_s
from kronos.errors import InvalidInput

__all__ = ["check_start", "fitting", "named_arguments"]

SHOWN: Final = 120


def named_arguments(arguments: object) -> dict[object, object]:
    """Return the arguments of a call by name; raise `InvalidInput` for what is no mapping."""
    if isinstance(arguments, Mapping):
        return dict(arguments)
    raise InvalidInput(
        f"arguments {_shown(repr(arguments))}: give them by name, as in {{'number': 1}}",
        field="arguments",
        value=arguments,
    )


def fitting(target: str, data: bytes, check: Callable[[bytes], bytes]) -> bytes:
    """Return the canonical bytes that `check` makes of the arguments; say of a refusal which call it is about."""
    try:
        return check(data)
    except InvalidInput as error:
        given = _shown(data.decode(errors="replace"))
        raise InvalidInput(
            f"step {target!r} cannot be called with {given}: {error.message}. "
            "Give a JSON object of its arguments by name",
            **{"field": "arguments", **error.facts, "step": target, "value": given},
        ) from error


def check_start(delay: Duration | None, at: datetime | None, deadline: Duration | datetime | None) -> None:
    """Refuse a deadline that is over before the job may begin, where both count from the same moment."""
    is_late, begin = False, delay if at is None else at
    if isinstance(deadline, datetime):
        is_late = isinstance(at, datetime) and bool(at.tzinfo and deadline.tzinfo) and deadline <= at
    elif deadline is not None and delay is not None:
        is_late = duration_s(deadline, field="deadline") <= duration_s(delay, field="delay")
    if is_late:
        raise InvalidInput(
            f"deadline {_told(deadline)} is over before the job may begin ({_told(begin)}): it could only expire; "
            "give a later deadline",
            field="deadline",
            value=_told(deadline),
        )


def _told(moment: object) -> str:
    return moment.isoformat() if isinstance(moment, datetime) else repr(moment)


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
