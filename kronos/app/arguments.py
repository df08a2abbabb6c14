"""What a run, a job or a message is given, and when a job may begin.

Rule: a refusal names what it is about, the value and the remedy; its `facts["field"]` stays the path of the mismatch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from kronos.core.options import Duration, duration_s
from kronos.errors import InvalidInput

__all__ = ["check_start", "fitting", "fitting_input", "named_arguments", "said_of"]

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
    what, remedy = f"step {target!r} cannot be called with", "Give a JSON object of its arguments by name"
    return said_of(what, data, check, remedy=remedy, field="arguments", step=target)


def fitting_input(name: str, schema: bytes, check: Callable[[bytes], bytes], data: bytes) -> bytes:
    """Return the canonical bytes that `check` makes of a run's input; say of a refusal which workflow it is about."""
    what = f"workflow {name!r} cannot be started with"
    return said_of(what, data, check, remedy=_told_of(schema), field="input", workflow=name)


def said_of(
    what: str, data: bytes, check: Callable[[bytes], bytes], *, remedy: str, field: str, **facts: object
) -> bytes:
    """Return what `check` makes of `data`; say of a refusal `what` it is about and the `remedy`."""
    try:
        return check(data)
    except InvalidInput as error:
        given = _shown(data.decode(errors="replace"))
        found = {"field": field, **error.facts, **facts, "value": given}
        raise InvalidInput(f"{what} {given}: {error.message}. {remedy}", **found) from error


def _told_of(schema: bytes) -> str:
    """Return what an input has, by name."""
    document = json.loads(schema)
    whole = document.get("$defs", {}).get(str(document.get("$ref", "")).rpartition("/")[2], document)
    names = ", ".join(whole.get("properties", {}))
    return f"Its input is a JSON object with {names}" if names else "Its input is described by its parameters' types"


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
