"""The source of a run, as it was captured, on disk again: one folder a definition, each file checked by its hash.

Rule 1: a file appears whole (written beside, then renamed) and is written again when its bytes are not the recorded.
Rule 2: a module of Kronos that is installed byte for byte as it was captured is taken from where it is installed.
"""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from kronos.errors import CorruptHistory
from kronos.kernel.hashing import content_hash
from kronos.kernel.ids import BlobHash
from kronos.ports import Blobs
from kronos.ports.history import Definition

__all__ = ["captured_modules", "materialise"]


def captured_modules(definition: Definition) -> frozenset[str]:
    """Return the names of the modules whose source was captured with a definition."""
    return frozenset(module for module, _ in definition.sources.values() if module)


def materialise(definition: Definition, blobs: Blobs, cache_dir: Path) -> dict[str, str]:
    """Write the captured files below `cache_dir` where they are not; return the file of each module that differs
    from what is installed.

    Files keep their places below the project root, so that a module finds the data that it declared.
    """
    folder = cache_dir / definition.id
    modules: dict[str, str] = {}
    for path, (module, blob) in definition.sources.items():
        if _is_installed(module, blob):
            continue
        place = PurePosixPath(path)
        if place.is_absolute() or ".." in place.parts:
            raise CorruptHistory(f"captured path {path!r} leaves its folder", definition=definition.id)
        file = folder.joinpath(*place.parts)
        if not _holds(file, blob):
            _write(file, blobs.get(BlobHash(blob)))
        if module:
            modules[module] = str(file)
    return modules


def _is_installed(module: str, blob: str) -> bool:
    if not module.startswith("kronos."):
        return False
    spec = find_spec("kronos")
    assert spec is not None, "this is Kronos"
    assert spec.origin is not None, "a package with an __init__"
    path = Path(spec.origin).parent.joinpath(*module.split(".")[1:])
    return _holds(path.with_suffix(".py"), blob) or _holds(path / "__init__.py", blob)


def _holds(file: Path, blob: str) -> bool:
    try:
        return content_hash(file.read_bytes()) == blob
    except OSError:
        return False


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=file.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
