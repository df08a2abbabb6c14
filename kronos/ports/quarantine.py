"""Where files are listed that the gate holds back."""

from __future__ import annotations

from typing import Protocol

import msgspec

__all__ = ["HeldBack", "Quarantine"]


class HeldBack(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the gate holds back: what it said, and `report`, canonical JSON of every finding."""

    name: str
    instrument: str
    file: str
    sha256: str
    message: str
    report: bytes
    at_ns: int = 0


class Quarantine(Protocol):
    """The list of what is held back."""

    def hold(self, row: HeldBack) -> None:
        """Keep what the gate said of a file."""
        ...

    def settle(self, sha256: str) -> None:
        """Forget that a file was held back: it has become a dataset."""
        ...

    def held(self) -> list[HeldBack]:
        """Return what is held back, newest first."""
        ...
