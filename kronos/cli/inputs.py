"""What is typed as an argument and stands for more: JSON from a file or from standard input, STEP=JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from kronos.errors import InvalidInput

__all__ = ["check_duration", "read_assignments", "read_input"]

SHOWN: Final = 120


def check_duration(text: str | None, option: str) -> str:
    """Return a duration that was typed, "" where none was; raise `InvalidInput` naming the option."""
    from kronos.core.options import duration_s

    if text is not None:
        duration_s(text, field=option)
    return text or ""


def read_input(text: str, option: str = "--input") -> str:
    """Return the JSON of an argument, of `@file`, or of standard input for `@-`; raise `InvalidInput` for none."""
    found = _content(text, option)
    if text:
        _check_json(found, text, option)
    return found


def _content(text: str, option: str) -> str:
    if not text.startswith("@"):
        return text
    if text == "@-":
        return sys.stdin.read()
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(option, text, f"the file cannot be read: {error}") from None


def _check_json(found: str, text: str, option: str) -> None:
    from kronos.kernel import canonical

    try:
        canonical.decode(found.encode(errors="replace"))
    except InvalidInput as error:
        raise _refused(option, text, f"{error.message}: write one JSON value, as in '{{\"x\": 1}}'") from None


def _refused(option: str, text: str, why: str) -> InvalidInput:
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return InvalidInput(f"{option} {shown}: {why}", field=option.lstrip("-").lower(), value=shown)


def read_assignments(given: list[str] | None, option: str) -> dict[str, str]:
    """Return what STEP=JSON options say; raise `InvalidInput` naming the one that is none."""
    found: dict[str, str] = {}
    for text in given or []:
        step, mark, value = text.partition("=")
        if not mark or not step:
            raise InvalidInput(f"{option} {text}: write it as STEP=JSON", field=option.lstrip("-"), value=text)
        found[step] = value
    return found
