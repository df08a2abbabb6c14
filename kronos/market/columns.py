"""Which column of a file is which, and what its cells mean.

Rule 1: names are matched without case, spaces and underscores; two candidates are a question, not a guess.
Rule 2: an integer time is told by its digits (13 ms, 16 µs, 19 ns); mixed units are refused.  A time without a zone
        is UTC.  Times are int64 nanoseconds from here on: one that does not fit (1677 to 2262) is refused.
Rule 3: a cell that is missing or means nothing is refused with its file, row and column; rows count from 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kronos.errors import DataError
from kronos.market.vectors import is_plain, values_of

__all__ = ["FIELDS", "Place", "choose_columns", "read_numbers", "read_times"]

FIELDS: Final = ("time", "open", "high", "low", "close", "volume")

_ALIASES: Final[Mapping[str, frozenset[str]]] = {
    "time": frozenset({"time", "timestamp", "datetime", "date", "opentime", "ts", "t"}),
    "open": frozenset({"open", "o", "openprice"}),
    "high": frozenset({"high", "h", "highprice"}),
    "low": frozenset({"low", "l", "lowprice"}),
    "close": frozenset({"close", "c", "closeprice"}),
    "volume": frozenset({"volume", "vol", "v", "basevolume"}),
}
_UNIT_NS: Final = {13: 1_000_000, 16: 1_000, 19: 1}
_ARROW_NS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_NS_MAX: Final = 2**63 - 1
_DIGITS: Final = re.compile(r"\s*-?[0-9]{1,100}\s*")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where cells come from, for messages; `first_line` is the line of row 0 in a text file."""

    file: str
    first_line: int | None = None

    def refuse(self, reason: str, *, row: int | None = None, column: str | None = None) -> NoReturn:
        """Raise `DataError` naming file, row (and line) and column."""
        where = [self.file]
        if row is not None:
            where.append(f"row {row}" + (f" (line {row + self.first_line})" if self.first_line is not None else ""))
        if column is not None:
            where.append(f"column {column}")
        raise DataError(f"{', '.join(where)}: {reason}", file=self.file, row=row, column=column)


def choose_columns(names: list[str], mapping: Mapping[str, str] | None, place: Place) -> dict[str, str]:
    """Return the file's column for each of `FIELDS`; `mapping` (field → column) goes before detection.

    Raises `DataError` naming the field that is missing or ambiguous, and the columns that there are.
    """
    found = dict(mapping or {})
    listed = ", ".join(names)
    for field, column in found.items():
        if field not in FIELDS:
            place.refuse(f"mapping names {field!r}, which is none of {', '.join(FIELDS)}")
        if column not in names:
            place.refuse(f"there is no column {column!r} for {field}; the columns are: {listed}", column=column)
    for field in FIELDS:
        if field in found:
            continue
        matches = [name for name in names if name.lower().replace("_", "").replace(" ", "") in _ALIASES[field]]
        if len(matches) > 1:
            place.refuse(f"{' and '.join(matches)} could each be the {field}: map one with {field}=COLUMN")
        if matches:
            found[field] = matches[0]
        elif field != "volume":
            hint = "a backtest needs timestamps; " if field == "time" else ""
            place.refuse(f"no column for {field}: {hint}map one with {field}=COLUMN; the columns are: {listed}")
    return found


def read_times(column: pa.ChunkedArray, name: str, place: Place) -> npt.NDArray[np.int64]:
    """Return times as int64 ns UTC (shape (rows,)); raise `DataError` at the first cell that is none."""
    _refuse_null(column, name, place, "the timestamp is missing")
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        try:
            return _numpy(column.cast(pa.timestamp("ns", getattr(kind, "tz", None))).cast(pa.int64()))
        except pa.ArrowInvalid:
            _refuse_far([_ns_of(each) for each in column], column, name, place)
    if pa.types.is_integer(kind):
        if pa.types.is_uint64(kind):
            _refuse_far(column.to_pylist(), column, name, place)
        return _from_digits(_numpy(column.cast(pa.int64())), name, place)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = column.to_pylist()
        if all(_DIGITS.fullmatch(text) for text in texts):
            numbers = [int(text) for text in texts]
            _refuse_far(numbers, texts, name, place)
            return _from_digits(np.array(numbers, dtype=np.int64), name, place)
        times = [_parse_time(text, row, name, place) for row, text in enumerate(texts)]
        _refuse_far(times, texts, name, place)
        return np.array(times, dtype=np.int64)
    return place.refuse(
        f"{kind} is no time: give a date, a timestamp, or an integer of 13, 16 or 19 digits", column=name
    )


def _from_digits(values: npt.NDArray[np.int64], name: str, place: Place) -> npt.NDArray[np.int64]:
    digits = np.char.str_len(np.abs(values).astype("U20"))
    known = int(digits[0])
    if known not in _UNIT_NS:
        place.refuse(f"{values[0]} has {known} digits: a time needs 13 (ms), 16 (µs) or 19 (ns)", row=0, column=name)
    other = np.flatnonzero(digits != known)
    if other.size:
        row = int(other[0])
        place.refuse(
            f"{values[row]} has {digits[row]} digits where row 0 has {known}: mixed units", row=row, column=name
        )
    unit = _UNIT_NS[known]
    far = np.flatnonzero((values > _NS_MAX // unit) | (values < -(_NS_MAX // unit)))
    if far.size:
        _far(values[far[0]], int(far[0]), name, place)
    return values * unit


def _ns_of(cell: pa.Scalar) -> int:
    """Return a timestamp or date of any unit as nanoseconds, however many."""
    kind = cell.type
    if pa.types.is_timestamp(kind):
        return int(cell.value) * _ARROW_NS[kind.unit]
    return int(cell.value) * (86_400 * 10**9 if pa.types.is_date32(kind) else 10**6)


def _refuse_far(times: Sequence[int], cells: Sequence[Any] | pa.ChunkedArray, name: str, place: Place) -> None:
    """Refuse the first of `times` (ns) that int64 does not hold, as its cell says it."""
    row = next((row for row, time in enumerate(times) if not -_NS_MAX <= time <= _NS_MAX), None)
    if row is not None:
        _far(cells[row], row, name, place)


def _far(cell: Any, row: int, name: str, place: Place) -> NoReturn:
    place.refuse(f"{str(cell)[:40]} is too far away: times are from 1677 to 2262", row=row, column=name)


def _parse_time(text: str, row: int, name: str, place: Place) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        place.refuse(f"{text!r} is no ISO 8601 date or time", row=row, column=name)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - _EPOCH) // _MICROSECOND
    return seconds * 1_000


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC) - _EPOCH


def read_numbers(column: pa.ChunkedArray, name: str, place: Place) -> npt.NDArray[Any]:
    """Return cells as float64, float32 or int64 (shape (rows,)); refuse missing, NaN, infinite and meaningless ones."""
    _refuse_null(column, name, place, "the value is missing")
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = _cast_text(column, name, place)
    elif pa.types.is_decimal(kind):
        column = _cast_text(column.cast(pa.string()), name, place)
    elif pa.types.is_integer(kind):
        column = column.cast(pa.int64())
    elif not pa.types.is_floating(kind):
        place.refuse(f"{kind} is no number", column=name)
    values = _numpy(column)
    if values.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            place.refuse(f"{values[bad[0]]} is no price or volume", row=int(bad[0]), column=name)
    return values


def _cast_text(column: pa.ChunkedArray, name: str, place: Place) -> pa.ChunkedArray:
    import pyarrow.compute as pc  # 0.07 s of every process that only opens datasets

    try:
        return pc.cast(pc.utf8_trim_whitespace(column), pa.float64())
    except pa.ArrowInvalid:
        for row, text in enumerate(column.to_pylist()):
            try:
                float(text)
            except ValueError:
                place.refuse(f"{text!r} is no number", row=row, column=name)
        place.refuse("a cell is no plain number", column=name)


def _refuse_null(column: pa.ChunkedArray, name: str, place: Place, reason: str) -> None:
    if column.null_count:
        row = int(np.flatnonzero(_numpy(column.is_null()))[0])
        place.refuse(reason, row=row, column=name)


def _numpy(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    return values_of(column) if is_plain(column) else np.ascontiguousarray(column.to_numpy(zero_copy_only=False))
