"""Trades and quotes from any table: CSV, Parquet, Feather or a data frame, as bars are read.

Rule 1: columns are found by name or by a mapping; what is missing is named with what there is.
Rule 2: without a second time a row was known when it happened; without ids the order of the rows is the sequence.
Rule 3: the gate of every stream decides what passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from kronos.errors import InvalidInput
from kronos.market.columns import Place, read_numbers, read_times
from kronos.market.dataset import Source
from kronos.market.exact import to_steps
from kronos.market.gate import check_accepted, examine, refuse_unaccepted
from kronos.market.prepared import Prepared
from kronos.trading.columns import Int64s
from kronos.trading.streams import ASK, BID

__all__ = ["RowOptions", "choose_fields", "kind_of_columns", "prepare_rows"]

_TIME: Final = frozenset({"time", "timestamp", "datetime", "date", "ts", "t", "exchangetime", "eventtime"})
_AVAILABLE: Final = frozenset({"available", "availabletime", "receivetime", "received", "localtime", "localtimestamp"})
_SOURCE: Final = frozenset({"source", "id", "sequence", "seq", "tradeid", "updateid", "aggtradeid"})
_FIELDS: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "trades": {
        "time": _TIME,
        "price": frozenset({"price", "p", "tradeprice"}),
        "quantity": frozenset({"quantity", "qty", "size", "amount", "volume", "q"}),
        "side": frozenset({"side", "aggressor", "takerside", "aggressorside"}),
        "available": _AVAILABLE,
        "source": _SOURCE,
    },
    "quotes": {
        "time": _TIME,
        "bid": frozenset({"bid", "bidprice", "bestbid", "b"}),
        "bid_quantity": frozenset({"bidquantity", "bidqty", "bidsize", "bidamount", "bestbidqty"}),
        "ask": frozenset({"ask", "askprice", "bestask", "a"}),
        "ask_quantity": frozenset({"askquantity", "askqty", "asksize", "askamount", "bestaskqty"}),
        "available": _AVAILABLE,
        "source": _SOURCE,
    },
}
_OPTIONAL: Final = frozenset({"available", "source"})
_SIDES: Final = {"buy": BID, "b": BID, "bid": BID, "1": BID, "sell": ASK, "s": ASK, "ask": ASK, "a": ASK, "-1": ASK}


class RowOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to read a table of trades or quotes; `mapping` is field → column, `accept` names checks of the gate."""

    name: str
    instrument: str
    kind: str
    mapping: dict[str, str] | None = None
    tick: Decimal | None = None
    volume_step: Decimal | None = None
    accept: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a kind that no table has."""
        if self.kind not in _FIELDS:
            raise InvalidInput(f"kind: {self.kind!r} is none of bars, {', '.join(_FIELDS)}", field="kind")


def kind_of_columns(names: list[str]) -> str:
    """Return what a table of these columns holds: quotes have a bid and an ask, trades a price and no open."""
    plain = {_plain(name) for name in names}
    if plain & _FIELDS["quotes"]["bid"] and plain & _FIELDS["quotes"]["ask"]:
        return "quotes"
    bars = {"open", "o", "openprice", "high", "h", "close", "c"}
    return "trades" if plain & _FIELDS["trades"]["price"] and not plain & bars else "bars"


def choose_fields(kind: str, names: list[str], mapping: Mapping[str, str] | None, place: Place) -> dict[str, str]:
    """Return the table's column for each field of `kind`; raise `DataError` naming what is missing or ambiguous."""
    found, listed = dict(mapping or {}), ", ".join(names)
    for field, column in found.items():
        if field not in _FIELDS[kind]:
            place.refuse(f"mapping names {field!r}, which is none of {', '.join(_FIELDS[kind])}")
        if column not in names:
            place.refuse(f"there is no column {column!r} for {field}; the columns are: {listed}", column=column)
    for field, aliases in _FIELDS[kind].items():
        matches = [name for name in names if _plain(name) in aliases and name not in found.values()]
        if field in found or (not matches and field in _OPTIONAL):
            continue
        if len(matches) > 1:
            place.refuse(f"{' and '.join(matches)} could each be the {field}: map one with {field}=COLUMN")
        if not matches:
            place.refuse(f"no column for {field}: map one with {field}=COLUMN; the columns are: {listed}")
        found[field] = matches[0]
    return found


def prepare_rows(table: pa.Table, options: RowOptions, place: Place, sha256: str) -> Prepared:
    """Return the trades or quotes of `table`; raise `DataError` or `Quarantined` naming what cannot pass."""
    accept = check_accepted(options.accept)
    if not table.num_rows:
        place.refuse("has no rows")
    names = choose_fields(options.kind, table.column_names, options.mapping, place)
    times = read_times(table[names["time"]], names["time"], place)
    prices = {"trades": ("price",), "quotes": ("bid", "ask")}[options.kind]
    sizes = {"trades": ("quantity",), "quotes": ("bid_quantity", "ask_quantity")}[options.kind]
    price, tick = _steps(table, names, prices, options.tick, place)
    quantity, step = _steps(table, names, sizes, options.volume_step, place)
    columns: dict[str, Int64s] = {"time": times, "available": times, **price, **quantity}
    if "available" in names:
        columns["available"] = read_times(table[names["available"]], names["available"], place)
    if options.kind == "trades":
        columns["side"] = _sides(table[names["side"]], names["side"], place)
    columns["source"] = _sequence(table, names, place)
    findings = examine(options.kind, columns)
    refuse_unaccepted(findings, accept, name=options.name)
    return Prepared(
        kind=options.kind,
        name=options.name,
        instrument=options.instrument,
        columns=columns,
        tick=tick,
        volume_step=step,
        source=Source(file=place.file, sha256=sha256, mapping=names),
        findings=findings,
    )


def _steps(
    table: pa.Table, names: Mapping[str, str], fields: tuple[str, ...], step: Decimal | None, place: Place
) -> tuple[dict[str, Int64s], Decimal]:
    cells = {names[field]: read_numbers(table[names[field]], names[field], place) for field in fields}
    exact, found = to_steps(cells, step, place)
    return {field: exact[names[field]] for field in fields}, found


def _sides(column: pa.ChunkedArray, name: str, place: Place) -> Int64s:
    cells = column.to_pylist()
    found = [_SIDES.get(str(cell).strip().lower(), 0) for cell in cells]
    if 0 in found:
        row = found.index(0)
        place.refuse(f"{cells[row]!r} is no side: the aggressor's, buy or sell", row=row, column=name)
    return np.array(found, dtype=np.int64)


def _sequence(table: pa.Table, names: Mapping[str, str], place: Place) -> Int64s:
    if "source" not in names:
        return np.arange(table.num_rows, dtype=np.int64)
    cells: Any = read_numbers(table[names["source"]], names["source"], place)
    if cells.dtype.kind == "f" and (cells != np.floor(cells)).any():
        row = int(np.flatnonzero(cells != np.floor(cells))[0])
        place.refuse(f"{cells[row]} is no sequence number", row=row, column=names["source"])
    return np.asarray(cells, dtype=np.int64)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace(" ", "")
