"""Which modules of the user's own a module reaches, read from source without running any of it.

Rule 1: first-party is what lies below the project root of the step's file: the nearest folder with a `pyproject.toml`
        or `.git`, else the folder that its module is imported from.  Site-packages and the standard library are named
        by the lock file.
Rule 2: every import counts, at the top or inside a function, absolute or relative, and `import_module("literal")`;
        a package's `__init__` counts with its modules.  What is computed at run time is declared with `depends=`.
Rule 3: of Kronos itself, what computes results counts (flows, trading, market) and the machinery does not: a run must
        not be stranded by a change of the page that shows it.
"""

from __future__ import annotations

import ast
import importlib.util
import sysconfig
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Final, NamedTuple

from kronos.errors import DataError

__all__ = ["Imports", "Project", "project_of"]

MODULES_MAX: Final = 5_000
ROOT_MARKS: Final = ("pyproject.toml", ".git")
COUNTED: Final = ("kronos.flows", "kronos.trading", "kronos.market")
_BODIES: Final = ("body", "orelse", "handlers", "finalbody", "cases")
"""Where statements have statements, and what holds some."""
_LIBRARIES: Final = tuple(
    str(Path(path).resolve())
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
    if (path := sysconfig.get_path(name))
)


class Project(NamedTuple):
    """Where first-party code lies, and the folder that the step's own module is imported from."""

    root: Path
    import_root: Path


def project_of(module: str, file: Path) -> Project:
    """Return the project of the module that is at `file` (resolved)."""
    depth = module.count(".") + (1 if file.name == "__init__.py" else 0)
    is_named_by_path = module != "__main__" and file.stem in (module.rpartition(".")[2], "__init__")
    import_root = file.parents[min(depth, len(file.parents) - 1)] if is_named_by_path else file.parent
    if _is_library(file):
        return Project(import_root / module.split(".", maxsplit=1)[0], import_root)
    for folder in file.parents:
        if any((folder / mark).exists() for mark in ROOT_MARKS):
            return Project(folder, import_root)
    return Project(import_root, import_root)


class Imports:
    """One look at what modules import: where a module lies is found once, and a change after that is not seen."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, Project], Path | None] = {}
        self._specs: dict[tuple[str, str], ModuleSpec | None] = {}

    def reached(self, module: str, file: Path, project: Project) -> dict[str, Path]:
        """Return every first-party module that `module` reaches, itself included, by name."""
        found: dict[str, Path] = {module: file}
        ahead = [(module, file)]
        while ahead:
            importer, path = ahead.pop()
            stat = path.stat()
            for name in _imported(str(path), stat.st_mtime_ns, stat.st_size, importer):
                for each in _with_packages(name):
                    if each in found or not _counts(each):
                        continue
                    where = self._locate(each, project)
                    if where is not None:
                        found[each] = where
                        ahead.append((each, where))
            if len(found) > MODULES_MAX:
                raise DataError(
                    f"{module} reaches more than {MODULES_MAX} modules below {project.root}", file=str(file)
                )
        return found

    def _locate(self, module: str, project: Project) -> Path | None:
        """Return the first-party file of `module`, or None where it is somebody else's, or no module."""
        if (module, project) not in self._files:
            spec = self._spec(module, str(project.import_root))
            self._files[module, project] = None if spec is None else _first_party(spec, project)
        return self._files[module, project]

    def _spec(self, module: str, import_root: str) -> ModuleSpec | None:
        if (module, import_root) not in self._specs:
            self._specs[module, import_root] = self._find(module, import_root)
        return self._specs[module, import_root]

    def _find(self, module: str, import_root: str) -> ModuleSpec | None:
        """Find a module without importing anything; its package is searched first."""
        parent, _, _ = module.rpartition(".")
        if parent:
            package = self._spec(parent, import_root)
            if package is None or package.submodule_search_locations is None:
                return None
            return PathFinder.find_spec(module, list(package.submodule_search_locations))
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            spec = None
        return spec or PathFinder.find_spec(module, [import_root])


@lru_cache(maxsize=4 * MODULES_MAX)
def _imported(path: str, mtime_ns: int, size: int, module: str) -> tuple[str, ...]:
    """Return the absolute names that the file may import (some are no modules); cached until the file changes."""
    source = Path(path)
    try:
        data = source.read_bytes()
        tree = ast.parse(data, filename=path)
    except SyntaxError:
        return ()  # reached only on a branch that this interpreter does not take
    package = module if source.name == "__init__.py" else module.rpartition(".")[0]
    return tuple(dict.fromkeys(_names(_parts(tree, data), package)))


def _parts(tree: ast.Module, data: bytes) -> Iterator[ast.AST]:
    """Give what may import: every statement, and where the text has `import_module` every expression too.

    Expressions are nine in ten, and looking through them was a third of the time in which a worker starts.
    """
    if b"import_module" in data:
        yield from ast.walk(tree)
        return
    ahead: list[ast.AST] = [tree]
    while ahead:
        node = ahead.pop(0)
        yield node
        for name in _BODIES:
            ahead += getattr(node, name, ())


def _names(nodes: Iterable[ast.AST], package: str) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                origin = _origin(node, package)
                if origin:
                    yield origin
                    yield from (f"{origin}.{alias.name}" for alias in node.names if alias.name != "*")
            case ast.Call(func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"), args=[first, *_]):
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value if not first.value.startswith(".") else package + first.value


def _origin(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    kept = parts[: len(parts) - (node.level - 1)]
    return ".".join([*kept, node.module] if node.module else kept)


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[: i + 1]) for i in range(len(parts)))


def _counts(module: str) -> bool:
    return not (module == "kronos" or module.startswith("kronos.")) or module.startswith(COUNTED)


def _first_party(spec: ModuleSpec, project: Project) -> Path | None:
    if spec.origin is None or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin).resolve()
    if not path.is_relative_to(project.root):
        return None
    return None if _is_library(path) and not _is_library(project.root) else path


def _is_library(path: Path) -> bool:
    text = str(path)
    return "site-packages" in path.parts or "dist-packages" in path.parts or text.startswith(_LIBRARIES)
