"""What a strategy derives from a stream, declared once: computed once a stream, shared, and never from the future.

Rule 1: two strategies that declare one function with equal arguments share one column (`feature_columns`).
Rule 2: a strategy sees the values of its declarations (`declaring`) up to now, and a later one is a `LookAhead`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import repeat, starmap
from typing import Any

import msgspec
import numpy as np

from kronos.trading.bars import Bars
from kronos.trading.context import Context, LookAhead
from kronos.trading.declaring import Feature, declared, feature
from kronos.trading.feature_columns import PREFIXES, FeatureColumn, Past, prefixes

__all__ = [
    "PREFIXES", "Feature", "FeatureColumn", "FeatureRows", "FeatureStore", "FeatureView", "Past", "declared", "feature",
    "prefixes",
]  # fmt: skip


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
