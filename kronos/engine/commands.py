"""What others may ask of a run: each kind of inbox row, and what its owner makes of it.

Rule 1: a command becomes events or nothing, here and at once; it never waits.
Rule 2: a kind that is not listed stays in the inbox for an owner that knows it: nothing that was accepted is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

__all__ = ["COMMANDS", "Commanded"]


class Commanded(Protocol):
    """What a command may do to a run."""

    def cancel(self, *, reason: str, by: str) -> None:
        """End the run by request, whatever runs."""
        ...


def _cancel(run: Commanded, body: bytes) -> None:
    wish = msgspec.json.decode(body, type=dict[str, str])
    run.cancel(reason=wish.get("reason", ""), by=wish.get("by", ""))


COMMANDS: Final[Mapping[str, Callable[[Commanded, bytes], None]]] = {"cancel": _cancel}
