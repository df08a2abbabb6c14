"""Where two recorded values differ, field by field.

Rule 1: floats are equal within 1e-12 relative, NaN equals NaN; everything else is equal or it is not.
Rule 2: differences come in the order in which the fields stand in the document: the first one is the one to read.
Rule 3: a path reads as in every message of Kronos: `$.trades[3].price`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import msgspec

from kronos.kernel import canonical

__all__ = ["FLOAT_TOLERANCE", "Difference", "compare", "compare_bytes", "show_path"]

FLOAT_TOLERANCE: Final = 1e-12
DIFFERENCES_MAX: Final = 1_000
_SHOWN_MAX: Final = 60
_CONTEXT: Final = 20

Path: TypeAlias = tuple[str | int, ...]


class _Absent:
    def __repr__(self) -> str:
        return "(absent)"


ABSENT: Final = _Absent()


class Difference(msgspec.Struct, frozen=True):
    """One field that is not what it was; `recorded` or `replayed` is "(absent)" where it has none."""

    path: str
    recorded: Any
    replayed: Any

    def __str__(self) -> str:
        before, after = _pair(self.recorded, self.replayed)
        return f"{self.path} {before} → {after}"


def compare_bytes(recorded: bytes, replayed: bytes) -> list[Difference]:
    """Return the differences of two values in canonical bytes; equal bytes are not even decoded."""
    if recorded == replayed:
        return []
    return compare(canonical.decode(recorded), canonical.decode(replayed))


def compare(recorded: Any, replayed: Any) -> list[Difference]:
    """Return the differences of two plain values, in document order, at most `DIFFERENCES_MAX`."""
    # deepdiff costs some 20 µs a leaf and a report has a million of them: it sees only the parts that differ.
    found: list[tuple[Path, Any, Any]] = []
    for path, before, after in _unequal_parts(recorded, replayed, ()):
        found.extend((path + rest, a, b) for rest, a, b in _deep(before, after))
        if len(found) >= DIFFERENCES_MAX:
            break
    return [Difference(show_path(path), _plain(a), _plain(b)) for path, a, b in found[:DIFFERENCES_MAX]]


def show_path(path: Path) -> str:
    """Return `$.a[0].b` for ("a", 0, "b")."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "$" + "".join(parts)


def _unequal_parts(a: Any, b: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    """Walk down objects and equally long lists, and yield the pairs below them that are not plainly equal."""
    if a == b and type(a) is type(b) and not isinstance(a, dict | list):
        return
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        for key in a:
            yield from _unequal_parts(a[key], b[key], (*path, key))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _unequal_parts(x, y, (*path, i))
    elif not (_is_number(a) and _is_number(b) and _close(a, b)):
        yield path, a, b


def _deep(a: Any, b: Any) -> list[tuple[Path, Any, Any]]:
    from deepdiff import DeepDiff  # type: ignore[attr-defined,unused-ignore]  # a heavy import, for a diverged replay only

    if not isinstance(a, dict | list) or type(a) is not type(b):
        return [((), a, b)]
    tree = DeepDiff(a, b, view="tree", zip_ordered_iterables=True, custom_operators=[_float_operator()])
    found = [(tuple(level.path(output_format="list")), level) for kind in tree.tree.values() for level in kind]
    found.sort(key=lambda each: [(isinstance(part, str), part) for part in each[0]])
    return [(path, _side(level.t1), _side(level.t2)) for path, level in found]


def _float_operator() -> Any:
    from deepdiff.operator import BaseOperatorPlus

    class _CloseFloats(BaseOperatorPlus):
        def match(self, level: Any) -> bool:
            return _is_number(level.t1) and _is_number(level.t2)

        def give_up_diffing(self, level: Any, diff_instance: Any) -> bool:
            return _close(level.t1, level.t2)

        def normalize_value_for_hashing(self, parent: Any, obj: Any) -> Any:
            return obj

    return _CloseFloats()


def _side(value: Any) -> Any:
    return ABSENT if type(value).__name__ == "NotPresent" or repr(value) == "not present" else value


def _plain(value: Any) -> Any:
    return repr(ABSENT) if value is ABSENT else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _close(a: float, b: float) -> bool:
    if type(a) is int and type(b) is int:
        return a == b
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return math.isclose(a, b, rel_tol=FLOAT_TOLERANCE, abs_tol=0.0)


def _pair(a: Any, b: Any) -> tuple[str, str]:
    """Return both sides as a person reads them; of long texts only where they part."""
    x, y = (a, b) if isinstance(a, str) and isinstance(b, str) else (_show(a), _show(b))
    if max(len(x), len(y)) <= _SHOWN_MAX:
        return (x, y) if not isinstance(a, str) else (_show(a), _show(b))
    same = next((i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), min(len(x), len(y)))
    start = max(0, same - _CONTEXT)
    return _window(x, start), _window(y, start)


def _window(text: str, start: int) -> str:
    end = start + _SHOWN_MAX
    return ("…" if start else "") + text[start:end].replace("\n", "⏎") + ("…" if end < len(text) else "")


def _show(value: Any) -> str:
    if isinstance(value, str):
        return value if value == repr(ABSENT) else f'"{value}"'
    if isinstance(value, float):
        return repr(value)
    return canonical.encode(value).decode()
