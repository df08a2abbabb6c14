"""What a ledger is read as: trades, fills and orders, a row each."""

from __future__ import annotations

from decimal import Decimal

import msgspec

__all__ = ["FillRow", "OrderRow", "Trade"]


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One entry and its exit (None while open): `pnl` is net of `fees`; open trades are marked at the last close.

    `quantity` is signed (long > 0) and in units at the exit, so a split in between shows in it; rows are positions
    in the dataset, times are the open (ns UTC) of the bar that filled.
    """

    number: int
    quantity: Decimal
    entry_row: int
    entry_time_ns: int
    entry_price: Decimal
    entry_order_id: int
    exit_row: int | None
    exit_time_ns: int | None
    exit_price: Decimal | None
    exit_order_id: int | None
    fees: Decimal
    pnl: Decimal
    open: bool
    instrument: str = ""
    strategy: str = ""
    route: str = ""


class FillRow(msgspec.Struct, frozen=True, kw_only=True):
    """One execution; `value` is price × quantity, signed like the quantity."""

    row: int
    sub: int
    time_ns: int
    order_id: int
    quantity: Decimal
    price: Decimal
    value: Decimal
    fee: Decimal
    assumption: str
    instrument: str = ""
    strategy: str = ""
    route: str = ""


class OrderRow(msgspec.Struct, kw_only=True):
    """One order's story: where it was asked for, what became of it, and why."""

    order_id: int
    row: int
    sub: int
    quantity: Decimal
    phase: str
    reason: str = ""
    end_row: int | None = None
    cause_ids: tuple[int, ...] = ()
    terms: str = "market"
    instrument: str = ""
    strategy: str = ""
    route: str = ""
