"""What a strategy derives from a stream, declared once: computed once a stream, shared, and never from the future.

Rule 1: a feature is a pure function of the rows so far and of parameters: `f(bars, …) -> one value a row`.
Rule 2: it runs once over the whole stream where `f(x[:k]) == f(x)[:k]` holds at `PREFIXES` drawn k, bit by bit; else
        row by row, each value from the rows up to its own (of the latest `window` rows where one is declared).
Rule 3: two strategies that declare one function with equal arguments share one column.
Rule 4: a function is handed arrays that own their memory, and a strategy sees its values up to now.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat, starmap
from typing import Any, Final, overload

import msgspec
import numpy as np

from kronos.errors import InvalidInput
from kronos.trading.bars import Bars, Int64s
from kronos.trading.context import Context, LookAhead

__all__ = [
    "PREFIXES", "Feature", "FeatureColumn", "FeatureRows", "FeatureStore", "FeatureView", "Past", "declared", "feature",
]  # fmt: skip

PREFIXES: Final = 32
"""Beginnings of a stream on which a function must give what it gives on the whole; seven of eight are mostly short."""

Function = Callable[..., Any]


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


class Feature:
    """A declaration: the function, what its arguments are, and how it may be computed."""

    def __init__(self, function: Function, *, window: int | None, arguments: Mapping[str, Any]) -> None:
        self.function, self.window, self.arguments = function, window, dict(arguments)
        self.name = getattr(function, "__name__", "feature")

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name of the attribute."""
        self.name = name

    def bound(self, params: Any) -> dict[str, Any]:
        """Return the function's arguments beside the rows: given ones, then parameters of that name, then defaults."""
        found: dict[str, Any] = {}
        for each in list(inspect.signature(self.function).parameters.values())[1:]:
            given = self.arguments.get(each.name, each.name)
            if isinstance(given, str) and hasattr(params, given):
                found[each.name] = getattr(params, given)
            elif each.name in self.arguments and not isinstance(given, str):
                found[each.name] = given
            elif each.default is inspect.Parameter.empty or each.name in self.arguments:
                raise InvalidInput(
                    f"feature {self.name}: {each.name} is no parameter of {type(params).__qualname__}; name a "
                    f"parameter, give a number, or give {self.function.__name__} a default",
                    field=f"features.{self.name}",
                    value=each.name,
                )
        return found

    @property
    def code(self) -> str:
        """Return the name of the function for people and for keys."""
        return f"{self.function.__module__}:{self.function.__qualname__}"


@overload
def feature(function: Function, /, *, window: int | None = ..., **arguments: Any) -> Feature: ...
@overload
def feature(*, window: int | None = ..., **arguments: Any) -> Callable[[Function], Feature]: ...
def feature(
    function: Function | None = None, /, *, window: int | None = None, **arguments: Any
) -> Feature | Callable[[Function], Feature]:
    """Declare a feature of a strategy class: as a decorator, or of a function that exists.

    fast = feature(mean, period="fast")      # the parameter `fast` of the strategy
    slow = feature(mean, period=200)

    @feature(window=50)                      # row by row, over the latest 50 rows
    def slope(bars, period): ...             # the parameter `period`

    """
    if window is not None and (type(window) is not int or window < 1):
        raise InvalidInput(f"window {window!r} is not a whole number of rows", field="window", value=str(window))

    def declare(function: Function) -> Feature:
        return Feature(function, window=window, arguments=arguments)

    return declare if function is None else declare(function)


def declared(strategy: type) -> dict[str, Feature]:
    """Return the features of a strategy class by name, those of its parents first."""
    found: dict[str, Feature] = {}
    for kind in reversed(strategy.__mro__):
        found |= {name: value for name, value in vars(kind).items() if isinstance(value, Feature)}
    return found


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


class FeatureRows:
    """What the declared features of one strategy are, row by row: a frozen value `known.NAME` each."""

    def __init__(self, columns: Mapping[str, FeatureColumn]) -> None:
        self.columns = columns
        self._known = msgspec.defstruct("Features", [(name, Any) for name in columns], frozen=True, gc=False)

    def rows(self, start: int, stop: int) -> Iterator[Any]:
        """Return the values of rows start..stop-1, one struct a row (None where nothing is declared)."""
        if not self.columns:
            return repeat(None, stop - start)
        return starmap(self._known, zip(*(c.values(start, stop) for c in self.columns.values()), strict=True))

    def attach(self, context: Context) -> None:
        """Let `context` show these features, as of its present row."""
        values = next(self.rows(context.now, context.now + 1)) if context.now >= 0 else _Unknown()
        context.show(values, {name: FeatureView(context, name, column) for name, column in self.columns.items()})


class _Unknown:
    """What features are before the first row."""

    def __getattr__(self, name: str) -> Any:
        raise LookAhead(f"feature {name} is not known before the first row", column=name, row=0, now=-1)


class FeatureView:
    """One feature's values up to now: `view[-1]` the latest, `view[row]` that of a row, `view.last(n)` a copy."""

    __slots__ = ("_column", "_context", "_name")

    def __init__(self, context: Context, name: str, column: FeatureColumn) -> None:
        self._context, self._name, self._column = context, name, column

    def __len__(self) -> int:
        """Return how many values are known."""
        return self._context.now + 1

    def __getitem__(self, row: int) -> Any:
        """Return one value; raise `LookAhead` for a row beyond now."""
        known = self._context.now + 1
        at = row + known if row < 0 else row
        if not 0 <= at < known:
            raise self._beyond(at)
        return self._column[at]

    def last(self, count: int) -> np.ndarray[Any, Any]:
        """Return the latest `count` values, oldest first (shape (count,)); fewer are a `LookAhead`."""
        known = self._context.now + 1
        if not 0 <= count <= known:
            raise self._beyond(known - count)
        return np.array(self._column.values(known - count, known))

    def _beyond(self, row: int) -> LookAhead:
        now = self._context.now
        return LookAhead(
            f"{self._name}[{row}] is not known at row {now}: rows 0 to {now} are", column=self._name, row=row, now=now
        )


class FeatureStore:
    """The columns of one session's streams, each computed when it is first declared.

    `like` has columns of the same functions over other rows: how they are computed was proven there.
    """

    def __init__(self, *, like: FeatureStore | None = None) -> None:
        self.columns: dict[tuple[Any, ...], FeatureColumn] = {}
        self._like = {} if like is None else like.columns

    def of(self, strategy: Any, stream: int, bars: Bars) -> FeatureRows:
        """Return the features of `strategy` over `bars`; raise `InvalidInput` for what cannot be computed."""
        found = {}
        for name, each in declared(type(strategy)).items():
            arguments = each.bound(strategy.params)
            key = (stream, bars.dataset, each.function, each.window, repr(sorted(arguments.items())))
            if key not in self.columns:
                self.columns[key] = FeatureColumn(bars, each, arguments, like=self._like.get(key))
            found[name] = self.columns[key]
        return FeatureRows(found)
