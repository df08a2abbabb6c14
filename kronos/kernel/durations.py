"""How long something takes, as people write it: `10`, `1.5s`, `200ms`, `10m`, `2h`, `1d`."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["seconds_of"]

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", re.ASCII)


def seconds_of(text: str) -> float | None:
    """Return a duration in seconds, None where `text` is none; without a unit it is seconds."""
    match = _DURATION.fullmatch(text.strip())
    return None if match is None else float(match[1]) * _UNITS[match[2] or "s"]
