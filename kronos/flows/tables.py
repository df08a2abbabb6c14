"""A ledger as Arrow tables: what artifacts are written from and data frames are made of.

Rule 1: money, prices and quantities are exact decimals (8 places), times are UTC nanoseconds, rows those of the run.
Rule 2: a table's columns and types do not depend on whether it has rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from kronos.trading.ledger import Ledger

__all__ = ["TABLES", "as_floats", "tables_of"]

_EXACT: Final = pa.decimal128(38, 8)
_TIME: Final = pa.timestamp("ns", "UTC")
_INT, _TEXT, _FLOAT = pa.int64(), pa.string(), pa.float64()

TABLES: Final[Mapping[str, Mapping[str, pa.DataType]]] = {
    "trades": {
        "number": _INT, "quantity": _EXACT, "entry_row": _INT, "entry_time": _TIME, "entry_price": _EXACT,
        "entry_order_id": _INT, "exit_row": _INT, "exit_time": _TIME, "exit_price": _EXACT, "exit_order_id": _INT,
        "fees": _EXACT, "pnl": _EXACT, "open": pa.bool_(), "instrument": _TEXT, "strategy": _TEXT, "route": _TEXT,
    },
    "orders": {
        "order_id": _INT, "row": _INT, "sub": _INT, "quantity": _EXACT, "terms": _TEXT, "phase": _TEXT,
        "reason": _TEXT, "end_row": _INT, "cause_ids": pa.list_(_INT), "instrument": _TEXT, "strategy": _TEXT,
        "route": _TEXT,
    },
    "fills": {
        "row": _INT, "sub": _INT, "time": _TIME, "order_id": _INT, "quantity": _EXACT, "price": _EXACT,
        "value": _EXACT, "fee": _EXACT, "assumption": _TEXT, "instrument": _TEXT, "strategy": _TEXT, "route": _TEXT,
    },
    "equity": {"row": _INT, "time": _TIME, "equity": _FLOAT, "drawdown": _FLOAT, "position": _EXACT},
}  # fmt: skip
"""The columns of every table and their types."""


def tables_of(ledger: Ledger) -> dict[str, pa.Table]:
    """Return `trades`, `orders`, `fills` and `equity` (one row a point of the ledger).

    `position` there is that of the only instrument, and empty where there are several.
    """
    lots = ledger.positions().tolist() if len(ledger.instruments) == 1 else [None] * len(ledger.rows)
    quantity = {each: None if each is None else ledger.instrument.quantity(each) for each in set(lots)}
    equity = {
        "row": ledger.rows,
        "time": ledger.times,
        "equity": ledger.equity(),
        "drawdown": ledger.drawdown(),
        "position": [quantity[each] for each in lots],
    }
    types = TABLES["equity"]
    return {
        "trades": _table("trades", ledger.trades()),
        "orders": _table("orders", ledger.orders()),
        "fills": _table("fills", ledger.fills()),
        "equity": pa.table({name: pa.array(equity[name], kind) for name, kind in types.items()}),
    }


def as_floats(table: pa.Table) -> pa.Table:
    """Return a table whose exact decimals are the nearest float64: what people compute with in a notebook."""
    fields = [pa.field(field.name, _FLOAT if field.type == _EXACT else field.type) for field in table.schema]
    return table.cast(pa.schema(fields))


def _table(name: str, rows: Sequence[msgspec.Struct]) -> pa.Table:
    return pa.table(
        {column: pa.array([_cell(row, column) for row in rows], kind) for column, kind in TABLES[name].items()}
    )


def _cell(row: msgspec.Struct, column: str) -> Any:
    return getattr(row, column, None) if hasattr(row, column) else getattr(row, f"{column}_ns")
