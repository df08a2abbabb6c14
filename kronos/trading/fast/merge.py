"""The rows of several long streams in one order, and what is wrong with their times, each in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kronos.trading.columns import Int64s
from kronos.trading.fast.compiled import compiled

__all__ = ["check_times", "merge"]


@compiled
def check_times(known: Int64s, happened: Int64s) -> tuple[bool, bool, bool]:
    """Return whether every row is in order and possible, whether any is late, and whether all are known at once.

    The first is False for a time at or before 0, a row known before it happened, or before the row above it.
    """
    latest, before, late, instant = 0, 0, False, True
    for row in range(known.shape[0]):
        at, seen = happened[row], known[row]
        if at <= 0 or seen < at or seen < before:
            return False, late, instant
        if at < latest:
            late = True
        else:
            latest = at
        if seen != at:
            instant = False
        before = seen
    return True, late, instant


@compiled
def _count(
    known: Int64s, happened: Int64s, places: Int64s, other: Int64s, other_happened: Int64s, other_places: Int64s
) -> None:
    """Add to the places of two streams how many rows of the other come before; the first goes first where all ties."""
    passed, rows = 0, other.shape[0]
    for row in range(known.shape[0]):
        at = known[row]
        while passed < rows and (
            other[passed] < at or (other[passed] == at and other_happened[passed] < happened[row])
        ):
            other_places[passed] += row
            passed += 1
        places[row] += passed
    for row in range(passed, rows):
        other_places[row] += known.shape[0]


def merge(available: Sequence[Int64s], exchange: Sequence[Int64s]) -> list[Int64s]:
    """Return the ordinals of each stream's rows by (available, exchange, stream, own row): a row's place is its own and
    how many rows of each other stream come before it.

    Each stream ascends in both times.
    """
    places = [np.arange(times.shape[0], dtype=np.int64) for times in available]
    for one in range(len(available)):
        for two in range(one + 1, len(available)):
            _count(available[one], exchange[one], places[one], available[two], exchange[two], places[two])
    return places
