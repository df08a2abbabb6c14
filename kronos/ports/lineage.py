"""What runs share: forks, the runs they stand on, and the tree of them."""

from __future__ import annotations

from typing import Protocol

import msgspec

from kronos.core.forking import Fork
from kronos.core.state import Phase
from kronos.kernel.ids import DefinitionId, RunId

__all__ = ["FAMILY_MAX", "Family", "ForkWish", "Kin", "Lineage", "Scope"]

FAMILY_MAX = 1_000
"""Runs of a family that are read at once."""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Under what a part of a history was recorded: facts with a seq above `after_seq`, until the next scope's."""

    run_id: RunId
    after_seq: int
    definition: DefinitionId
    input: bytes
    fork: Fork | None


class Kin(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a family.  `parent_seq` is the last seq that it shares with `parent`; times ns since the epoch."""

    run_id: RunId
    parent: RunId | None
    parent_seq: int
    workflow: str
    version: str
    phase: Phase
    created_at: int
    fork: Fork | None
    changed: list[str]


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """A run, the runs it comes from (oldest first), and all that come from it (oldest first).

    `is_cut` says that there are more than FAMILY_MAX descendants.
    """

    run: Kin
    ancestors: list[Kin]
    descendants: list[Kin]
    is_cut: bool = False

    @property
    def children(self) -> list[Kin]:
        """The runs that were forked from this very run."""
        return [kin for kin in self.descendants if kin.parent == self.run.run_id]


class ForkWish(msgspec.Struct, frozen=True, kw_only=True):
    """A fork to be made.  `definition` and `input` are those of the fork, `seq` the last of the parent's to share."""

    parent: RunId
    seq: int
    definition: DefinitionId
    input: bytes
    fork: Fork
    timeout_s: float | None = None


class Lineage(Protocol):
    """Making forks and reading families.  Every method raises `NotFound` for an unknown run."""

    def fork(self, wish: ForkWish) -> RunId:
        """Record a fork; it is durable when this returns.  O(1): nothing of the history is copied or folded."""
        ...

    def first_seq(self, run_id: RunId, steps: list[str]) -> dict[str, int]:
        """Return the seq of the first fact about each of `steps`; those that have not begun are left out."""
        ...

    def family(self, run_id: RunId) -> Family:
        """Return a run's ancestors and descendants."""
        ...
