"""Between Arrow and numpy: columns of fixed width without missing cells, neither copied nor converted.

Rule: pandas is not imported.  pyarrow's own ways (`pa.array`, `to_numpy`) import it wherever it is installed: 0.4 s of
      every process that opens a dataset.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["array_of", "is_plain", "values_of"]


def array_of(values: npt.NDArray[Any]) -> pa.Array:
    """Return int64 or float64 values as an Arrow array over the same memory."""
    held = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(held.dtype), len(held), [None, pa.py_buffer(held)])


def is_plain(column: pa.ChunkedArray) -> bool:
    """Return whether `values_of` can take the column: int64 or float64, nothing missing."""
    return column.type in (pa.int64(), pa.float64()) and not column.null_count


def values_of(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return the values of a plain column; of one chunk over the same memory, and read-only."""
    assert is_plain(column), "who asks has looked"
    found = [np.from_dlpack(chunk) for chunk in column.chunks]
    if len(found) == 1:
        return found[0]
    return np.concatenate(found) if found else np.empty(0, np.int64 if column.type == pa.int64() else np.float64)
