"""The values of one feature over one stream, and what its function is handed for them.

Rule 1: a function runs once over the whole stream where `f(x[:k]) == f(x)[:k]` holds at `PREFIXES` drawn k, bit by bit;
        else row by row, each value from the rows up to its own (of the latest `window` rows where one is declared).
Rule 2: it is handed arrays that own their memory: nothing leads from them to later rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from kronos.errors import InvalidInput
from kronos.trading.bars import Bars
from kronos.trading.columns import Int64s
from kronos.trading.declaring import Feature

__all__ = ["PREFIXES", "FeatureColumn", "Past", "prefixes"]

PREFIXES: Final = 32
"""Beginnings of a stream on which a function must give what it gives on the whole; seven of eight are mostly short."""


class Past:
    """The first `rows` rows of a stream as a feature function sees them: int64 arrays, own memory, read-only."""

    def __init__(self, bars: Bars, rows: int, *, first: int = 0) -> None:
        self.rows, self.tick, self.interval_ns = rows - first, bars.tick, bars.interval_ns
        self._bars, self._range = bars, slice(first, rows)
        self._copies: dict[str, Int64s] = {}

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.rows

    @property
    def time(self) -> Int64s:
        """Return when each bar became known (ns UTC)."""
        return self._column("time")

    @property
    def open(self) -> Int64s:
        """Return the opens in ticks."""
        return self._column("open")

    @property
    def high(self) -> Int64s:
        """Return the highs in ticks."""
        return self._column("high")

    @property
    def low(self) -> Int64s:
        """Return the lows in ticks."""
        return self._column("low")

    @property
    def close(self) -> Int64s:
        """Return the closes in ticks."""
        return self._column("close")

    @property
    def volume(self) -> Int64s:
        """Return the volumes in steps."""
        return self._column("volume")

    def _column(self, name: str) -> Int64s:
        copy = self._copies.get(name)
        if copy is None:
            source = self._bars.open_time if name == "time" else getattr(self._bars, name)
            copy = source[self._range].copy()
            if name == "time":
                copy += self.interval_ns
            copy.flags.writeable = False
            self._copies[name] = copy
        return copy


class FeatureColumn:
    """The values of one function with its arguments over one stream; `mode` is "vectorised" or "by row"."""

    def __init__(
        self, bars: Bars, feature: Feature, arguments: Mapping[str, Any], *, like: FeatureColumn | None = None
    ) -> None:
        self._bars, self._feature, self._arguments = bars, feature, arguments
        self._rows: dict[int, Any] = {}
        self._whole: np.ndarray[Any, Any] | None = None
        self.calls = 0
        self.mode = "by row"
        if like is not None:
            self._whole = np.array(self._call(bars.rows)) if like.mode == "vectorised" else None
        elif feature.window is None:
            self._whole = self._vectorised()
        if feature.window is None:
            self.mode = "by row" if self._whole is None else "vectorised"

    def values(self, start: int, stop: int) -> list[Any]:
        """Return the values of rows start..stop-1 as Python numbers."""
        if self._whole is not None:
            return self._whole[start:stop].tolist()  # type: ignore[no-any-return]
        return [self[row] for row in range(start, stop)]

    def __getitem__(self, row: int) -> Any:
        """Return the value of `row`, computed now if it was not yet."""
        if self._whole is not None:
            return self._whole[row].item()
        if row not in self._rows:
            self._rows[row] = self._latest(row)
        return self._rows[row]

    def _call(self, rows: int, first: int = 0) -> Any:
        self.calls += 1
        name = self._feature.name
        try:
            found = self._feature.function(Past(self._bars, rows, first=first), **self._arguments)
        except Exception as error:
            raise InvalidInput(
                f"feature {name} failed on rows {first} to {rows - 1}: {type(error).__name__}: {error}; "
                "it is asked about every beginning of the stream, from its first row on",
                field=f"features.{name}",
                row=rows - 1,
            ) from error
        shape = np.shape(found)
        if (shape not in {(), (rows - first,)}) or np.asarray(found).dtype.kind not in "biuf":
            raise InvalidInput(
                f"feature {name}: expected a number, or numbers of shape ({rows - first},), got shape {shape} of "
                f"{np.asarray(found).dtype}",
                field=f"features.{name}",
            )
        return found

    def _latest(self, row: int) -> Any:
        window = self._feature.window
        found = np.asarray(self._call(row + 1, 0 if window is None else max(0, row + 1 - window)))
        return found.ravel()[-1].item()

    def _vectorised(self) -> np.ndarray[Any, Any] | None:
        """Return the values of the whole stream, or None where they are not those of its beginnings."""
        rows = self._bars.rows
        whole = self._call(rows)
        if np.shape(whole) != (rows,):
            return None
        whole = np.array(whole)
        for k in prefixes(rows, f"{self._bars.dataset} {self._feature.code}"):
            part = np.asarray(self._call(k))
            if part.shape != (k,) or part.dtype != whole.dtype or not _same(part, whole[:k]):
                return None
        return whole


def prefixes(rows: int, seed: str) -> Iterator[int]:
    """Return PREFIXES lengths below `rows`: seven of eight with every magnitude equally likely, the others even."""
    longest = max(1, rows - 1)
    for number in range(PREFIXES):
        drawn = int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest(), "big")
        least, most = 1, longest
        if number % 8:
            least = 1 << drawn % longest.bit_length()
            most = min(2 * least - 1, longest)
        yield least + (drawn >> 64) % (most - least + 1)


def _same(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """Return whether two columns of one type are equal; their bits are compared first, which nearly always says so."""
    bits, is_plain = f"u{one.dtype.itemsize}", one.flags.c_contiguous and other.flags.c_contiguous
    if is_plain and one.dtype.itemsize in {1, 2, 4, 8} and np.array_equal(one.view(bits), other.view(bits)):
        return True
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
