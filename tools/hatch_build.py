"""What goes into the wheel beside the package: the root folders that the running program reads.

Rule 1: a wheel without the browser libraries would show empty pages, so building one is refused.
Rule 2: an editable install copies nothing; the checkout's own folders are used (`kronos.resources`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("migrations", "debugger_ui", "proto")
LEFT_OUT = ("node_modules", "__pycache__", ".npmrc")


class RootFolders(BuildHookInterface):
    """Copy each root folder to `kronos/_share/` in the wheel, file by file."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        if not (root / "debugger_ui" / "vendor").is_dir():
            raise RuntimeError("debugger_ui/vendor is missing: run `make setup` before building a wheel")
        for folder in FOLDERS:
            for file in sorted((root / folder).rglob("*")):
                inside = file.relative_to(root)
                if file.is_file() and not any(part in LEFT_OUT for part in inside.parts):
                    build_data["force_include"][str(file)] = f"kronos/_share/{inside.as_posix()}"
