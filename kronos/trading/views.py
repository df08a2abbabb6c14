"""What a strategy may look at: columns of the streams that it subscribes to, up to now and no further.

Rule 1: nothing later than `now` can be read: an index beyond it raises `LookAhead` and names it.
Rule 2: arrays handed out own their memory: a view's `.base` would be the whole future.
Rule 3: nothing here can be written to: a view is a window on the snapshot, and the snapshot is nobody's to change.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn, overload

from kronos.errors import InvalidInput
from kronos.trading.bars import Bars
from kronos.trading.columns import Int64s
from kronos.trading.streams import COLUMNS_OF, Stream, kind_of_stream

__all__ = ["Column", "Cursor", "LookAhead", "Subscription", "View", "bars", "book", "quotes", "trades"]

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class LookAhead(InvalidInput, IndexError):  # noqa: N818 - named as its siblings in kronos.errors
    """A strategy reached for a row that it cannot know yet, or for one before the data begins."""

    code = "look_ahead"


class Cursor:
    """How far a stream is known: `now` is its latest known row, -1 before the first."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = -1


class Column:
    """One column of a stream, readable up to now: `column[-1]` is the latest value, `column[row]` that of a row."""

    __slots__ = ("_cursor", "_name", "_values")

    def __init__(self, cursor: Cursor, name: str, values: Int64s) -> None:
        self._cursor = cursor
        self._name = name
        self._values = values

    def __len__(self) -> int:
        """Return how many rows are known."""
        return self._cursor.now + 1

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Int64s: ...
    def __getitem__(self, index: int | slice) -> int | Int64s:
        """Return one value, or a copy of a range (shape (n,)); raise `LookAhead` beyond now."""
        known = self._cursor.now + 1
        if isinstance(index, slice):
            for bound in (index.start, index.stop):
                if bound is not None and bound > known:
                    raise self._beyond(bound - 1)
            return self._values[:known][index].copy()
        row = index + known if index < 0 else index
        if row < 0 or row >= known:
            raise self._beyond(row)
        return int(self._values[row])

    def last(self, count: int) -> Int64s:
        """Return a copy of the latest `count` values, oldest first (shape (count,)); fewer are a `LookAhead`."""
        known = self._cursor.now + 1
        if count < 0 or count > known:
            raise self._beyond(known - count)
        return self._values[known - count : known].copy()

    def _beyond(self, row: int) -> LookAhead:
        now = self._cursor.now
        return LookAhead(
            f"{self._name}[{row}] is not known at row {now}: rows 0 to {now} are", column=self._name, row=row, now=now
        )

    def __reduce__(self) -> Any:
        """Refuse to travel: a column belongs to one run (checkpoints know it by name)."""
        raise TypeError("a column cannot be pickled: keep values, not the column")


class View:
    """One stream as far as it is known: its columns by name (`view.close[-1]`), its instrument and its length."""

    __slots__ = ("_columns", "_cursor", "instrument", "interval_ns", "kind")

    _columns: dict[str, Column]
    _cursor: Cursor
    instrument: str
    interval_ns: int
    kind: str

    def __init__(self, stream: Stream, cursor: Cursor) -> None:
        kind = kind_of_stream(stream)
        put = object.__setattr__
        put(self, "kind", kind)
        put(self, "instrument", stream.instrument)
        put(self, "interval_ns", stream.interval_ns if isinstance(stream, Bars) else 0)
        put(self, "_cursor", cursor)
        put(self, "_columns", {name: Column(cursor, name, getattr(stream, name)) for name in COLUMNS_OF[kind]})

    def __len__(self) -> int:
        """Return how many rows are known."""
        return self._cursor.now + 1

    def __getattr__(self, name: str) -> Column:
        """Return a column; raise `AttributeError` naming those that there are."""
        try:
            return self._columns[name]
        except KeyError:
            raise AttributeError(f"{self.kind} have no column {name!r}; they have {', '.join(self._columns)}") from None

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        """Refuse to be changed."""
        raise AttributeError(f"{name}: what a strategy sees cannot be changed")

    @property
    def columns(self) -> dict[str, Column]:
        """Return the columns by name."""
        return dict(self._columns)

    def __reduce__(self) -> Any:
        """Refuse to travel: a view belongs to one run (checkpoints know it by name)."""
        raise TypeError("a view cannot be pickled: keep values, not the view")


class Subscription(tuple[str, str, int]):
    """What a strategy wants to see: (kind, instrument, interval in ns; 0: any)."""

    __slots__ = ()

    def covers(self, stream: Stream) -> bool:
        """Return whether `stream` is what was asked for."""
        kind, instrument, interval_ns = self
        if kind_of_stream(stream) != kind or stream.instrument != instrument:
            return False
        return not interval_ns or (isinstance(stream, Bars) and stream.interval_ns == interval_ns)


def bars(instrument: str, interval: str = "") -> Subscription:
    """Ask for bars of an instrument; `interval` such as "1m", "4h" or "1d" says which, "" all of them."""
    return Subscription(("bars", instrument, _interval_ns(interval) if interval else 0))


def trades(instrument: str) -> Subscription:
    """Ask for every trade of an instrument."""
    return Subscription(("trades", instrument, 0))


def quotes(instrument: str) -> Subscription:
    """Ask for every change of an instrument's best bid and ask."""
    return Subscription(("quotes", instrument, 0))


def book(instrument: str) -> Subscription:
    """Ask for every update of an instrument's book."""
    return Subscription(("depth", instrument, 0))


def _interval_ns(text: str) -> int:
    count, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not count.isdigit() or not int(count):
        raise InvalidInput(f"interval {text!r}: a number and one of {', '.join(_UNITS)}", field="interval", value=text)
    return int(count) * _UNITS[unit] * 1_000_000_000
