"""Bars as columns: what a backtest reads, and the one row of them that a strategy is shown.

Rule 1: columns are int64 and read-only; prices are ticks, volume is in steps, times are nanoseconds UTC.
Rule 2: a bar is available at its close, open time + interval, never at its open stamp.
Rule 3: the columns belong to a dataset named by content hash; nothing here is ever written into a journal.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
import numpy as np

from kronos.trading.columns import Int64s, own_columns

__all__ = ["COLUMNS", "Bar", "Bars", "Int64s", "Split"]

COLUMNS: Final = ("open_time", "open", "high", "low", "close", "volume")
"""The canonical columns of bars, in the order in which they are hashed."""


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """A share split that takes effect before `row` opens: every `denominator` shares become `numerator`."""

    row: int
    numerator: int
    denominator: int = 1


class Bar(msgspec.Struct, frozen=True, gc=False):
    """One closed bar: `time` is when it became available (ns UTC), prices in ticks, volume in steps.

    `row` is its row in its own stream, `instrument` and `interval_ns` say which one that is.  It is a value: keeping
    it, comparing it or pickling it is safe.
    """

    row: int
    time: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    instrument: str = ""
    interval_ns: int = 0


class Bars(msgspec.Struct, frozen=True, kw_only=True):
    """The bars of one instrument; all columns are int64 arrays of shape (rows,).

    `price_max` is the highest price in ticks where it is known beforehand, which saves reading the column.
    """

    dataset: str
    instrument: str
    tick: Decimal
    volume_step: Decimal
    interval_ns: int
    open_time: Int64s
    open: Int64s
    high: Int64s
    low: Int64s
    close: Int64s
    volume: Int64s
    splits: tuple[Split, ...] = ()
    price_max: int | None = None

    def __post_init__(self) -> None:
        """Refuse columns of another type or of unequal length; keep read-only views of the others."""
        own_columns(self, "bars", COLUMNS)

    @property
    def rows(self) -> int:
        """Return the number of bars."""
        return int(self.open_time.shape[0])

    @property
    def available(self) -> Int64s:
        """Return the time (ns UTC) at which each bar is known: its close."""
        return self.open_time + self.interval_ns

    def row_at(self, time_ns: int) -> int:
        """Return the first row that opens at or after `time_ns`."""
        return int(np.searchsorted(self.open_time, time_ns, side="left"))
