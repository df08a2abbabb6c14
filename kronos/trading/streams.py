"""What a session reads beside bars: trades, quotes and depth as columns, and which columns each kind has.

Rule 1: columns are int64 and read-only; prices are ticks, quantities steps, times nanoseconds UTC.
Rule 2: a row has two times: `time`, when it happened at the venue, and `available`, when the strategy could know it.
Rule 3: rows stand in the order in which they became available; nothing here is ever written into a journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeAlias

import msgspec
import numpy as np

from kronos.errors import InvalidInput
from kronos.trading import bars
from kronos.trading.bars import Bars
from kronos.trading.columns import Int64s, own_columns

__all__ = [
    "ASK",
    "BID",
    "COLUMNS_OF",
    "DELTA",
    "SNAPSHOT",
    "Depth",
    "Quotes",
    "Stream",
    "Trades",
    "check_streams",
    "kind_of_stream",
    "on_time",
]

BID, ASK = 1, -1
"""Sides of a book; a trade's side is that of its aggressor: BID bought, ASK sold."""

SNAPSHOT, DELTA = 0, 1
"""Kinds of depth rows: the first row of a snapshot empties the book; a delta sets one level, quantity 0 removes it."""

COLUMNS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "bars": bars.COLUMNS,
    "trades": ("time", "available", "price", "quantity", "side", "source"),
    "quotes": ("time", "available", "bid", "bid_quantity", "ask", "ask_quantity", "source"),
    "depth": ("time", "available", "kind", "side", "price", "quantity", "source"),
}
"""The canonical columns of each kind, in the order in which they are hashed.  `source` is the venue's own sequence."""


class _Rows(msgspec.Struct, frozen=True, kw_only=True):
    """What every stream has: its dataset's handle, the grid of its numbers, both times and the source's sequence.

    `price_max` is the highest price in ticks where it is known beforehand, which saves reading the column.
    """

    dataset: str
    instrument: str
    tick: Decimal
    volume_step: Decimal
    time: Int64s
    available: Int64s
    source: Int64s
    price_max: int | None = None

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return int(self.time.shape[0])


class Trades(_Rows, frozen=True, kw_only=True):
    """Trades; arrays of shape (rows,).  `side` is BID where the buyer was the aggressor, ASK where the seller was."""

    price: Int64s
    quantity: Int64s
    side: Int64s

    def __post_init__(self) -> None:
        """Refuse columns of another type or of unequal length; keep read-only views of the others."""
        own_columns(self, "trades", COLUMNS_OF["trades"])


class Quotes(_Rows, frozen=True, kw_only=True):
    """The best bid and ask after each change; arrays of shape (rows,)."""

    bid: Int64s
    bid_quantity: Int64s
    ask: Int64s
    ask_quantity: Int64s

    def __post_init__(self) -> None:
        """Refuse columns of another type or of unequal length; keep read-only views of the others."""
        own_columns(self, "quotes", COLUMNS_OF["quotes"])


class Depth(_Rows, frozen=True, kw_only=True):
    """A book's levels, one a row; arrays of shape (rows,).  Rows of one update share `source` and stand together."""

    kind: Int64s
    side: Int64s
    price: Int64s
    quantity: Int64s

    def __post_init__(self) -> None:
        """Refuse columns of another type or of unequal length; keep read-only views of the others."""
        own_columns(self, "depth", COLUMNS_OF["depth"])


Stream: TypeAlias = Bars | Trades | Quotes | Depth


def on_time(streams: Sequence[Stream], late: str) -> tuple[list[Stream], dict[str, int]]:
    """Return `streams` as a session hears them, and how many rows each lost by its name: where `late` is "drop", trades
    and quotes that happened before one that was known already.  A book is a chain of changes: it loses none; bars
    happen in the order of their columns.
    """
    if late != "drop":
        return list(streams), {}
    found: list[Stream] = []
    dropped: dict[str, int] = {}
    for stream in streams:
        kept = stream
        if isinstance(stream, Trades | Quotes):
            stays = stream.time >= np.maximum.accumulate(stream.time)
            count = stream.rows - int(stays.sum())
            if count:
                kind = kind_of_stream(stream)
                kept = msgspec.structs.replace(
                    stream, **{name: getattr(stream, name)[stays] for name in COLUMNS_OF[kind]}
                )
                dropped[f"{kind} of {stream.instrument}"] = count
        found.append(kept)
    return found, dropped


def check_streams(streams: Sequence[Stream]) -> None:
    """Refuse one stream given twice, trades and books with a price that is not above 0, and a quantity below 0.

    Raises `InvalidInput` with the stream and its first such row.
    """
    known: set[tuple[str, str, str, int]] = set()
    for stream in streams:
        kind = kind_of_stream(stream)
        name = f"{kind} of {stream.instrument}"
        key = (kind, stream.instrument, stream.dataset, stream.interval_ns if isinstance(stream, Bars) else 0)
        if key in known:
            raise InvalidInput(f"streams: {name} ({stream.dataset}) are given twice: give each once", field="streams")
        known.add(key)
        for column, least in _LEAST.get(kind, {}).items():
            values = getattr(stream, column)
            if values.shape[0] and values.min() < least:
                row = int((values < least).argmax())
                raise InvalidInput(
                    f"{name}: {column} {values[row]} at row {row} is below {least}: leave the row out or correct it",
                    field=f"{kind}.{column}",
                    value=str(values[row]),
                )


_LEAST: Final[Mapping[str, Mapping[str, int]]] = {
    "trades": {"price": 1, "quantity": 0},
    "quotes": {"bid": 0, "ask": 0, "bid_quantity": 0, "ask_quantity": 0},
    "depth": {"price": 1, "quantity": 0},
}
"""The least that a column may hold, in ticks and steps."""


def kind_of_stream(stream: Stream) -> str:
    """Return which of `COLUMNS_OF` a stream is."""
    return type(stream).__name__.lower()
