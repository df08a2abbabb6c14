"""A book as a ladder of ticks: depth rows move it, wakes read its top.

Rule 1: a level is a cell of an array, its index the price less the lowest price of the dataset: exact, nothing is ever
        moved or thrown away.  The system gives memory only for the cells that are touched.
Rule 2: the first row of a snapshot empties the book; a quantity of 0 is no level.
Rule 3: best levels are kept, and searched again only when they go.

`head` (shape (6,), int64) is best bid, best ask (cells, -1: none), levels of bids and of asks, the last source, and
whether the last row belonged to a snapshot.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from kronos.errors import InvalidInput
from kronos.trading.columns import Int64s
from kronos.trading.fast.compiled import compiled
from kronos.trading.streams import Depth

__all__ = ["SPAN_MAX", "Ladder", "tops"]

SPAN_MAX: Final = 2**26
"""Ticks between the lowest and the highest price of a dataset: beyond it the tick is not the market's."""


class Ladder:
    """The book of a depth stream as it stands before row `row`; moves forward, and back by starting again."""

    def __init__(self, depth: Depth) -> None:
        """Lay cells for every price of `depth`; raise `InvalidInput` when they span more than 2^26 ticks."""
        self._depth = depth
        self.base = int(depth.price.min()) if depth.rows else 0
        span = (int(depth.price.max()) if depth.rows else 0) - self.base + 1
        if span > SPAN_MAX:
            raise InvalidInput(
                f"depth of {depth.instrument}: prices span {span} ticks, more than {SPAN_MAX}: "
                "import with a coarser tick",
                field="tick",
                value=str(depth.tick),
            )
        self.bids, self.asks, self.seen = (np.zeros(span, dtype=np.int64) for _ in range(3))
        self.head = np.array([-1, -1, 0, 0, 0, 0], dtype=np.int64)
        self.row = 0

    def advance(self, row: int) -> None:
        """Take the rows before `row`; for one that lies behind, begin again."""
        if row < self.row:
            self.row = 0
            self.head[:] = (-1, -1, 0, 0, 0, 0)
            for cells in (self.bids, self.asks, self.seen):
                cells[:] = 0
        if row > self.row:
            rows = self._depth
            advance_depth(
                rows.kind, rows.side, rows.price, rows.quantity, rows.source, self.row, row, self.base,
                self.bids, self.asks, self.seen, self.head,
            )  # fmt: skip
            self.row = row

    @property
    def bid(self) -> tuple[int, int] | None:
        """Return the best bid as (price in ticks, quantity in steps), None when there is none."""
        cell = int(self.head[0])
        return None if cell < 0 else (self.base + cell, int(self.bids[cell]))

    @property
    def ask(self) -> tuple[int, int] | None:
        """Return the best ask as (price in ticks, quantity in steps), None when there is none."""
        cell = int(self.head[1])
        return None if cell < 0 else (self.base + cell, int(self.asks[cell]))

    def quantity(self, side: int, price: int) -> int:
        """Return what stands at `price` on `side`, 0 for a price that the dataset never had."""
        cell = price - self.base
        return int((self.bids if side > 0 else self.asks)[cell]) if 0 <= cell < self.bids.shape[0] else 0

    def set_at(self, price: int) -> int:
        """Return the row after the one that last set `price`, 0 when none did."""
        cell = price - self.base
        return int(self.seen[cell]) if 0 <= cell < self.seen.shape[0] else 0

    def levels(self, side: int, count: int, limit: int | None = None) -> list[tuple[int, int]]:
        """Return up to `count` levels of `side`, best first, none worse than `limit` for who takes them."""
        cells, best = (self.bids, int(self.head[0])) if side > 0 else (self.asks, int(self.head[1]))
        left, found = int(self.head[2 if side > 0 else 3]), list[tuple[int, int]]()
        while left and len(found) < count:
            price = self.base + best
            if limit is not None and (price - limit) * side < 0:
                break
            if cells[best]:
                found.append((price, int(cells[best])))
                left -= 1
            best -= side
        return found


@compiled
def advance_depth(
    kind: Int64s,
    side: Int64s,
    price: Int64s,
    quantity: Int64s,
    source: Int64s,
    start: int,
    stop: int,
    base: int,
    bids: Int64s,
    asks: Int64s,
    seen: Int64s,
    head: Int64s,
) -> None:
    """Move the book by the rows [start, stop); `seen` keeps the row after the last one that set a cell."""
    best_bid, best_ask, bid_levels, ask_levels, last, in_snapshot = head
    for row in range(start, stop):
        snapshot = kind[row] == 0
        if snapshot and not (in_snapshot and source[row] == last):
            for cell in range(best_bid, -1, -1):
                if bid_levels == 0:
                    break
                if bids[cell]:
                    bids[cell] = 0
                    seen[cell] = row + 1
                    bid_levels -= 1
            for cell in range(max(best_ask, 0), asks.shape[0]):
                if ask_levels == 0:
                    break
                if asks[cell]:
                    asks[cell] = 0
                    seen[cell] = row + 1
                    ask_levels -= 1
            best_bid, best_ask = -1, -1
        in_snapshot, last = 1 if snapshot else 0, source[row]
        cell, amount = price[row] - base, quantity[row]
        seen[cell] = row + 1
        if side[row] > 0:
            bid_levels += (1 if amount else 0) - (1 if bids[cell] else 0)
            bids[cell] = amount
            if amount:
                best_bid = max(best_bid, cell)
            elif cell == best_bid:
                if bid_levels == 0:
                    best_bid = -1
                else:
                    while bids[best_bid] == 0:
                        best_bid -= 1
        else:
            ask_levels += (1 if amount else 0) - (1 if asks[cell] else 0)
            asks[cell] = amount
            if amount:
                best_ask = cell if best_ask < 0 else min(best_ask, cell)
            elif cell == best_ask:
                if ask_levels == 0:
                    best_ask = -1
                else:
                    while asks[best_ask] == 0:
                        best_ask += 1
    head[0], head[1], head[2], head[3], head[4], head[5] = (
        best_bid, best_ask, bid_levels, ask_levels, last, in_snapshot,
    )  # fmt: skip


@compiled
def _tops(
    kind: Int64s,
    side: Int64s,
    price: Int64s,
    quantity: Int64s,
    source: Int64s,
    stops: Int64s,
    first: int,
    base: int,
    bids: Int64s,
    asks: Int64s,
    seen: Int64s,
    head: Int64s,
    out: Int64s,
) -> None:
    row = first
    for wake in range(stops.shape[0]):
        if stops[wake] > row:
            advance_depth(kind, side, price, quantity, source, row, stops[wake], base, bids, asks, seen, head)
            row = stops[wake]
        if head[0] >= 0:
            out[0, wake], out[1, wake] = base + head[0], bids[head[0]]
        if head[1] >= 0:
            out[2, wake], out[3, wake] = base + head[1], asks[head[1]]


def tops(depth: Depth, stops: Int64s, ladder: Ladder | None = None) -> Int64s:
    """Return bid, bid quantity, ask, ask quantity, shape (4, wakes), 0 where there is none, before the rows `stops`.

    `stops` ascend; with `ladder` the sampling goes on from where it stands.
    """
    ladder = ladder or Ladder(depth)
    out = np.zeros((4, stops.shape[0]), dtype=np.int64)
    _tops(
        depth.kind, depth.side, depth.price, depth.quantity, depth.source, stops, ladder.row, ladder.base,
        ladder.bids, ladder.asks, ladder.seen, ladder.head, out,
    )  # fmt: skip
    if stops.shape[0]:
        ladder.row = max(ladder.row, int(stops[-1]))
    return out
