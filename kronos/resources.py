"""Where the files beside the package are: `migrations/`, `debugger_ui/` and `proto/`.

Rule: one function finds them, in a checkout and in an installed wheel alike; nobody else builds such a path.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from kronos.errors import Unavailable

__all__ = ["checkout", "resource_folder"]

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "_share"


@cache
def resource_folder(name: Literal["migrations", "debugger_ui", "proto"]) -> Path:
    """Return the folder `name`; raise `Unavailable` where the installation lacks it."""
    root = checkout()
    folder = (root or _INSTALLED) / name
    if not folder.is_dir():
        raise Unavailable(
            f"this installation of Kronos has no folder {name}/ (looked for {folder}): install it again",
            folder=str(folder),
        )
    return folder


@cache
def checkout() -> Path | None:
    """Return the checkout that this package runs from, or None when it is installed."""
    root = _PACKAGE.parent
    return root if not _INSTALLED.is_dir() and (root / "pyproject.toml").is_file() else None
