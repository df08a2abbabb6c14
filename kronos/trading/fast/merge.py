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
def _merge(known: Int64s, happened: Int64s, bounds: Int64s, ordinals: Int64s) -> None:
    streams = bounds.shape[0] - 1
    heads = bounds[:-1].copy()
    for row in range(known.shape[0]):
        best = -1
        for stream in range(streams):
            head = heads[stream]
            if head == bounds[stream + 1]:
                continue
            if best < 0:
                best = stream
                continue
            other = heads[best]
            if known[head] < known[other] or (known[head] == known[other] and happened[head] < happened[other]):
                best = stream
        ordinals[heads[best]] = row
        heads[best] += 1


def merge(available: Sequence[Int64s], exchange: Sequence[Int64s]) -> list[Int64s]:
    """Return the ordinals of each stream's rows by (available, exchange, stream, own row).

    Each stream ascends in both times.
    """
    known = np.concatenate(available)
    same = all(a is e for a, e in zip(available, exchange, strict=True))
    happened = known if same else np.concatenate(exchange)
    bounds = np.cumsum([0, *(times.shape[0] for times in available)]).astype(np.int64)
    ordinals = np.empty(known.shape[0], dtype=np.int64)
    _merge(known, happened, bounds, ordinals)
    return np.split(ordinals, bounds[1:-1])
