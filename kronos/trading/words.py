"""What a strategy handed over, as text that a journal can hold: whatever its own code does when it is printed.

Rule 1: text that is kept is UTF-8 and bounded; what has no text is named by its type.
Rule 2: nothing that a strategy's object raises while it is printed passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

__all__ = ["printable", "text_of", "told"]

_BITS_MAX: Final = 1_000
"""Bits of an integer whose digits are written out."""


def printable(text: str) -> str:
    r"""Return `text` as it can be encoded: lone surrogates become `\udc80`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def told(value: object, limit: int = 100) -> str:
    """Return `repr(value)` as printable text of at most `limit` characters."""
    return _spoken(repr, value, limit)


def text_of(value: object, limit: int | None = None) -> str:
    """Return `str(value)` as printable text of at most `limit` characters."""
    return _spoken(str, value, limit)


def _spoken(speak: Callable[[Any], str], value: object, limit: int | None) -> str:
    if type(value) is int and value.bit_length() > _BITS_MAX:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = speak(value)
    except Exception as error:  # the text of an object is its author's code: that it has none is what is told
        return f"<{type(value).__name__} whose text raises {type(error).__name__}>"
    return printable(str.__str__(text)[:limit])[:limit]
