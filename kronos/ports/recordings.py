"""Where a trading step's journal and checkpoints go, and where the time machine finds them."""

from __future__ import annotations

from typing import Protocol

import msgspec

from kronos.kernel.ids import BlobHash, RunId, StepName

__all__ = ["CheckpointRef", "Recorder", "Recordings", "SegmentRef"]


class SegmentRef(msgspec.Struct, frozen=True, kw_only=True):
    """One sealed piece of a journal: the records at rows first_row..last_row, both included."""

    number: int
    first_row: int
    last_row: int
    core_chain: bytes
    user_chain: bytes
    blob: BlobHash


class CheckpointRef(msgspec.Struct, frozen=True, kw_only=True):
    """A cached trading state as it stands before `row` is processed."""

    row: int
    blob: BlobHash


class Recorder(Protocol):
    """The writing side, given to a trading runtime by its step context."""

    def segment(self, *, first_row: int, last_row: int, core_chain: bytes, user_chain: bytes, data: bytes) -> None:
        """Seal one journal segment; segments arrive in order and without a gap."""
        ...

    def checkpoint(self, *, row: int, data: bytes) -> None:
        """Keep a cached state; losing it costs time, never truth."""
        ...


class Recordings(Protocol):
    """The reading side, for one attempt of one step."""

    def segments(self, run_id: RunId, step: StepName, attempt: int) -> list[SegmentRef]:
        """Return the sealed segments in order."""
        ...

    def checkpoints(self, run_id: RunId, step: StepName, attempt: int) -> list[CheckpointRef]:
        """Return the cached states by ascending row."""
        ...

    def delete_checkpoints(self, run_id: RunId, step: StepName) -> int:
        """Forget every cached state of a step and return how many there were."""
        ...
