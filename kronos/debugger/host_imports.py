"""Modules as they were when the run was submitted, found before those that are installed or checked out.

Rule: a captured module is found by its name alone, wherever a folder of that name lies: with a folder put first on
      the path, a package of the checkout that has an `__init__` would hide a captured one that has none.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

__all__ = ["serve_captured"]


def serve_captured(modules: Mapping[str, str]) -> None:
    """Import the modules of `modules` (name → file) from those files, from now on, in this process."""
    loaded = sorted(name for name in modules if name in sys.modules)
    assert not loaded, f"imported before the captured ones were known: {loaded}"
    sys.meta_path.insert(0, _Captured(modules))
    sys.meta_path.append(_Parents(modules))


class _Captured(MetaPathFinder):
    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._modules.get(fullname)
        if file is None:
            return None
        folders = [str(Path(file).parent)] if Path(file).name == "__init__.py" else None
        return spec_from_file_location(fullname, file, submodule_search_locations=folders)


class _Parents(MetaPathFinder):
    """Stands in for a package that nobody has any more, above a captured module."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._names = {name[:at] for name in modules for at, letter in enumerate(name) if letter == "."}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = []
        return spec
