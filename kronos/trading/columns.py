"""Columns that a frozen record owns: int64, of one length, read-only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from kronos.errors import InvalidInput

__all__ = ["Int64s", "own_columns"]

Int64s: TypeAlias = npt.NDArray[np.int64]


def own_columns(record: msgspec.Struct, kind: str, names: Sequence[str]) -> None:
    """Make the columns of a frozen `record` read-only; raise `InvalidInput` for one that is not int64 (rows,)."""
    shape = getattr(record, names[0]).shape
    for name in names:
        column = getattr(record, name)
        if column.dtype != np.int64 or column.shape != shape:
            raise InvalidInput(
                f"{kind}.{name}: expected int64 of shape {shape}, got {column.dtype} of shape {column.shape}",
                field=f"{kind}.{name}",
            )
        view = column.view()
        view.flags.writeable = False
        msgspec.structs.force_setattr(record, name, view)
