"""One step down into a typed value: what `.name` or `[key]` of an annotation is, and how its JSON names it.

Rule 1: a field that a known type does not have is refused when the workflow is declared, with the fields it has.
Rule 2: the path that is recorded is the path in the JSON (renamed fields, array-like records), not the one in Python.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable
from typing import Any, Final, TypeAlias, Union, get_args, get_origin

import msgspec

from kronos.core.assignable import plain_type, show
from kronos.errors import WorkflowDefinitionError

__all__ = ["PathElement", "attribute", "closest", "is_object", "item"]

PathElement: TypeAlias = str | int

_OPAQUE: Final = (Any, object)


def attribute(owner: Any, name: str) -> tuple[Any, PathElement]:
    """Return the type of `owner`'s field `name`, and the element of the JSON path that leads to it."""
    kind = plain_type(owner)
    if kind in _OPAQUE:
        return Any, name
    _refuse_optional(kind, f".{name}")
    if _is_union(kind):
        found = {attribute(member, name)[1] for member in get_args(kind)}
        return Any, found.pop() if len(found) == 1 else _ambiguous(kind, name)
    origin = get_origin(kind) or kind
    if not isinstance(origin, type):
        return Any, name
    fields = _fields(origin, kind)
    if fields is None:
        raise WorkflowDefinitionError(f"{show(kind)} has no field {name!r}: {_method_hint(origin, name)}", field=name)
    if name not in fields:
        hint = _method_hint(origin, name) if hasattr(origin, name) else f"it has {', '.join(fields)}"
        raise WorkflowDefinitionError(f"{show(kind)} has no field {name!r}{closest(name, fields)}: {hint}", field=name)
    return fields[name]


def item(owner: Any, key: object) -> tuple[Any, PathElement]:
    """Return the type of `owner[key]`, and the element of the JSON path that leads to it."""
    kind = plain_type(owner)
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise WorkflowDefinitionError(f"[{key!r}]: only a text or an integer leads into a result", field=str(key))
    if kind in _OPAQUE:
        return Any, key
    _refuse_optional(kind, f"[{key!r}]")
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if typing.is_typeddict(origin):
        return attribute(kind, str(key))
    if not isinstance(origin, type) or _is_union(kind):
        return Any, key
    if issubclass(origin, collections.abc.Mapping):
        return (arguments[1] if len(arguments) > 1 else Any), str(key)
    if issubclass(origin, collections.abc.Sequence) and not issubclass(origin, str | bytes):
        return _sequence_item(kind, origin, arguments, key), key
    raise WorkflowDefinitionError(f"{show(kind)} has no [{key!r}]: it is neither a list nor a dict", field=str(key))


def is_object(annotation: Any) -> bool:
    """Tell whether values of this type are objects in JSON (of an unknown type, they may be)."""
    kind = plain_type(annotation)
    if _is_union(kind):
        return any(is_object(member) for member in get_args(kind))
    origin = get_origin(kind) or kind
    if kind in _OPAQUE or typing.is_typeddict(origin) or dataclasses.is_dataclass(origin):
        return True
    if not isinstance(origin, type):
        return False
    if issubclass(origin, msgspec.Struct):
        return not origin.__struct_config__.array_like
    return issubclass(origin, collections.abc.Mapping)


def closest(name: str, known: Iterable[str]) -> str:
    """Return a "did you mean" for `name`, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _sequence_item(kind: Any, origin: type, arguments: tuple[Any, ...], key: PathElement) -> Any:
    if not isinstance(key, int):
        raise WorkflowDefinitionError(f"{show(kind)} has no [{key!r}]: a list is indexed by integers", field=key)
    if not arguments:
        return Any
    if origin is tuple and arguments[-1] is not Ellipsis:
        if not -len(arguments) <= key < len(arguments):
            raise WorkflowDefinitionError(f"{show(kind)} has no [{key}]: it holds {len(arguments)}", field=str(key))
        return arguments[key]
    return arguments[0]


def _fields(origin: type, kind: Any) -> dict[str, tuple[Any, PathElement]] | None:
    """Return each field's type and JSON name; None where the type is no record."""
    if issubclass(origin, msgspec.Struct):
        info = msgspec.structs.fields(kind)
        config = origin.__struct_config__
        shift = 1 if config.tag is not None else 0
        if config.array_like:
            return {field.name: (field.type, i + shift) for i, field in enumerate(info)}
        if config.omit_defaults:
            info = tuple(field for field in info if field.required)  # the others may be absent from the JSON
        return {field.name: (field.type, field.encode_name) for field in info}
    if dataclasses.is_dataclass(origin):
        hints = _hints(origin)
        return {field.name: (hints.get(field.name, Any), field.name) for field in dataclasses.fields(origin)}
    if typing.is_typeddict(origin):
        return {name: (hint, name) for name, hint in _hints(origin).items()}
    if issubclass(origin, tuple) and hasattr(origin, "_fields"):
        hints = _hints(origin)
        return {name: (hints.get(name, Any), i) for i, name in enumerate(origin._fields)}
    return None


def _hints(origin: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(origin, include_extras=True)
    except (NameError, TypeError):
        return {}


def _refuse_optional(kind: Any, access: str) -> None:
    if kind is types.NoneType or (_is_union(kind) and types.NoneType in get_args(kind)):
        raise WorkflowDefinitionError(
            f"{show(kind)} may be None, which has no {access}: pass it whole and decide inside a step", field=access
        )


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _ambiguous(kind: Any, name: str) -> PathElement:
    raise WorkflowDefinitionError(
        f"{show(kind)} keeps {name!r} in different places: pass it whole and decide inside a step", field=name
    )


def _method_hint(origin: type, name: str) -> str:
    if hasattr(origin, name):
        return f"{name!r} is a method or property, which exists only inside a step: pass the value whole"
    return "pass the value whole and take it apart inside a step"
