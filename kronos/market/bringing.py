"""Bringing market data in: what a file is, the reader that fits it, and the quarantine for what does not pass.

Rule 1: the kind of a file is told by its content: a capture by its lines, the public archive by its name and columns;
        everything else is a table, whose columns say whether it holds bars, trades or quotes.
Rule 2: a file that is refused is listed with what was found in it; nothing of it becomes part of a dataset.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar, cast

import msgspec

from kronos.errors import DataError, InvalidInput
from kronos.kernel import canonical
from kronos.market.actions import Action
from kronos.market.archives import ArchiveOptions, is_archive_header, prepare_archive
from kronos.market.candles import prepare_candles
from kronos.market.captures import CaptureOptions, prepare_capture
from kronos.market.catalog import Catalog, Progress
from kronos.market.dataset import Manifest
from kronos.market.generic import RowOptions, kind_of_columns
from kronos.market.importing import ImportOptions
from kronos.market.readers import column_names, file_hash
from kronos.ports.quarantine import HeldBack, Quarantine
from kronos.trading.streams import Trades

__all__ = ["BringOptions", "Importer", "kind_of_file"]

T = TypeVar("T", bound=msgspec.Struct)
Kind: TypeAlias = Literal["bars", "archive", "capture", "trades", "quotes"]

_HEAD_BYTES: Final = 4_096
_CAPTURE: Final = re.compile(rb"^\d{16,19} \{")
_ARCHIVE: Final = re.compile(r"(aggtrades|trades|klines|\d+(?:s|m|h|d|w|mo)-\d{4}-\d{2})", re.IGNORECASE)


class BringOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to read a file of any kind: bars take `mapping`, `gaps`, `calendar`; the archive `format`; captures `clock`.

    `accept` names checks of the gate (`gate.CHECKS`) whose findings may pass.
    """

    name: str
    instrument: str
    mapping: dict[str, str] | None = None
    tick: Decimal | None = None
    volume_step: Decimal | None = None
    interval_ns: int | None = None
    gaps: Literal["refuse", "accept"] = "refuse"
    calendar: str | None = None
    format: str | None = None
    clock: str = "as-is"
    accept: tuple[str, ...] = ()
    kind: str | None = None
    actions: tuple[Action, ...] = ()


def kind_of_file(path: Path) -> Kind:
    """Return which reader fits `path`; raise `DataError` when there is no such file."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file", file=str(path))
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(path) as unpacked:
                head = unpacked.read(_HEAD_BYTES)
        except (OSError, EOFError) as error:
            raise DataError(f"{path.name}: cannot be unpacked: {error}", file=str(path)) from error
    if _CAPTURE.match(head):
        return "capture"
    if head.startswith(b"PK") or path.suffix == ".zip":
        return "archive"
    first = head.partition(b"\n")[0].decode("utf-8-sig", "replace").strip()
    if first[:1].isdigit() and "," in first:
        return "archive"
    if _ARCHIVE.search(path.name) and path.suffix == ".csv" and is_archive_header(first.split(",")):
        return "archive"
    return cast("Kind", kind_of_columns(column_names(path)))


class Importer:
    """Brings files to a catalog, and what does not pass to a quarantine."""

    def __init__(self, catalog: Catalog, quarantine: Quarantine) -> None:
        self._catalog, self._quarantine = catalog, quarantine

    def bring(self, path: Path | str, options: BringOptions, progress: Progress | None = None) -> list[Manifest]:
        """Import every stream of a file and return their manifests.

        Raises `DataError` (or `Quarantined`, with a report) naming what is wrong; the file is listed as held back then.
        """
        path = Path(path)
        kind = "archive" if options.format else options.kind or kind_of_file(path)
        with self._guarded(path, options):
            match kind:
                case "capture":
                    made = prepare_capture(path, _options(CaptureOptions, options))
                    manifests = [self._catalog.add(each, progress) for each in made]
                case "archive":
                    prepared = prepare_archive(path, _options(ArchiveOptions, options))
                    manifests = [self._catalog.add(prepared, progress)]
                case "trades" | "quotes":
                    rows = _options(RowOptions, msgspec.structs.replace(options, kind=kind))
                    manifests = [self._catalog.import_rows(path, rows, progress)]
                case _:
                    bars = _options(ImportOptions, options)
                    manifests = [self._catalog.import_file(path, bars, progress)]
        self._quarantine.settle(manifests[0].source.sha256)
        return manifests

    def candles(self, dataset: str, interval_ns: int, *, name: str, progress: Progress | None = None) -> Manifest:
        """Make bars of a dataset of trades; raise `InvalidInput` for one that holds something else."""
        trades = self._catalog.stream(dataset)
        if not isinstance(trades, Trades):
            kind = type(trades).__name__.lower()
            raise InvalidInput(
                f"dataset {dataset} holds {kind}: candles are made of trades", field="dataset", value=dataset
            )
        return self._catalog.add(prepare_candles(trades, interval_ns, name=name), progress)

    def held(self) -> list[HeldBack]:
        """Return what is held back, newest first."""
        return self._quarantine.held()

    @contextmanager
    def _guarded(self, path: Path, options: BringOptions) -> Iterator[None]:
        try:
            yield
        except DataError as error:
            report = error.facts.get("report") or [{"detail": error.message}]
            self._quarantine.hold(
                HeldBack(
                    name=options.name,
                    instrument=options.instrument,
                    file=path.name,
                    sha256=file_hash(path) if path.is_file() else "",
                    message=error.message,
                    report=canonical.encode(report),
                )
            )
            raise


def _options(kind: type[T], options: BringOptions) -> T:
    given = msgspec.structs.asdict(options)
    return kind(**{field.name: given[field.name] for field in msgspec.structs.fields(kind) if field.name in given})
