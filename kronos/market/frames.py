"""Data frames in and out: pandas, polars or Arrow in; whatever `pyarrow.Table.to_pandas` makes out.

Rule 1: a frame passes the same gate as a file and becomes the same dataset: equal rows have an equal id.
Rule 2: a frame is never changed, and nothing of it is kept: columns are copied into canonical ones.
Rule 3: what cannot be read is refused with its column and its row; rows count from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from kronos.errors import InvalidInput, Unavailable
from kronos.market.columns import Place, choose_columns
from kronos.trading.bars import Bars
from kronos.trading.streams import Stream

__all__ = ["FRAME", "frame_of", "table_of", "table_of_stream", "write_table"]

Choose = Callable[[list[str], Mapping[str, str] | None, Place], dict[str, str]]
"""Which column is which field: (columns, mapping, place) → field → column."""

FRAME: Final = Place(file="the data frame")
_PRICES: Final = frozenset({"open", "high", "low", "close", "price", "bid", "ask"})
_QUANTITIES: Final = frozenset({"volume", "quantity", "bid_quantity", "ask_quantity"})
_TIMES: Final = frozenset({"time", "available", "open_time"})


def table_of(frame: Any, mapping: Mapping[str, str] | None = None, choose: Choose = choose_columns) -> pa.Table:
    """Return the columns that `choose` finds in `frame` as an Arrow table; an index of times is a column.

    Raises `DataError` naming the column that is missing or ambiguous, or column and row of a cell that is no number.
    """
    if isinstance(frame, pa.Table):
        return frame
    if hasattr(frame, "iloc") and hasattr(frame, "index"):
        return _of_pandas(frame, mapping, choose)
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.table(frame)
    return FRAME.refuse(
        f"a {type(frame).__name__} was given: give a pandas or polars DataFrame or an Arrow table of bars"
    )


def _of_pandas(frame: Any, mapping: Mapping[str, str] | None, choose: Choose) -> pa.Table:
    if frame.columns.nlevels > 1:
        FRAME.refuse(
            f"its columns have {frame.columns.nlevels} levels ({frame.columns.names}): choose one instrument first, "
            "such as frame.xs('AAPL', axis=1, level=1)"
        )
    if frame.index.dtype.kind == "M":
        frame = frame.rename_axis(frame.index.name or "time").reset_index()
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        FRAME.refuse(f"column {twice[0]!r} is there {names.count(twice[0])} times", column=twice[0])
    wanted = choose(names, mapping, FRAME).values()
    return pa.table({name: _array(frame.iloc[:, names.index(name)], name) for name in wanted})


def _array(series: Any, name: str) -> pa.Array:
    try:
        return pa.Array.from_pandas(series)
    except (pa.ArrowException, OverflowError):
        row, cell = next(
            ((row, cell) for row, cell in enumerate(series) if not isinstance(cell, int | float | Decimal)),
            (None, None),
        )
        what = "the cells are of several types" if row is None else f"{cell!r} is no number"
        return FRAME.refuse(what, row=row, column=name)


def table_of_stream(stream: Stream, *, start_row: int = 0, stop_row: int | None = None) -> pa.Table:
    """Return rows start_row..stop_row-1 as people read them: times UTC, prices and quantities as float64.

    A float is the nearest one to the exact decimal (one rounding), so importing it again gives the same integers.
    """
    rows = slice(start_row, stop_row)
    found = {}
    for name in type(stream).__struct_fields__:
        column = getattr(stream, name)
        if isinstance(column, np.ndarray):
            found[name] = _shown(name, column[rows], stream)
    if isinstance(stream, Bars):
        found = {"time": found.pop("open_time"), **found}
    return pa.table(found)


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as Parquet or CSV, as the name ends; raise `InvalidInput` for another ending or no such folder."""
    writers = {".parquet": pyarrow.parquet.write_table, ".csv": pyarrow.csv.write_csv}
    if path.suffix not in writers:
        raise InvalidInput(f"{path}: write .parquet or .csv", field="out", value=str(path))
    if not path.parent.is_dir():
        raise InvalidInput(f"{path}: there is no folder {path.parent}", field="out", value=str(path))
    writers[path.suffix](table, path)


def _shown(name: str, column: Any, stream: Stream) -> pa.Array:
    if name in _TIMES:
        return pa.array(column).cast(pa.timestamp("ns", "UTC"))
    if name in _PRICES:
        return pa.array(_scaled(column, stream.tick))
    return pa.array(_scaled(column, stream.volume_step)) if name in _QUANTITIES else pa.array(column)


def _scaled(column: Any, step: Decimal) -> Any:
    """Return column · step with one rounding: an integer product, then one division by a power of ten."""
    exponent = step.normalize().as_tuple().exponent
    decimals = max(0, -int(exponent))
    return (column * int(step.scaleb(decimals))) / 10.0**decimals


def frame_of(table: pa.Table) -> Any:
    """Return a table as a pandas DataFrame; raise `Unavailable` naming the extra when pandas is not installed."""
    try:
        import pandas  # noqa: F401, ICN001 - asked for here, so that its absence has our words
    except ModuleNotFoundError:
        raise Unavailable(
            "data frames need pandas, which is not installed: pip install 'kronos[notebook]'", extra="notebook"
        ) from None
    return table.to_pandas()
