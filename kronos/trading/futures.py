"""Other futures: the streams of a run as they could have gone on after one of its rows.

Rule 1: what was known at the cut, or had happened by then, stays; of what comes after, whole rows are replaced by other
        rows of the same stream, in another order, or upside down within the same range.
Rule 2: times, counts and bounds stay: two futures are two runs of one length over one timeline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import gcd
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
import numpy as np

from kronos.errors import InvalidInput
from kronos.trading.bars import Bars
from kronos.trading.columns import Int64s
from kronos.trading.streams import Depth, Quotes, Stream, Trades, kind_of_stream
from kronos.trading.timeline import Timeline

__all__ = ["Column", "Future", "Streams"]

Column: TypeAlias = tuple[int, str]
"""A stream's place and the name of one of its columns."""

_UPSIDE: Final[dict[type[Any], dict[str, str]]] = {
    Bars: {"open": "open", "high": "low", "low": "high", "close": "close"},
    Trades: {"price": "price"},
    Quotes: {"bid": "ask", "ask": "bid"},
}
"""Where each price comes from when prices are turned upside down."""

_OTHERS: Final[dict[type[Any], tuple[str, ...]]] = {
    Bars: ("volume",),
    Trades: ("quantity", "side"),
    Quotes: ("bid_quantity", "ask_quantity"),
}
_LOWEST: Final[dict[type[Any], str]] = {Bars: "low", Trades: "price", Quotes: "bid"}
_HIGHEST: Final[dict[type[Any], str]] = {Bars: "high", Trades: "price", Quotes: "ask"}


class Future(NamedTuple):
    """Values for the columns of each stream, from its row `begins[place]` on."""

    begins: tuple[int, ...]
    values: dict[Column, Int64s]


class Streams:
    """The `given` streams of a run, whose rows take `feed_ns` to the strategies."""

    def __init__(self, given: Sequence[Stream], *, feed_ns: int = 0) -> None:
        """Raise `InvalidInput` for a book: its updates build on one another and have no other order."""
        for stream in given:
            if isinstance(stream, Depth):
                raise InvalidInput(
                    f"the book of {stream.instrument} cannot be given another future, since its updates build on one "
                    "another: audit the strategy on trades, quotes or bars",
                    field="streams",
                    value=stream.instrument,
                )
        # the bounds, and with them the lots, stay those of the data
        self.given: list[Stream] = [
            msgspec.structs.replace(stream, price_max=int(getattr(stream, _HIGHEST[type(stream)]).max()))
            if stream.price_max is None
            else stream
            for stream in given
        ]
        self._timeline = Timeline(self.given, feed_ns=feed_ns)
        self.columns: tuple[Column, ...] = tuple(
            (place, name)
            for place, stream in enumerate(given)
            for name in (*_UPSIDE[type(stream)], *_OTHERS[type(stream)])
        )

    def after(self, row: int, reach: int, *, mirrored: bool) -> Future:
        """Return another future after `row` of the timeline, up to before `reach`."""
        time = self._timeline.time(row)
        begins = tuple(
            max(self._timeline.index(place, row + 1), int(np.searchsorted(happened, time, side="right")))
            for place, happened in enumerate(self._timeline.exchange)
        )
        values = {
            (place, name): column
            for place, stream in enumerate(self.given)
            for name, column in _drawn(
                stream, row, max(0, self._timeline.index(place, reach) - begins[place]), mirrored=mirrored
            ).items()
        }
        return Future(begins, values)

    def replaced(self, future: Future, columns: Sequence[Column], first: int, stop: int) -> list[Stream]:
        """Return the streams with `columns` of `future` in the rows first..stop-1 of the timeline."""
        changed: dict[int, dict[str, Int64s]] = {}
        for place, name in columns:
            values, begin = getattr(self.given[place], name).copy(), future.begins[place]
            other = future.values[place, name]
            low = max(begin, self._timeline.index(place, first))
            high = max(low, min(begin + other.shape[0], self._timeline.index(place, stop)))
            values[low:high] = other[low - begin : high - begin]
            changed.setdefault(place, {})[name] = values
        return [
            msgspec.structs.replace(stream, **changed[place]) if place in changed else stream
            for place, stream in enumerate(self.given)
        ]

    def own_rows(self, place: int, first: int, stop: int) -> tuple[int, int]:
        """Return which rows of a stream are the rows first..stop-1 of the timeline: the first, and before which."""
        return self._timeline.index(place, first), self._timeline.index(place, stop)

    def name(self, place: int) -> str:
        """Return what a stream is called beside others, "" for the only one."""
        stream = self.given[place]
        return f"the {kind_of_stream(stream)} of {stream.instrument}" if len(self.given) > 1 else ""


def _drawn(stream: Stream, row: int, count: int, *, mirrored: bool) -> dict[str, Int64s]:
    """Return `count` rows of `stream` in another order, or these upside down."""
    kind, rows = type(stream), stream.rows
    seed = hashlib.sha256(f"{stream.dataset} {row} {mirrored}".encode()).digest()
    step, begin = 1 + int.from_bytes(seed[:4], "big") % rows, int.from_bytes(seed[4:8], "big")
    while gcd(step, rows) > 1:
        step += 1
    order = (np.arange(count) * step + begin) % rows
    found: dict[str, Int64s] = {name: getattr(stream, name)[order] for name in (*_UPSIDE[kind], *_OTHERS[kind])}
    if mirrored:
        ends = int(getattr(stream, _LOWEST[kind]).min()) + int(getattr(stream, _HIGHEST[kind]).max())
        found |= {name: ends - getattr(stream, source)[order] for name, source in _UPSIDE[kind].items()}
        for name in _OTHERS[kind]:
            found[name] = int(getattr(stream, name).max()) - found[name] + _least(stream, name)
    return found


def _least(stream: Stream, name: str) -> int:
    """Return what is added to an amount that is taken from the highest: a bar's volume may become nothing."""
    return 0 if isinstance(stream, Bars) else int(getattr(stream, name).min())
