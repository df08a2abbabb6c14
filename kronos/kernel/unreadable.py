"""What is on record and cannot be read, shown in its place.

Rule: whoever lists rows loses none of them over one: what of it cannot be read says so where it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from kronos.errors import KronosError, LeaseLost, Unavailable
from kronos.kernel import canonical

__all__ = ["DAMAGE", "OURS", "readable", "readable_text"]

OURS: Final = (Unavailable, LeaseLost)
"""What says nothing about a record: the link is broken, or this incarnation is over."""
DAMAGE: Final = (
    KronosError, msgspec.MsgspecError, ValueError, RecursionError, ArithmeticError, AssertionError, AttributeError,
    LookupError, TypeError,
)  # fmt: skip
"""What reading a damaged record may raise; what the machine or the store lacks is not among it."""


def readable(fetch: Callable[[], bytes]) -> bytes:
    """Return the JSON that `fetch` returns; where it cannot be had or is none, {"unreadable": why}."""
    try:
        data = fetch()
        canonical.decode(data)
    except OURS:
        raise
    except DAMAGE as error:
        return msgspec.json.encode({"unreadable": str(error)})
    return data


def readable_text(data: bytes) -> str:
    """Return stored JSON as text, as `readable` does."""
    return readable(lambda: data).decode()
