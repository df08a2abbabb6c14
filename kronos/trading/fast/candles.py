"""Candles in one pass over trades, compiled."""

from __future__ import annotations

import numpy as np

from kronos.trading.columns import Int64s
from kronos.trading.fast.compiled import compiled

__all__ = ["candles"]


@compiled
def _candles(time: Int64s, price: Int64s, quantity: Int64s, interval: int, out: Int64s) -> int:
    """Write the candles to `out`, shape (6, candles); return how many, -1 for trades that go back in time."""
    count, slot = 0, 0
    for row in range(time.shape[0]):
        if count == 0 or time[row] >= slot + interval:
            if count == out.shape[1]:
                return -1
            slot = time[row] // interval * interval
            out[0, count] = slot
            out[1, count] = out[2, count] = out[3, count] = price[row]
            out[5, count] = 0
            count += 1
        elif time[row] < slot:
            return -1
        last = count - 1
        out[2, last] = max(out[2, last], price[row])
        out[3, last] = min(out[3, last], price[row])
        out[4, last] = price[row]
        out[5, last] += quantity[row]
    return count


def candles(time: Int64s, price: Int64s, quantity: Int64s, interval_ns: int) -> Int64s | None:
    """Return open time, open, high, low, close, volume, shape (6, candles); None for trades that go back in time."""
    if not time.shape[0]:
        return np.zeros((6, 0), dtype=np.int64)
    slots = int(time[-1] // interval_ns - time[0] // interval_ns) + 1
    out = np.empty((6, max(1, min(int(time.shape[0]), slots))), dtype=np.int64)
    count = _candles(time, price, quantity, interval_ns, out) if slots > 0 else -1
    return None if count < 0 else out[:, :count].copy()
