"""Raw websocket captures: lines of `<local ns> <json>`, with depth updates, trades, book tickers and a REST snapshot.

Rule 1: a line becomes available at its local time and happened at the venue's; where the venue gives none (the spot
        market's book tickers and snapshots; a time of 0 in the rows here), it happened when it became available.
Rule 2: depth begins with the snapshot; an update that the snapshot already holds is counted and left out, the others
        follow it, each exactly once.
Rule 3: nothing is repaired: a broken chain of updates and a clock that runs behind are findings of the gate.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from kronos.errors import DataError
from kronos.market.columns import Place
from kronos.market.dataset import Finding, Source
from kronos.market.exact import to_steps
from kronos.market.gate import check_accepted, examine, refuse_unaccepted
from kronos.market.prepared import Prepared
from kronos.market.readers import file_hash
from kronos.trading.columns import Int64s
from kronos.trading.streams import ASK, BID, COLUMNS_OF, DELTA, SNAPSHOT

__all__ = ["CaptureOptions", "prepare_capture"]

_MS: Final = 1_000_000


class CaptureOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to read a capture.  `accept` names checks of the gate; `clock="shift"` moves the local clock by the least
    amount that makes every row known after it happened, and says so in the manifest.
    """

    name: str
    instrument: str
    tick: Decimal | None = None
    volume_step: Decimal | None = None
    clock: str = "as-is"
    accept: tuple[str, ...] = ()


class _Message(msgspec.Struct, frozen=True):
    """Every field that any of the messages has."""

    e: str = ""
    E: int = 0
    T: int = 0
    U: int = 0
    u: int = 0
    pu: int | None = None
    t: int = 0
    p: str = ""
    q: str = ""
    m: bool = False
    b: Any = ()
    a: Any = ()
    B: str = ""
    A: str = ""


class _Line(msgspec.Struct, frozen=True):
    stream: str = ""
    data: _Message = _Message()
    lastUpdateId: int = 0  # noqa: N815 - the venue's spelling
    E: int = 0
    T: int = 0
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


_decode: Final = msgspec.json.Decoder(_Line).decode


def prepare_capture(path: Path, options: CaptureOptions) -> list[Prepared]:
    """Return the depth, trades and quotes of a capture, those that it has, named `NAME-depth` and so on.

    Raises `DataError` naming the line that cannot be read, `Quarantined` at the gate.
    """
    accept = check_accepted(options.accept)
    if options.clock not in {"as-is", "shift"}:
        raise DataError(f"clock: {options.clock!r} is neither as-is nor shift", field="clock", value=options.clock)
    reader = _Reader(path.name)
    for number, local_ns, line in _lines(path):
        reader.take(number, local_ns, line)
    raw = {"depth": reader.depth.rows, "trades": reader.trades, "quotes": reader.quotes}
    if not any(raw.values()):
        raise DataError(f"{path.name}: no depth, trade or book ticker is in it", file=str(path))
    place, source = Place(file=path.name), Source(file=path.name, sha256=file_hash(path), mapping={})
    made, held = [], dict[str, list[Finding]]()
    grid = _Grid(raw, options, place)
    shift = grid.shift()
    for kind, rows in raw.items():
        if not rows:
            continue
        columns = grid.columns(kind, shift)
        findings = examine(kind, columns) + (reader.depth.findings() if kind == "depth" else [])
        if shift:
            detail = f"the local clock was moved by {shift / 1e9:.6f} s"
            findings.append(Finding(check="skew", count=len(rows), rows=[], detail=detail))
        held[kind] = [each for each in findings if not (each.check == "skew" and shift)]
        name = f"{options.name}-{kind}"
        made.append(
            Prepared(
                kind=kind,
                name=name,
                instrument=options.instrument,
                columns=columns,
                tick=grid.tick,
                volume_step=grid.step,
                source=source,
                findings=findings,
            )
        )
    for kind, findings in held.items():
        refuse_unaccepted(findings, accept, name=f"{options.name}-{kind}")
    return made


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file", file=str(path))
    with path.open("rb") as plain:
        opener: Callable[..., Any] = gzip.open if plain.read(2) == b"\x1f\x8b" else open
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, 1):
                local, space, body = line.partition(b" ")
                if not space or not local.isdigit():
                    raise DataError(f"{path.name}, line {number}: expected <local ns> <json>", file=str(path))
                yield number, int(local), body
    except (gzip.BadGzipFile, EOFError) as error:
        raise DataError(f"{path.name}: is cut short or damaged: {error}", file=str(path)) from error


class _Reader:
    """Sorts lines into the rows of three streams; rows are tuples in the order of `COLUMNS_OF`, numbers still text."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.depth = _DepthReader()
        self.trades: list[tuple[Any, ...]] = []
        self.quotes: list[tuple[Any, ...]] = []

    def take(self, number: int, local_ns: int, body: bytes) -> None:
        try:
            line = _decode(body)
        except msgspec.MsgspecError as error:
            raise DataError(f"{self._file}, line {number}: {error}", file=self._file, line=number) from error
        data = line.data
        if line.lastUpdateId:
            self.depth.snapshot(line, local_ns)
        elif "@depth" in line.stream:
            self.depth.update(data, local_ns)
        elif line.stream.endswith("@trade"):
            side = ASK if data.m else BID
            self.trades.append(((data.T or data.E) * _MS, local_ns, data.p, data.q, side, data.t))
        elif line.stream.endswith("@bookTicker"):
            self.quotes.append(((data.T or data.E) * _MS, local_ns, data.b, data.B, data.a, data.A, data.u))


class _DepthReader:
    """Puts the snapshot first and the updates that follow it behind."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self._waiting: list[tuple[_Message, int]] = []
        self._last = 0
        self._left_out = 0
        self._broken: list[int] = []
        self._breaks = 0

    def snapshot(self, line: _Line, local_ns: int) -> None:
        time_ns = (line.T or line.E) * _MS
        for side, levels in ((BID, line.bids), (ASK, line.asks)):
            for price, quantity in levels:
                self.rows.append((time_ns, local_ns, SNAPSHOT, side, price, quantity, line.lastUpdateId))
        self._last = line.lastUpdateId
        waiting, self._waiting = self._waiting, []
        for data, _ in waiting:
            self._follow(data, local_ns)  # it was known before, but means something only from now on

    def update(self, data: _Message, local_ns: int) -> None:
        if not self._last:
            self._waiting.append((data, local_ns))
        else:
            self._follow(data, local_ns)

    def _follow(self, data: _Message, local_ns: int) -> None:
        if data.u <= self._last:
            self._left_out += 1
            return
        if not self._continues(data):
            self._breaks += 1
            self._broken.append(len(self.rows))
        self._last = data.u
        time_ns = (data.T or data.E) * _MS
        for side, levels in ((BID, data.b), (ASK, data.a)):
            for price, quantity in levels:
                self.rows.append((time_ns, local_ns, DELTA, side, price, quantity, data.u))

    def _continues(self, data: _Message) -> bool:
        """Whether an update follows the last one: by its own word (futures), or by its first id."""
        if self._last + 1 >= data.U:
            return True
        return data.pu is not None and data.pu == self._last

    def findings(self) -> list[Finding]:
        """Return breaks of the chain; what the snapshot already held is none."""
        if not self._breaks:
            return []
        detail = "an update does not follow the one before it"
        return [Finding(check="sequence", count=self._breaks, rows=self._broken[:5], detail=detail)]


_PRICES: Final = {"depth": ("price",), "trades": ("price",), "quotes": ("bid", "ask")}
_AMOUNTS: Final = {"depth": ("quantity",), "trades": ("quantity",), "quotes": ("bid_quantity", "ask_quantity")}


class _Grid:
    """One grid of prices and one of quantities for all streams of a capture."""

    def __init__(self, raw: dict[str, list[tuple[Any, ...]]], options: CaptureOptions, place: Place) -> None:
        self._shift_wanted = options.clock == "shift"
        self._cells = {
            kind: dict(zip(COLUMNS_OF[kind], zip(*rows, strict=True), strict=True))
            for kind, rows in raw.items()
            if rows
        }
        prices, self.tick = to_steps(self._numbers(_PRICES), options.tick, place)
        amounts, self.step = to_steps(self._numbers(_AMOUNTS), options.volume_step, place)
        self._exact = prices | amounts

    def _numbers(self, names: dict[str, tuple[str, ...]]) -> dict[str, Any]:
        return {
            f"{kind}.{name}": np.array(cells[name], dtype=np.float64)
            for kind, cells in self._cells.items()
            for name in names[kind]
        }

    def shift(self) -> int:
        """Return by how many ns the local clock is to be moved."""
        if not self._shift_wanted:
            return 0
        early = [0]
        for cells in self._cells.values():
            time, available = (np.array(cells[name], dtype=np.int64) for name in ("time", "available"))
            early.append(int(np.where(time > 0, time - available, 0).max()))
        return max(early)

    def columns(self, kind: str, shift: int) -> dict[str, Int64s]:
        """Return the canonical columns of one stream."""
        cells = self._cells[kind]
        columns = {
            name: self._exact[f"{kind}.{name}"]
            if f"{kind}.{name}" in self._exact
            else np.array(cells[name], dtype=np.int64)
            for name in COLUMNS_OF[kind]
        }
        columns["available"] = columns["available"] + shift
        columns["time"] = np.where(columns["time"] > 0, columns["time"], columns["available"])
        return columns
