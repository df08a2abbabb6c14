"""A cached trading state: losing one costs time, never truth.

Rule 1: bytes are authenticated before anything in them is unpickled; unauthenticated bytes are refused.
Rule 2: what belongs to the run (context, bars, parameters, the strategy itself) travels by name, never by value.
Rule 3: spacing starts at 50 ms of measured work and widens to stay within 5 % of the run's time and 64 MB a run;
        the clock is the caller's, and decides about caches only.  (The one proof that a restored run keeps step
        costs one chunk, about 10 ms of work, and is not counted.)
"""

from __future__ import annotations

import hashlib
import hmac
import io
import pickle
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from kronos.errors import Conflict, CorruptHistory
from kronos.trading.checkpoint_versions import FORMAT, migrated

__all__ = [
    "BYTES_MAX",
    "SPACING_NS",
    "Pacer",
    "Payload",
    "check_made_by",
    "open_checkpoint",
    "seal_checkpoint",
    "unpicklable_path",
]

SPACING_NS: Final = 50_000_000
"""Measured work between two checkpoints, at first."""

BYTES_MAX: Final = 64 * 2**20
"""All checkpoints of one run together."""

SHARE_MAX: Final = 0.05
"""The part of a run's time that checkpoints may take."""

CHUNK_NS: Final = 10_000_000
"""Work between two looks at the clock."""

_TAG_BYTES: Final = 32


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint holds: everything that `Backtest` needs to go on at `row`."""

    identity: bytes
    row: int
    state: bytes
    block: bytes
    core: bytes
    user: bytes
    memory: bytes
    started: bool
    code: str = ""
    format: int = FORMAT


_encoder = msgspec.msgpack.Encoder()


def seal_checkpoint(payload: Payload, key: bytes) -> bytes:
    """Return `payload` as authenticated bytes (HMAC-SHA-256 under `key`)."""
    body = _encoder.encode(payload)
    return hmac.digest(key, body, hashlib.sha256) + body


def open_checkpoint(data: bytes, key: bytes) -> Payload:
    """Return the payload of bytes that were sealed under `key`, made one of today where it is older.

    Raises `CorruptHistory` for any other bytes, and for a format that this Kronos does not know.
    """
    tag, body = data[:_TAG_BYTES], data[_TAG_BYTES:]
    if not hmac.compare_digest(tag, hmac.digest(key, body, hashlib.sha256)):
        raise CorruptHistory("checkpoint is not from this store: it was refused before anything in it was loaded")
    return msgspec.convert(migrated(msgspec.msgpack.decode(body)), Payload)


def check_made_by(payload: Payload, *, identity: bytes, code: str) -> None:
    """Raise `Conflict` for a checkpoint of another run, or of a strategy whose code is another now."""
    if payload.identity != identity:
        raise Conflict("the checkpoint belongs to another dataset, strategy, parameters or configuration")
    if payload.code and payload.code != code:
        raise Conflict("the checkpoint was made by other code of this strategy: re-execute from the first row")


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, names: Mapping[int, str]) -> None:
        super().__init__(file, protocol=5)
        self._names = names

    def persistent_id(self, value: Any) -> str | None:
        return self._names.get(id(value))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, values: Mapping[str, object]) -> None:
        super().__init__(file)
        self._values = values

    def persistent_load(self, name: Any) -> object:
        return self._values[name]


def pickle_memory(memory: object, world: Mapping[str, object]) -> bytes:
    """Return a strategy's memory as bytes in which the things of `world` appear by name."""
    file = io.BytesIO()
    _Pickler(file, {id(value): name for name, value in world.items()}).dump(memory)
    return file.getvalue()


def unpickle_memory(data: bytes, world: Mapping[str, object]) -> Any:
    """Return the memory of `pickle_memory`, with the things of this `world` in their places."""
    return _Unpickler(io.BytesIO(data), world).load()


def unpicklable_path(memory: Any, world: Mapping[str, object], path: str = "self") -> str:
    """Return the path of the innermost attribute that cannot be pickled."""
    items = memory if isinstance(memory, dict) else getattr(memory, "__dict__", None) or {}
    for name, value in items.items():
        inner = f"{path}.{name}"
        try:
            pickle_memory(value, world)
        except Exception:
            return unpicklable_path(value, world, inner) if inner.count(".") < 20 else inner
    return path


class Pacer:
    """Decides when to look at the clock and when to take a checkpoint; knows times only as numbers it is told."""

    def __init__(self, *, rows: int, now: int | None) -> None:
        self.rows = 8 if now is not None else 4096
        self.bytes = 0
        self._rows_total = max(rows, 1)
        self._timed = now is not None
        self._begun = self._chunk_at = self._last = now or 0
        self._cost = 0

    def due(self, *, now: int | None, done: int, chunk: int) -> bool:
        """Return whether to take a checkpoint at `now` (ns), after `done` rows of which the last `chunk` just ran."""
        if now is None:
            return self.bytes < BYTES_MAX * done / self._rows_total
        spent = now - self._chunk_at
        self._chunk_at = now
        wanted = chunk * CHUNK_NS // max(spent, 1)
        self.rows = max(1, min(4096, wanted, self.rows * 4))
        if now - self._last < SPACING_NS or self.bytes > BYTES_MAX * done / self._rows_total:
            return False
        return self._cost <= SHARE_MAX * (now - self._begun)

    def taken(self, *, now: int | None, begun: int, size: int) -> None:
        """Note that a checkpoint of `size` bytes was taken from `begun` to `now`."""
        self.bytes += size
        if now is not None:
            self._cost += now - begun
            self._chunk_at = self._last = now
