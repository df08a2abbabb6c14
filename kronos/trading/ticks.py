"""One row of a stream of trades or quotes, or one update of a book, as a handler is shown it.

Rule: these are values, made only for rows that some strategy subscribes to; prices in ticks, quantities in steps,
times in nanoseconds UTC.
"""

from __future__ import annotations

import msgspec

__all__ = ["BookTick", "QuoteTick", "TradeTick"]


class TradeTick(msgspec.Struct, frozen=True, gc=False):
    """One trade of the market: `time` is when it was known; `side` is streams.BID where the buyer was the aggressor."""

    row: int
    time: int
    price: int
    quantity: int
    side: int
    instrument: str = ""


class QuoteTick(msgspec.Struct, frozen=True, gc=False):
    """The best bid and ask after a change; `time` is when it was known."""

    row: int
    time: int
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int
    instrument: str = ""


class BookTick(msgspec.Struct, frozen=True, gc=False):
    """One update of a book is known, whole: `row` is its last row, `ctx.book(instrument)` the book after it."""

    row: int
    time: int
    instrument: str = ""
