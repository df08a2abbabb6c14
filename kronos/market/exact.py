"""Numbers as files hold them, made integers without a rounding that anyone could notice.

Rule 1: a float stands for the decimal n · 10^-k (k ≤ 8, |n| < 10^15) whose nearest float it is: n / 10^k is
        correctly rounded, so `n / 10^k == x`, bit for bit, proves it, and no two decimals of 15 digits share a
        float (IEEE 754; 6 digits in a 32-bit float).  13715.29 in a Feather file is 1371529 cents.
Rule 2: the smallest k that proves every value is the scale, unless a tick is declared.
Rule 3: what is not exact, or off a declared tick's grid, is refused with its row and column, never rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kronos.market.columns import Place

__all__ = ["DECIMALS_MAX", "to_steps"]

DECIMALS_MAX: Final = 8

_EXACT: Final = {"f8": 1e15, "f4": 1e6}


def to_steps(
    columns: Mapping[str, npt.NDArray[Any]], step: Decimal | None, place: Place
) -> tuple[dict[str, npt.NDArray[np.int64]], Decimal]:
    """Return columns as int64 multiples of one step, and the step (the declared one, or the coarsest exact 10^-k).

    Raises `DataError` at the first value that is not a multiple of the step, or of 1e-8.
    """
    if step is None:
        decimals = max(_decimals(values) for values in columns.values())
        for name, values in columns.items():
            _refuse_inexact(
                values,
                decimals,
                name,
                place,
                "has more decimals than can be kept exactly (8 decimals and 15 digits; 6 digits in a 32-bit float)",
            )
        units = {name: _scaled(values, decimals) for name, values in columns.items()}
        return units, Decimal(1).scaleb(-decimals)
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "a tick is finite"
    decimals = max(0, -exponent)
    step_units = int(step.scaleb(decimals))
    units = {}
    for name, values in columns.items():
        _refuse_inexact(values, decimals, name, place, f"is off the grid of the declared tick {step}")
        scaled = _scaled(values, decimals)
        off = np.flatnonzero(scaled % step_units)
        if off.size:
            row = int(off[0])
            place.refuse(f"{values[row]} is off the grid of the declared tick {step}", row=row, column=name)
        units[name] = scaled // step_units
    return units, step


def _decimals(values: npt.NDArray[Any]) -> int:
    """Return the fewest decimals (0 to 8) that every value has; 8 when some value has more."""
    for decimals in range(DECIMALS_MAX):
        if not _inexact(values, decimals).any():
            return decimals
    return DECIMALS_MAX


def _inexact(values: npt.NDArray[Any], decimals: int) -> npt.NDArray[np.bool_]:
    if values.dtype.kind == "i":
        return np.asarray(np.abs(values) >= 2**62 // 10**decimals)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(values.astype(np.float64) * 10.0**decimals)
        back = (scaled / 10.0**decimals).astype(values.dtype)
    return np.asarray((back != values) | (np.abs(scaled) >= _EXACT[values.dtype.str[1:]]))


def _refuse_inexact(values: npt.NDArray[Any], decimals: int, name: str, place: Place, reason: str) -> None:
    bad = np.flatnonzero(_inexact(values, decimals))
    if bad.size:
        place.refuse(f"{values[bad[0]]!s} {reason}", row=int(bad[0]), column=name)


def _scaled(values: npt.NDArray[Any], decimals: int) -> npt.NDArray[np.int64]:
    if values.dtype.kind == "i":
        return np.asarray(values.astype(np.int64) * 10**decimals)
    return np.asarray(np.rint(values.astype(np.float64) * 10.0**decimals), dtype=np.int64)
