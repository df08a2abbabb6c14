"""What is known to all strategies at one moment: how far each stream is known, last prices, the snapshot's number.

Rule 1: everything here follows from the streams and the present row: it is no state and is never saved.
Rule 2: it is computed once a step and shared; a strategy sees its part of it through views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kronos.trading.bars import Bars
from kronos.trading.book import Book
from kronos.trading.instruments import Instrument
from kronos.trading.streams import SNAPSHOT, Depth, Quotes, Stream, Trades
from kronos.trading.timeline import Timeline
from kronos.trading.views import Cursor, View

__all__ = ["Coordinator", "source_of"]


class Coordinator:
    """`row` is the step being processed; `between_ns` the time of what happens between two rows, else 0."""

    def __init__(
        self, streams: Sequence[Stream], timeline: Timeline, numbers: Mapping[str, int], traded: Sequence[Instrument]
    ) -> None:
        """`numbers` are the instruments' numbers by name, `traded` what they are."""
        self.streams, self.timeline = streams, timeline
        self.numbers, self.names, self.traded = numbers, list(numbers), traded
        self.cursors = [Cursor() for _ in streams]
        self.views = [View(stream, cursor) for stream, cursor in zip(streams, self.cursors, strict=True)]
        self.row, self.between_ns = -1, 0
        self._books: dict[int, tuple[Book, int]] = {}
        self.priced = [source_of(streams, name) for name in self.names]

    def stand(self, row: int) -> None:
        """Stand before `row`: all rows before it are known."""
        self.row = row
        for stream in range(len(self.streams)):
            self.catch_up(stream, row)

    def catch_up(self, stream: int, row: int) -> None:
        """Let what comes before `row` be known of a stream; of a book, whole updates alone."""
        now, depth = self.timeline.index(stream, row) - 1, self.streams[stream]
        if isinstance(depth, Depth) and 0 <= now < depth.rows - 1:
            source = depth.source[now]
            while now >= 0 and depth.source[now] == source == depth.source[now + 1]:
                now -= 1
        self.cursors[stream].now = now

    @property
    def time(self) -> int:
        """Return the time (ns UTC) that strategies know it to be; 0 before anything is known."""
        if self.between_ns:
            return self.between_ns
        latest = 0
        for times, cursor in zip(self.timeline.available, self.cursors, strict=True):
            if cursor.now >= 0:
                latest = max(latest, int(times[cursor.now]))
        return latest

    @property
    def known_rows(self) -> int:
        """Return how many rows of the timeline are known."""
        known = [
            self.timeline.ordinal(place, cursor.now) + 1 for place, cursor in enumerate(self.cursors) if cursor.now >= 0
        ]
        return max(known, default=0)

    @property
    def now_ns(self) -> int:
        """Return the time (ns UTC) of this step: of what happens between rows, else when its row becomes known."""
        return self.between_ns or self.timeline.known_at(self.row + 1)

    @property
    def last_ns(self) -> int:
        """Return the time (ns UTC) at which the last row of all becomes known."""
        return max(int(times[-1]) for times in self.timeline.available if times.shape[0])

    @property
    def clock(self) -> int:
        """Return the time (ns UTC) that requests are judged at: `now_ns`, or when a bar opens that is not known yet."""
        stream, row = self.streams[0], self.row
        if self.between_ns or not self.timeline.is_lone or not isinstance(stream, Bars) or self.cursors[0].now == row:
            return self.now_ns
        return int(stream.open_time[max(row, 0)])

    def book(self, place: int) -> Book:
        """Return the book of a stream of depth as of now: folded on from where it stood, or from its last snapshot."""
        stream, now = self.streams[place], self.cursors[place].now
        assert isinstance(stream, Depth), "only depth adds up to a book"
        book, done = self._books.get(place, (Book(), 0))
        if done > now + 1:
            book, done = Book(), 0
        if not done:
            snapshots = np.flatnonzero(stream.kind[: now + 1] == SNAPSHOT)
            if snapshots.size:  # its first row: all rows of one snapshot share their source
                source = stream.source[snapshots[-1]]
                done = int(snapshots[stream.source[snapshots] == source][0])
        names = ("kind", "side", "price", "quantity", "source")
        for row in zip(*(getattr(stream, name)[done : now + 1].tolist() for name in names), strict=True):
            book.apply(*row)
        self._books[place] = (book, now + 1)
        return book

    def seen(self, number: int) -> int:
        """Return when the last known price of an instrument was known, 0 before the first."""
        place = self.priced[number]
        now = self.cursors[place].now
        return int(self.timeline.available[place][now]) if now >= 0 else 0

    def price(self, number: int) -> int:
        """Return the last known price of an instrument in ticks, 0 before the first."""
        place = self.priced[number]
        now = self.cursors[place].now
        if now < 0:
            return 0
        stream = self.streams[place]
        if isinstance(stream, Bars):
            return stream.close.item(now)
        if isinstance(stream, Quotes):
            return int(stream.bid[now] + stream.ask[now]) // 2
        return int(stream.price[now]) if isinstance(stream, Trades) else 0


def source_of(streams: Sequence[Stream], name: str) -> int:
    """Return the place of what prices an instrument: trades, else its finest bars, else quotes, else depth."""
    mine = [place for place, stream in enumerate(streams) if stream.instrument == name]
    return min(mine, key=lambda place: _rank(streams[place]))


def _rank(stream: Stream) -> tuple[int, int]:
    if isinstance(stream, Bars):
        return 1, stream.interval_ns
    return {Trades: 0, Quotes: 2, Depth: 3}[type(stream)], 0
