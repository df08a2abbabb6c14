"""What a candidate for the lead needs of the store, and what a leader may do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, NewType, Protocol

from kronos.kernel.ids import DefinitionId, IncarnationId

__all__ = ["Candidacy", "Leadership", "NodeId", "Presence", "Scheduling", "Term"]

NodeId = NewType("NodeId", int)
"""One life of one process that may lead."""


class Term(NamedTuple):
    """The right to lead: good for transactions that hold this epoch first."""

    node: NodeId
    epoch: int


class Candidacy(NamedTuple):
    """What a campaign came to: a term, or the seconds that the present one has left (at most 0: it has run out)."""

    term: Term | None
    left_s: float


class Presence(NamedTuple):
    """What a node says of itself: the incarnation that works in it, and the definitions that it serves."""

    incarnation: IncarnationId | None
    definitions: Sequence[DefinitionId]


class Leadership(Protocol):
    """Every method raises `Unavailable` when the database does not answer, or is behind a transaction-mode pooler."""

    def join(self, *, kind: str, name: str, lease_s: float) -> NodeId:
        """Say that this process is up."""
        ...

    def renew_presence(self, node: NodeId, presence: Presence) -> bool:
        """Say that it still is; False when it was forgotten."""
        ...

    def campaign(self, node: NodeId, lease_s: float) -> Candidacy:
        """Begin to lead where nobody does."""
        ...

    def renew(self, term: Term, lease_s: float) -> bool:
        """Go on leading; False when another leads."""
        ...

    def resign(self, term: Term) -> None:
        """Stop leading, so that another may begin at once."""
        ...

    def leave(self, node: NodeId) -> None:
        """Say that this process goes."""
        ...

    def maintain(self) -> None:
        """Make the partitions of the coming weeks: cannot be fenced, so it is idempotent under a lock of its own."""
        ...

    def forget_nodes(self) -> None:
        """Forget processes that vanished long ago."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class Scheduling(Protocol):
    """What fires schedules."""

    def fire_due(self, term: Term) -> int:
        """Fire what is due, in one transaction under the term's epoch; return how many schedules were due.

        Raises `LeaseLost` when another leads: nothing was fired then.
        """
        ...

    def next_slot_s(self) -> float | None:
        """Return the seconds until the next slot; None when there is none."""
        ...
