"""What the environment says, read once and checked.

Rule 1: every variable that Kronos reads is a field here, with its default and its meaning.
Rule 2: a value that cannot be used is refused at start, by an error that names variable, value and remedy.
Rule 3: nobody else reads `os.environ`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from kronos.errors import InvalidInput
from kronos.kernel.durations import seconds_of
from kronos.resources import checkout

__all__ = ["Address", "Settings", "parse_address", "read_duration", "read_settings"]

T = TypeVar("T")

WORKER_CONCURRENCY_MAX: Final = 256
DURATION_S_MAX: Final = 36_500 * 86_400.0


class Address(NamedTuple):
    """Where a server listens; port 0 asks the system for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return `host:port`, `[v6]:port` or `:port` (loopback) as an address; raise ValueError for anything else."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("write it as host:port, with a port from 0 to 65535, such as 127.0.0.1:8080")
    return Address(host.strip("[]") or "127.0.0.1", int(port))


def read_duration(text: str) -> float:
    """Return `10`, `1.5s`, `200ms`, `10m`, `2h` or `1d` in seconds; raise ValueError for anything else."""
    seconds = seconds_of(text)
    if not seconds:
        raise ValueError("write it as a positive number of seconds or with a unit: 200ms, 10s, 5m, 2h, 1d")
    if seconds > DURATION_S_MAX:
        raise ValueError(f"it is longer than {DURATION_S_MAX / 86_400:.0f}d")
    return seconds


def _span(*, low: str, high: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        seconds = read_duration(text)
        if not read_duration(low) <= seconds <= read_duration(high):
            raise ValueError(f"give a duration from {low} to {high}")
        return seconds

    return parse


def _whole(*, low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.strip().isascii() or not text.strip().isdigit() or not low <= int(text) <= high:
            raise ValueError(f"give a whole number from {low} to {high}")
        return int(text)

    return parse


def _database(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("write it as postgresql://user:password@host:5432/database, or unset it for the embedded one")
    return text


def _variable(name: str, parse: Callable[[str], T], default: Callable[[], T] | T, *, secret: bool = False) -> T:
    """Declare a field read from the variable `name`; its docstring follows it."""
    meta = {"name": name, "parse": parse, "secret": secret}
    made: Any = (
        field(default_factory=default, metadata=meta, repr=not secret)
        if callable(default)
        else field(default=default, metadata=meta, repr=not secret)
    )
    return made  # type: ignore[no-any-return]  # dataclasses.field is typed as its default


def _data_dir() -> Path:
    root = checkout()
    return root / ".kronos" if root else Path.home() / ".local" / "share" / "kronos"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one process. Addresses are `Address`, durations are seconds."""

    database_url: str | None = _variable("DATABASE_URL", _database, None, secret=True)
    """PostgreSQL 14 to 18; without it an embedded server starts under `data_dir`."""
    data_dir: Path = _variable("KRONOS_DATA_DIR", lambda text: Path(text).expanduser().absolute(), _data_dir)
    """Embedded database, blobs and caches."""
    chunks: str | None = _variable("KRONOS_CHUNKS", str, None)
    """A folder or an fsspec address (s3://bucket/chunks) for the chunks of datasets, instead of Postgres."""
    grpc_addr: Address = _variable("GRPC_ADDR", parse_address, Address("127.0.0.1", 50051))
    admin_addr: Address = _variable("ADMIN_ADDR", parse_address, Address("127.0.0.1", 8080))
    """Debugger pages, /api/v1, /healthz and /readyz."""
    metrics_addr: Address = _variable("METRICS_ADDR", parse_address, Address("127.0.0.1", 2112))
    worker_concurrency: int = _variable("WORKER_CONCURRENCY", _whole(low=1, high=WORKER_CONCURRENCY_MAX), 8)
    """Steps that one worker runs at once."""
    scheduler_poll_interval: float = _variable("SCHEDULER_POLL_INTERVAL", _span(low="1ms", high="1h"), 1.0)
    """How long an idle worker waits for a notification before it looks again."""
    scheduler_batch_size: int = _variable("SCHEDULER_BATCH_SIZE", _whole(low=1, high=10_000), 1_000)
    """Runs claimed at once, at most."""
    lease: float = _variable("KRONOS_LEASE", _span(low="100ms", high="1d"), 10.0)
    """How long a silent worker keeps its runs."""
    given: frozenset[str] = frozenset()
    """Names of the variables that the environment set: `kronos demo` takes a free port where none is."""


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment; raise `InvalidInput` naming the first variable that cannot be used."""
    source = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    given = set()
    for each in fields(Settings):
        name = each.metadata.get("name")
        text = source.get(name, "").strip() if name else ""
        if not name or not text:
            continue
        try:
            values[each.name] = each.metadata["parse"](text)
        except ValueError as error:
            shown = "" if each.metadata["secret"] else f" is {text!r}, which"
            raise InvalidInput(
                f"{name}{shown} cannot be used: {error}", field=name, value=None if each.metadata["secret"] else text
            ) from None
        given.add(name)
    return Settings(**values, given=frozenset(given))
