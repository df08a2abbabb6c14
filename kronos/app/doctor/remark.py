"""What the doctor says: one line, and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

__all__ = ["Remark", "shown_s", "shown_time"]


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """`level`: "ok" needs nothing, "note" explains, "bad" wants something done; `do` may be empty."""

    topic: str
    level: Literal["ok", "note", "bad"]
    what: str
    do: str = ""


def shown_s(seconds: float) -> str:
    """Return a length of time as people say it: 3.2 s, 4 min, 2 h, 5 days."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.1f} s"


def shown_time(ns: int) -> str:
    """Return a moment as people read it, to the second."""
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")
