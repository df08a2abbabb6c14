"""How far an indicator looks back.

Rule: a period is a whole number of values, at least one and at most `PERIOD_MAX`.
"""

from __future__ import annotations

from typing import Final

from kronos.errors import InvalidInput

__all__ = ["PERIOD_MAX", "whole_period"]

PERIOD_MAX: Final = 10_000_000
"""Values that one indicator may remember."""


def whole_period(period: int, indicator: str) -> int:
    """Return `period`; raise `InvalidInput` for what is no whole number in 1..PERIOD_MAX."""
    if type(period) is not int or not 1 <= period <= PERIOD_MAX:
        raise InvalidInput(
            f"{indicator}: period {period!r} is not a whole number from 1 to {PERIOD_MAX}",
            field="period",
            value=str(period),
        )
    return period
