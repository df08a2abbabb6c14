"""What others may ask of a run: each kind of inbox row, and what its owner makes of it.

Rule 1: a command becomes events or nothing, here and at once; it never waits.
Rule 2: a kind that is not listed stays in the inbox for an owner that knows it: nothing that was accepted is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from kronos.engine.outcomes import SentOutcome, read_outcome

__all__ = ["COMMANDS", "Commanded"]


class Commanded(Protocol):
    """What a command may do to a run."""

    def cancel(self, *, reason: str, by: str) -> None:
        """End the run by request, whatever runs."""
        ...

    def take_outcome(self, sent: SentOutcome) -> None:
        """Record how an attempt ended that did not end in this worker's slots."""
        ...


def _cancel(run: Commanded, body: bytes) -> None:
    wish = msgspec.json.decode(body, type=dict[str, str])
    run.cancel(reason=wish.get("reason", ""), by=wish.get("by", ""))


def _outcome(run: Commanded, body: bytes) -> None:
    run.take_outcome(read_outcome(body))


COMMANDS: Final[Mapping[str, Callable[[Commanded, bytes], None]]] = {"cancel": _cancel, "outcome": _outcome}
