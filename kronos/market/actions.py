"""Corporate actions given with a dataset: splits, which change what is held, and dividends, which can be credited.

Rule 1: an action takes effect before the first bar that opens at its time or later; a split is part of the id.
Rule 2: amounts and ratios are exact: `4:1` and `3:2`, `0.24`; what is none is refused with file, row and column.
Rule 3: a dividend is listed with the dataset and paid only where a plan asks for it (`dividend_payments`).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from kronos.market.columns import Place, read_times
from kronos.market.dataset import Dividend, Manifest
from kronos.market.readers import CSV, read_table
from kronos.trading.bars import Split
from kronos.trading.columns import Int64s
from kronos.trading.payments import Payment

__all__ = ["Action", "dividend_payments", "place_actions", "read_actions"]

_COLUMNS: Final = ("date", "type", "value")


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A split of `numerator` new for `denominator` old shares, or a dividend of `amount` a share, at `time_ns`."""

    time_ns: int
    numerator: int = 1
    denominator: int = 1
    amount: Decimal = Decimal(0)


def read_actions(path: Path | str) -> tuple[Action, ...]:
    """Return the actions of a table with the columns date, type (split or dividend) and value (`4:1`, `0.24`).

    Raises `DataError` naming file, row and column of what cannot be read.
    """
    path = Path(path)
    table, kind = read_table(path)
    place = Place(file=path.name, first_line=2 if kind == CSV else None)
    names = {str(name).strip().lower(): str(name) for name in table.column_names}
    for name in _COLUMNS:
        if name not in names:
            place.refuse(f"no column {name!r}; actions have {', '.join(_COLUMNS)}", column=name)
    times = read_times(table[names["date"]], names["date"], place).tolist()
    kinds = [str(cell).strip().lower() for cell in table[names["type"]].to_pylist()]
    values = [str(cell).strip() for cell in table[names["value"]].cast(pa.string()).to_pylist()]
    return tuple(_action(*each, row, place) for row, each in enumerate(zip(times, kinds, values, strict=True)))


def _action(time_ns: int, kind: str, value: str, row: int, place: Place) -> Action:
    if kind == "split":
        numerator, _, denominator = value.partition(":")
        if not (numerator.isdigit() and (denominator or "1").isdigit()) or not int(numerator) * int(denominator or 1):
            place.refuse(f"{value!r} is no ratio: write 4:1 for four new shares for one", row=row, column="value")
        return Action(time_ns=time_ns, numerator=int(numerator), denominator=int(denominator or 1))
    if kind != "dividend":
        place.refuse(f"{kind!r} is neither split nor dividend", row=row, column="type")
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        place.refuse(f"{value!r} is no amount a share above 0", row=row, column="value")
    return Action(time_ns=time_ns, amount=amount)


def place_actions(actions: Sequence[Action], times: Int64s, place: Place) -> tuple[list[Split], list[Dividend]]:
    """Return the splits and dividends by the row before which they take effect; refuse one outside the bars."""
    splits: list[Split] = []
    dividends: list[Dividend] = []
    for action in sorted(actions, key=lambda each: each.time_ns):
        row = int(np.searchsorted(times, action.time_ns, side="left"))
        if not 0 < row < len(times):
            place.refuse(
                f"an action at {action.time_ns} ns lies outside the bars: leave it out, or import more of them"
            )
        if action.amount:
            dividends.append(Dividend(row=row, time_ns=int(times[row]), amount=float(action.amount)))
        else:
            splits.append(Split(row=row, numerator=action.numerator, denominator=action.denominator))
    return splits, dividends


def dividend_payments(manifest: Manifest) -> tuple[Payment, ...]:
    """Return the dividends of a dataset as payments of a run: control events at the open of their bars."""
    return tuple(
        Payment(
            kind="dividend", at=each.time_ns, amount=Decimal(repr(each.amount)), instrument=manifest.dataset.instrument
        )
        for each in manifest.dividends
    )
