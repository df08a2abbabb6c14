"""Binance's public archive: aggTrades, trades and klines, as zip or as CSV.

Rule 1: what a file holds is told by its header, its name and its number of columns; where two readings remain, the
        cells decide, and where they do not, the caller is asked.
Rule 2: a zip is read only when its checksum file beside it agrees; a file without one is told so in its source.
Rule 3: `is_buyer_maker = true` means that the aggressor sold.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv

from kronos.errors import DataError
from kronos.market.columns import Place, read_numbers, read_times
from kronos.market.dataset import Source
from kronos.market.exact import to_steps
from kronos.market.gate import check_accepted, examine, refuse_unaccepted
from kronos.market.importing import ImportOptions, prepare_bars
from kronos.market.prepared import Prepared
from kronos.market.readers import file_hash
from kronos.trading.columns import Int64s
from kronos.trading.streams import ASK, BID

__all__ = ["FORMATS", "ArchiveOptions", "is_archive_header", "prepare_archive"]

FORMATS: Final[Mapping[str, tuple[str, ...]]] = {
    "aggTrades": ("id", "price", "quantity", "first_id", "last_id", "time", "buyer_maker", "best_match"),
    "futures-aggTrades": ("id", "price", "quantity", "first_id", "last_id", "time", "buyer_maker"),
    "trades": ("id", "price", "quantity", "quote", "time", "buyer_maker", "best_match"),
    "futures-trades": ("id", "price", "quantity", "quote", "time", "buyer_maker"),
    "klines": (
        "time", "open", "high", "low", "close", "volume", "close_time", "quote", "trades", "taker_base",
        "taker_quote", "ignored",
    ),
}  # fmt: skip
"""The columns of each file, in order; what has a header names them otherwise, in the same order."""


class ArchiveOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to read a file of the archive; `format` None is detected, `accept` names checks of the gate."""

    name: str
    instrument: str
    format: str | None = None
    tick: Decimal | None = None
    volume_step: Decimal | None = None
    interval_ns: int | None = None
    gaps: str = "refuse"
    accept: tuple[str, ...] = ()


def is_archive_header(names: Sequence[str]) -> bool:
    """Return whether a CSV with these columns can be one of the archive: as many, and those who made a trade named."""
    fitting = {kind for kind, columns in FORMATS.items() if len(columns) == len(names)}
    return "klines" in fitting or (bool(fitting) and any("maker" in name.lower() for name in names))


def prepare_archive(path: Path, options: ArchiveOptions) -> Prepared:
    """Return the canonical columns of `path`; raise `DataError` for what cannot be read, `Quarantined` at the gate."""
    accept = check_accepted(options.accept)
    data, sha256 = _member(path)
    table, header = _table(data, path)
    kind = options.format or _detect(path, table)
    names = FORMATS.get(kind)
    place = Place(file=path.name, first_line=2 if header else 1)
    if names is None:
        place.refuse(f"format {kind!r} is none of {', '.join(FORMATS)}")
    if len(names) != table.num_columns:
        place.refuse(f"has {table.num_columns} columns where {kind} has {len(names)}: {', '.join(names)}")
    table = table.rename_columns(list(names))
    if kind == "klines":
        return _bars(table, options, place, sha256)
    return _trades(table, options, accept, place, sha256)


def _bars(table: pa.Table, options: ArchiveOptions, place: Place, sha256: str) -> Prepared:
    read = ImportOptions(
        name=options.name,
        instrument=options.instrument,
        mapping={name: name for name in ("time", "open", "high", "low", "close", "volume")},
        tick=options.tick,
        volume_step=options.volume_step,
        interval_ns=options.interval_ns,
        gaps=options.gaps,  # type: ignore[arg-type]  # checked by ImportOptions, in our words
    )
    return prepare_bars(table.select(["time", "open", "high", "low", "close", "volume"]), read, place, sha256)


def _trades(table: pa.Table, options: ArchiveOptions, accept: Collection[str], place: Place, sha256: str) -> Prepared:
    times = read_times(table["time"], "time", place)
    price, tick = to_steps({"price": read_numbers(table["price"], "price", place)}, options.tick, place)
    amount = {"quantity": read_numbers(table["quantity"], "quantity", place)}
    quantity, step = to_steps(amount, options.volume_step, place)
    columns: dict[str, Int64s] = {
        "time": times,
        "available": times,
        **price,
        **quantity,
        "side": np.where(_booleans(table["buyer_maker"], "buyer_maker", place), ASK, BID).astype(np.int64),
        "source": read_numbers(table["id"], "id", place).astype(np.int64),
    }
    findings = examine("trades", columns)
    refuse_unaccepted(findings, accept, name=options.name)
    return Prepared(
        kind="trades",
        name=options.name,
        instrument=options.instrument,
        columns=columns,
        tick=tick,
        volume_step=step,
        source=Source(file=place.file, sha256=sha256, mapping={}),
        findings=findings,
    )


def _member(path: Path) -> tuple[bytes, str]:
    """Return the bytes of the CSV, and the SHA-256 of the file; a zip is compared with its CHECKSUM file."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file", file=str(path))
    sha256 = file_hash(path)
    beside = path.with_name(path.name + ".CHECKSUM")
    if beside.is_file():
        stated = beside.read_text(encoding="utf-8", errors="replace").split()
        if not stated or stated[0].lower() != sha256:
            raise DataError(
                f"{path.name}: its SHA-256 is {sha256}, {beside.name} says {stated[0] if stated else 'nothing'}: "
                "fetch it again",
                file=str(path),
            )
    if not zipfile.is_zipfile(path):
        if path.suffix == ".zip":
            raise DataError(f"{path.name}: is no zip file, or is cut short: fetch it again", file=str(path))
        return path.read_bytes(), sha256
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise DataError(f"{path.name}: holds {len(names)} files, expected one CSV", file=str(path))
            return archive.read(names[0]), sha256
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{path.name}: cannot be unpacked: {error}: fetch it again", file=str(path)) from error


def _table(data: bytes, path: Path) -> tuple[pa.Table, bool]:
    """Return the cells as text, and whether there was a header."""
    first = data.split(b"\n", 1)[0].decode("utf-8-sig", "replace").strip()
    if not first:
        raise DataError(f"{path.name}: is empty", file=str(path))
    header = not first.split(",")[0].strip('"').lstrip("-").isdigit()
    count = first.count(",") + 1
    names = [f"c{number}" for number in range(count)]
    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(data),
            read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=int(header)),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{path.name}: cannot be read: {str(error).splitlines()[0]}", file=str(path)) from error
    if not table.num_rows:
        raise DataError(f"{path.name}: has no rows", file=str(path))
    return table, header


def _detect(path: Path, table: pa.Table) -> str:
    count = table.num_columns
    fitting = [kind for kind, names in FORMATS.items() if len(names) == count]
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:  # seven columns: futures aggTrades end in the flag, spot trades have it before the last
        flag = str(table["c5"][0]).strip().lower()
        return "trades" if flag in {"true", "false"} else "futures-aggTrades"
    widths = "; ".join(f"{kind} has {len(names)}" for kind, names in FORMATS.items())
    raise DataError(f"{path.name}: has {count} columns, which is no known format: {widths}", file=str(path))


def _booleans(column: pa.ChunkedArray, name: str, place: Place) -> np.ndarray:
    import pyarrow.compute as pc  # 0.07 s of every process that only opens datasets

    texts = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    known = pc.is_in(texts, value_set=pa.array(["true", "false"]))
    if not pc.all(known).as_py():
        row = int(np.flatnonzero(~known.to_numpy(zero_copy_only=False).astype(bool))[0])
        place.refuse(f"{column[row]} is neither true nor false", row=row, column=name)
    return np.asarray(pc.equal(texts, "true").to_numpy(zero_copy_only=False))
