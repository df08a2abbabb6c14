"""A book of price levels: what depth rows add up to.

Rule 1: a level is its price in ticks and the quantity that stands there; a quantity of 0 is no level.
Rule 2: the first row of a snapshot empties the book; rows of one update share their source's sequence.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from kronos.trading.streams import BID, SNAPSHOT

__all__ = ["Book", "BookView"]


class Book:
    """Both sides of one instrument's book.  Best levels are (price in ticks, quantity in steps), None when empty."""

    def __init__(self) -> None:
        self.source = 0
        self._snapshot = False
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._bid_prices: list[int] = []
        self._ask_prices: list[int] = []

    def apply(self, kind: int, side: int, price: int, quantity: int, source: int) -> None:
        """Take one depth row."""
        if kind == SNAPSHOT and not (self._snapshot and source == self.source):
            self.clear()
        self._snapshot, self.source = kind == SNAPSHOT, source
        levels, prices = (self._bids, self._bid_prices) if side == BID else (self._asks, self._ask_prices)
        if quantity:
            if price not in levels:
                insort(prices, price)
            levels[price] = quantity
        elif levels.pop(price, 0):
            del prices[bisect_left(prices, price)]

    def clear(self) -> None:
        """Forget every level."""
        for each in (self._bids, self._asks, self._bid_prices, self._ask_prices):
            each.clear()

    @property
    def bid(self) -> tuple[int, int] | None:
        """Return the best bid."""
        return (self._bid_prices[-1], self._bids[self._bid_prices[-1]]) if self._bid_prices else None

    @property
    def ask(self) -> tuple[int, int] | None:
        """Return the best ask."""
        return (self._ask_prices[0], self._asks[self._ask_prices[0]]) if self._ask_prices else None

    def bids(self, count: int) -> list[tuple[int, int]]:
        """Return up to `count` bids, best first."""
        return [(price, self._bids[price]) for price in self._bid_prices[: -count - 1 : -1]]

    def asks(self, count: int) -> list[tuple[int, int]]:
        """Return up to `count` asks, best first."""
        return [(price, self._asks[price]) for price in self._ask_prices[:count]]


class BookView:
    """A book as a strategy sees it: as of now, and not to be changed."""

    __slots__ = ("__book",)

    def __init__(self, book: Book) -> None:
        self.__book = book

    @property
    def bid(self) -> tuple[int, int] | None:
        """Return the best bid (price in ticks, quantity in steps), None when there is none."""
        return self.__book.bid

    @property
    def ask(self) -> tuple[int, int] | None:
        """Return the best ask, None when there is none."""
        return self.__book.ask

    def bids(self, count: int) -> list[tuple[int, int]]:
        """Return up to `count` bids, best first."""
        return self.__book.bids(count)

    def asks(self, count: int) -> list[tuple[int, int]]:
        """Return up to `count` asks, best first."""
        return self.__book.asks(count)
