"""The way that prices took inside a bar, as far as a bar can say.

Rule 1: open, then the nearer of low and high, then the other, then close: the assumption is on the fills it made.
Rule 2: an order is touched in a segment when its level lies on it; what is touched first fills first.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FORWARD", "path_of"]

FORWARD: Final = ("nearest", "low_first", "high_first")
"""How the order of low and high is chosen."""


def path_of(opening: int, high: int, low: int, close: int, *, rule: str = "nearest") -> tuple[int, int, int, int]:
    """Return the four prices (ticks) in the order in which they are taken to have happened."""
    low_first = opening - low <= high - opening if rule == "nearest" else rule == "low_first"
    return (opening, low, high, close) if low_first else (opening, high, low, close)
