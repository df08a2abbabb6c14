"""Values that stand in a workflow function as they are, and containers that hold stand-ins among them.

Rule: a value is recorded as JSON when the workflow is declared; what does not fit its type there is refused there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, get_args, get_origin

import msgspec

from kronos.core.assignable import plain_type
from kronos.core.binding import Tree
from kronos.core.proxies import is_proxy, refuse
from kronos.errors import InvalidInput
from kronos.kernel import canonical

__all__ = ["escaped", "holds_proxy", "is_recordable", "item_kinds", "literal", "record_fields", "value_kind"]


def literal(value: Any, kind: Any, owner: str, field: str) -> Tree:
    """Return the tree of a value that is known now; refuse one that does not fit `kind`, with the path."""
    try:
        plain = canonical.to_plain(value)
        canonical.decode(canonical.encode(value), kind)
    except InvalidInput as error:
        path = field + str(error.facts.get("field", "$"))[1:]
        reason = error.facts.get("reason", error.message)
        refuse(f"{owner}: {path}: {reason}", field=path, value=value)
    except TypeError as error:
        refuse(f"{owner}: {field}: {kind!r} cannot be an input: {error}", field=field)
    return plain


def is_recordable(value: Any) -> bool:
    """Tell whether a value can be recorded."""
    try:
        canonical.to_plain(value)
    except InvalidInput:
        return False
    return True


def holds_proxy(value: Any) -> bool:
    """Tell whether a value is a stand-in, or holds one."""
    if is_proxy(value):
        return True
    kind = type(value)
    if kind in (list, tuple):
        return any(holds_proxy(v) for v in value)
    if kind is dict:
        return any(holds_proxy(v) for v in value.values())
    return any(holds_proxy(getattr(value, name, None)) for name in record_fields(value))


def record_fields(value: Any) -> Iterable[str]:
    """Return the names of the fields of a dataclass, Struct or named tuple; of anything else, none."""
    kind = type(value)
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return getattr(kind, "_fields", ()) if issubclass(kind, tuple) else ()


def item_kinds(kind: Any, count: int) -> list[Any]:
    """Return the types of `count` items of a sequence of type `kind`."""
    kind = plain_type(kind)
    arguments = get_args(kind)
    if get_origin(kind) is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(arguments) != count:
            refuse(f"expected {len(arguments)} items, got {count}")
        return list(arguments)
    held = arguments[0] if arguments and get_origin(kind) in _HOLDERS else Any
    return [held] * count


def value_kind(kind: Any) -> Any:
    """Return the type of the values of a mapping of type `kind`."""
    kind = plain_type(kind)
    arguments = get_args(kind)
    return arguments[1] if len(arguments) == 2 and get_origin(kind) in _HOLDERS else Any


_HOLDERS: Final = frozenset({list, tuple, set, frozenset, dict, Sequence, Iterable, Collection, Mapping})


def escaped(key: Any) -> str:
    """Return a key as it stands in recorded JSON."""
    text = str(key)
    return "$" + text if text[:1] == "$" else text
