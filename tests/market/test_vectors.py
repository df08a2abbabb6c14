"""Columns between Arrow and numpy: the same memory, and no pandas."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from kronos.market.vectors import array_of, is_plain, values_of

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from kronos.market.cache import map_columns, write_columns
from kronos.market.catalog import _parquet
from kronos.market.rebuilding import unpack
from kronos.market.vectors import values_of

columns = {"a": np.arange(5), "b": np.arange(5) * 7}
write_columns(Path(sys.argv[1]), columns, ["a", "b"])
mapped = map_columns(Path(sys.argv[1]), ["a", "b"])
table = unpack(_parquet(columns), "blob")
for name, given in columns.items():
    assert (values_of(table[name]) == given).all()
    assert (mapped[name] == given).all()
print("pandas" in sys.modules, "pyarrow.compute" in sys.modules)
"""


def test_a_dataset_is_stored_and_opened_without_pandas(tmp_path):
    pytest.importorskip("pandas")
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path / "x.arrow")], capture_output=True, text=True)
    assert done.stdout.strip() == "False False", done.stderr


@pytest.mark.parametrize("kind", [np.int64, np.float64])
@pytest.mark.parametrize("cuts", [[], [2], [0, 3, 3]])
def test_values_come_back_as_they_went_however_they_are_cut(kind, cuts):
    given = np.arange(5, dtype=kind)
    column = pa.chunked_array([array_of(part) for part in np.split(given, cuts)])
    found = values_of(column)
    assert found.dtype == kind
    assert found.tolist() == given.tolist()


def test_a_part_of_a_column_is_that_part_and_cannot_be_written():
    values = values_of(pa.chunked_array([array_of(np.arange(9))[4:7]]))
    assert values.tolist() == [4, 5, 6]
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1


def test_a_column_of_no_chunk_is_empty():
    assert values_of(pa.chunked_array([], type=pa.int64())).tolist() == []


@pytest.mark.parametrize("cells", [pa.array([1, None]), pa.array(["a"]), pa.array([1], pa.int32())])
def test_what_has_gaps_or_another_width_is_not_plain(cells):
    assert not is_plain(pa.chunked_array([cells]))
