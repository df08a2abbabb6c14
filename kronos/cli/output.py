"""What a command prints, and where: data on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from kronos.errors import KronosError

__all__ = ["exit_code_of", "note", "print_error", "print_fields", "print_json", "print_rows", "show_time", "styled"]

USAGE: Final = frozenset({"invalid_input", "invalid_definition", "not_found"})
"""What the caller can put right by typing something else."""

_STYLES: Final = {
    "completed": "green", "running": "cyan", "failed": "red", "dead": "red", "cancelled": "yellow", "OK": "green",
    "DIVERGED": "red", "FAILED": "red", "BLOCKED": "red", "SERVED": "cyan", "SKIPPED": "yellow",
}  # fmt: skip


def exit_code_of(error: KronosError) -> int:
    """Return 2 for a wrong request, 1 for anything that failed."""
    return 2 if error.code in USAGE else 1


def print_error(message: str) -> None:
    """Say on standard error what is wrong, in one line."""
    print(f"kronos: {' '.join(message.split())}", file=sys.stderr)


def note(message: str) -> None:
    """Say something on standard error that is no data."""
    print(message, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Print one JSON document; floats that JSON does not know are written as in every record of Kronos."""
    from kronos.kernel import canonical

    print(json.dumps(canonical.to_plain(value), indent=2, ensure_ascii=False), flush=True)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print one thing as aligned `name  value` lines."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        print(f"{name:<{width}}  {text_of(value)}", flush=True)


def print_rows(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table that is as wide as its values: ids are copied from it, so nothing is cut off."""
    texts = [[text_of(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *texts, strict=True)]
    for i, row in enumerate([list(titles), *texts]):
        line = "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        print(styled(line, "bold") if i == 0 else _coloured(line, row))


def styled(text: str, style: str) -> str:
    """Return `text` in a colour where standard output is a terminal."""
    codes = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
    return f"\x1b[{codes[style]}m{text}\x1b[0m" if sys.stdout.isatty() else text


def show_time(ns: int | None) -> str | None:
    """Return nanoseconds since the epoch as ISO 8601 in UTC."""
    if ns is None:
        return None
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).replace(microsecond=ns // 1000 % 1_000_000).isoformat()


def text_of(value: Any) -> str:
    """Return a value as one line of text."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _coloured(line: str, row: Sequence[str]) -> str:
    for word, style in _STYLES.items():
        if word in row:
            return line.replace(word, styled(word, style), 1)
    return line
