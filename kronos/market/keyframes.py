"""Books of a depth dataset at every 65,536th row, shared by all runs over it: a seek folds at most one chunk.

Rule 1: a keyframe is the book before a chunk's first row: every level that is there, bids from the best, then asks.
Rule 2: keyframes are derived from the columns and no part of the dataset's id; without one the book is folded further.
"""

from __future__ import annotations

import numpy as np

from kronos.market.dataset import CHUNK_ROWS
from kronos.trading.columns import Int64s
from kronos.trading.streams import ASK, BID, SNAPSHOT

__all__ = ["LEVELS", "book_after", "keyframes_of"]

LEVELS = ("side", "price", "quantity")
"""The columns of a keyframe (int64, one row a level)."""

Levels = dict[str, Int64s]


def keyframes_of(columns: dict[str, Int64s]) -> list[Levels]:
    """Return the book before each chunk of a depth dataset; the first one is empty."""
    found = [_empty()]
    for start in range(0, len(columns["side"]) - CHUNK_ROWS, CHUNK_ROWS):
        found.append(book_after(found[-1], columns, start, start + CHUNK_ROWS))
    return found


def book_after(book: Levels, columns: dict[str, Int64s], start: int, stop: int) -> Levels:
    """Return `book` after rows start..stop-1: the first row of a snapshot empties it, quantity 0 removes a level.

    Rows of one snapshot stand together and share a source number, so a snapshot begins where a row is one and the row
    before it is none, or has another source.
    """
    kind, source = columns["kind"][start:stop], columns["source"][start:stop]
    is_snapshot = kind == SNAPSHOT
    continued = np.zeros(stop - start, dtype=bool)
    continued[1:] = is_snapshot[:-1] & (source[1:] == source[:-1])
    if start:
        continued[0] = columns["kind"][start - 1] == SNAPSHOT and columns["source"][start - 1] == source[0]
    begins = np.flatnonzero(is_snapshot & ~continued)
    at = start + int(begins[-1]) if begins.size else start
    kept = _empty() if begins.size else book
    side, price, quantity = (np.concatenate((kept[name], columns[name][at:stop])) for name in LEVELS)
    return _last(side, price, quantity)


def _last(side: Int64s, price: Int64s, quantity: Int64s) -> Levels:
    """Return the last quantity of each (side, price) that is not 0, bids from the highest, asks from the lowest."""
    place = np.arange(len(side))
    order = np.lexsort((place, -side * price, -side))
    side, price, quantity = side[order], price[order], quantity[order]
    ends = np.ones(len(side), dtype=bool)
    ends[:-1] = (side[1:] != side[:-1]) | (price[1:] != price[:-1])
    keep = ends & (quantity > 0)
    return {"side": side[keep], "price": price[keep], "quantity": quantity[keep]}


def _empty() -> Levels:
    return {name: np.zeros(0, dtype=np.int64) for name in LEVELS}


assert (BID, ASK) == (1, -1), "bids sort before asks by the sign of their side"
