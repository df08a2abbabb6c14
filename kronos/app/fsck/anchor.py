"""Heads kept elsewhere: what a forger who may rewrite the whole database cannot reach.

Format: JSON lines in the order in which fsck walks; the first names the format, each other one a run, its class, the
seq of its last event and the hash of that event.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from kronos.errors import InvalidInput

__all__ = ["Anchors", "Head", "anchor_header", "anchor_line"]

FORMAT: Final = "kronos heads 1"


class Head(NamedTuple):
    """Where a run's history stood."""

    retention_class: int
    run: uuid.UUID
    seq: int
    hash: bytes


def anchor_header() -> str:
    """Return the first line of an anchor."""
    return json.dumps({"format": FORMAT})


def anchor_line(head: Head) -> str:
    """Return one run's line."""
    return json.dumps({"class": head.retention_class, "run": str(head.run), "seq": head.seq, "hash": head.hash.hex()})


class Anchors:
    """Reads an anchor beside the walk, one line ahead: memory does not grow with its size."""

    def __init__(self, path: Path) -> None:
        self._lines = _read(path)
        self._next = next(self._lines, None)

    def before(self, retention_class: int, run: uuid.UUID) -> Iterator[Head]:
        """Yield the heads of runs that the walk should have met before it came to `run`."""
        while self._next is not None and self._next[:2] < (retention_class, run):
            yield self._next
            self._next = next(self._lines, None)

    def of(self, retention_class: int, run: uuid.UUID) -> Head | None:
        """Return the head of the run at which the walk stands."""
        if self._next is None or self._next[:2] != (retention_class, run):
            return None
        found, self._next = self._next, next(self._lines, None)
        return found

    def rest(self) -> Iterator[Head]:
        """Yield the heads of runs that the walk never met."""
        while self._next is not None:
            yield self._next
            self._next = next(self._lines, None)


def _read(path: Path) -> Iterator[Head]:
    try:
        with path.open(encoding="utf-8") as file:
            if json.loads(file.readline()) != {"format": FORMAT}:
                raise _no_anchor(path, f"its first line is not {anchor_header()}")
            for line in file:
                row = json.loads(line)
                yield Head(row["class"], uuid.UUID(row["run"]), row["seq"], bytes.fromhex(row["hash"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_anchor(path, str(error)) from None


def _no_anchor(path: Path, why: str) -> InvalidInput:
    return InvalidInput(
        f"--anchor {path}: this is no file of `kronos fsck --write-anchor`: {why}", field="anchor", value=str(path)
    )
