"""Whether values of a type can go into the record and come back as what they were.

Rule: a type that JSON cannot carry is refused when the step is declared, with the path of the field that has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import inspect as shapes

from kronos.core.assignable import show

__all__ = ["unrecordable"]


def unrecordable(annotation: Any, path: str) -> str | None:
    """Return why values of `annotation` cannot be recorded, naming the field; None when they can."""
    if annotation is Any:
        return None
    try:
        shape = shapes.type_info(annotation)
    except (TypeError, NameError) as error:
        return f"{path}: {error}"
    return _search(shape, path, set())


def _search(shape: shapes.Type, path: str, seen: set[int]) -> str | None:
    if isinstance(shape, shapes.CustomType):
        if shape.cls is object:
            return None
        return f"{path}: {show(shape.cls)} cannot be written as JSON: use a dataclass or msgspec.Struct"
    if id(shape) in seen:
        return None
    seen.add(id(shape))
    return next((why for place, part in _parts(shape) if (why := _search(part, path + place, seen))), None)


def _parts(shape: shapes.Type) -> Iterator[tuple[str, shapes.Type]]:
    for name, place in (("item_type", "[...]"), ("value_type", "[...]"), ("type", "")):
        part = getattr(shape, name, None)
        if isinstance(part, shapes.Type):
            yield place, part
    for part in getattr(shape, "item_types", ()):
        yield "[...]", part
    for part in getattr(shape, "types", ()):
        yield "", part
    for field in getattr(shape, "fields", ()):
        if isinstance(field, shapes.Field):
            yield f".{field.name}", field.type
