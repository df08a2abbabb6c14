"""Every statement that writes has a file of its own under `sql/`, named as a verb; this finds them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

__all__ = ["statement", "statement_names"]


@cache
def statement(name: str) -> str:
    """Return the text of `sql/NAME.sql` without its comment lines."""
    text = (files("kronos.storage") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip()


def statement_names(under: str = "") -> list[str]:
    """Return the names of the statements in one folder: the top one's are the boundaries that tests visit."""
    folder = files("kronos.storage") / "sql" / under
    return sorted(path.name.removesuffix(".sql") for path in folder.iterdir() if path.name.endswith(".sql"))
