"""Texts that people give: names, keys, reasons.

Rule: every surface asks here, so that what cannot be kept never reaches the database.
"""

from __future__ import annotations

from typing import Final

from kronos.errors import InvalidInput

__all__ = ["TEXT_MAX", "check_text"]

TEXT_MAX: Final = 1_000
_SHOWN: Final = 40


def check_text(value: object, field: str, *, least: int = 0, most: int = TEXT_MAX) -> str:
    """Return `value` where it is a text of `least` to `most` characters that can be kept; raise `InvalidInput`."""
    if not isinstance(value, str):
        raise _refused(value, field, f"is a {type(value).__name__}: give a text")
    if not least <= len(value) <= most:
        raise _refused(value, field, f"has {len(value):,} characters: give {least} to {most:,} characters")
    if "\0" in value:
        raise _refused(value, field, "has a NUL: leave it out")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _refused(value, field, "has half of a surrogate pair: give Unicode text") from None
    return value


def _refused(value: object, field: str, why: str) -> InvalidInput:
    shown = value[:_SHOWN] if isinstance(value, str) else value
    return InvalidInput(f"{field} {shown!r} {why}", field=field, value=shown)
