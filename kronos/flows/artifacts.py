"""The artifacts of a run: its tables as Parquet and CSV, its figures as JSON, its tear sheet as a page.

Rule 1: a folder of artifacts is derived and may be written again: the same run gives the same figures and CSV bytes.
Rule 2: a file appears whole (written beside, then renamed); what else is in the folder is left alone.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from kronos.errors import InvalidInput
from kronos.flows.tables import tables_of
from kronos.flows.tearsheet import tear_sheet
from kronos.trading.analysis import Analysis
from kronos.trading.ledger import Ledger

__all__ = ["write_artifacts"]


def write_artifacts(
    folder: Path | str, ledger: Ledger, analysis: Analysis, *, title: str, core_chain: str = ""
) -> list[Path]:
    """Write trades, orders, fills, equity (.parquet, .csv), figures.json and report.html; return what was written.

    Raises `InvalidInput` when `folder` cannot be a folder.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be a folder: {error.strerror}", field="to", value=str(folder)) from error
    written = []
    for name, table in tables_of(ledger).items():
        written.append(_whole(folder / f"{name}.parquet", partial(pa.parquet.write_table, table)))
        written.append(_whole(folder / f"{name}.csv", partial(pa.csv.write_csv, _flat(table))))
    figures = msgspec.json.format(msgspec.json.encode({"title": title, "core_chain": core_chain, **_plain(analysis)}))
    page = tear_sheet(ledger, analysis, title=title, core_chain=core_chain)
    written.append(_whole(folder / "figures.json", lambda path: path.write_bytes(figures)))
    written.append(_whole(folder / "report.html", lambda path: path.write_text(page, encoding="utf-8")))
    return written


def _plain(analysis: Analysis) -> dict[str, object]:
    return msgspec.structs.asdict(analysis)


def _flat(table: pa.Table) -> pa.Table:
    """Return a table whose lists are text: a CSV cell holds one value."""
    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            texts = [" ".join(map(str, cell)) for cell in table.column(place).to_pylist()]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table


def _whole(path: Path, write: Callable[[Path], object]) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path
