"""A strategy's memory as bytes that can be compared, and as values that can be shown.

Rule 1: equal memories, equal bytes: keys sorted, floats by their bits, arrays by dtype, shape and bytes; never pickle.
Rule 2: an object of an unknown kind counts by its type alone and its path is reported as opaque.
Rule 3: showing is bounded: at most `ITEMS_MAX` items of a container, with the number left out.
"""

from __future__ import annotations

import struct
from array import array
from collections import deque
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgspec
import numpy as np

from kronos.errors import InvalidInput
from kronos.trading.words import printable, text_of

__all__ = ["ITEMS_MAX", "differing_path", "encode_user_state", "show"]

ITEMS_MAX: Final = 200
"""Items of one container that `show` lists."""

_DEPTH_MAX: Final = 100
_BITS_MAX: Final = 10_000
"""Integers beyond it are written in hexadecimal: their decimal digits cost the square of their number."""
_WORD_BITS: Final = 63
_BULK_MIN: Final = 16
_FLOAT = struct.Struct("<d").pack
_SIZE = struct.Struct("<Q").pack
_SIMPLE: Final = (datetime, date, time, timedelta, Decimal, range, type(None))


def encode_user_state(value: object, opaque: list[str] | None = None) -> bytes:
    """Return the canonical bytes of `value`; the paths of opaque parts are appended to `opaque`.

    Raises `InvalidInput` for nesting deeper than 100 levels.
    """
    parts: list[bytes] = []
    _Writer(parts, [] if opaque is None else opaque).write(value, "self", 0)
    return b"".join(parts)


class _Writer:
    __slots__ = ("opaque", "open", "parts")

    def __init__(self, parts: list[bytes], opaque: list[str]) -> None:
        self.parts = parts
        self.opaque = opaque
        self.open: dict[int, int] = {}

    def write(self, value: Any, path: str, depth: int) -> None:
        kind = type(value)
        if kind is bool:
            return self.parts.append(b"T" if value else b"F")
        if kind is int:
            return (
                self._leaf(b"i", b"%d" % value) if value.bit_length() <= _BITS_MAX else self._leaf(b"I", b"%x" % value)
            )
        if kind is float:
            return self.parts.append(b"f" + _FLOAT(value))
        if kind is str:
            return self._leaf(b"s", value.encode("utf-8", "surrogatepass"))
        if kind is bytes or kind is bytearray:
            return self._leaf(b"b", bytes(value))
        if value is None:
            return self.parts.append(b"N")
        if depth > _DEPTH_MAX:
            raise InvalidInput(f"{path} is nested deeper than {_DEPTH_MAX} levels", field=path)
        identity = id(value)
        if identity in self.open:
            return self._leaf(b"^", b"%d" % (depth - self.open[identity]))
        self.open[identity] = depth
        try:
            return self._compound(value, kind, path, depth)
        finally:
            del self.open[identity]

    def _leaf(self, tag: bytes, data: bytes) -> None:
        self.parts.append(tag + _SIZE(len(data)) + data)

    def _compound(self, value: Any, kind: type, path: str, depth: int) -> None:
        if kind is list or kind is tuple or kind is deque:
            return self._sequence(value, b"l" if kind is list else b"t" if kind is tuple else b"q", path, depth)
        if isinstance(value, Mapping):
            return self._mapping(kind, value, path, depth)
        if isinstance(value, set | frozenset):
            return self._set(value, path, depth)
        if isinstance(value, np.ndarray):
            return self._array(value, path, depth)
        if isinstance(value, np.generic):
            return self._leaf(b"g", value.dtype.str.encode() + value.tobytes())
        if isinstance(value, array):
            return self._leaf(b"y", value.typecode.encode() + value.tobytes())
        if isinstance(value, Enum):
            return self._leaf(b"e", f"{_name(kind)}.{value.name}".encode())
        if isinstance(value, _SIMPLE):
            return self._leaf(b"r", f"{_name(kind)}:{value!r}".encode())
        if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__") and not _bound(value)):
            return self._leaf(b"c", _name(value).encode())
        return self._object(value, kind, path, depth)

    def _sequence(self, value: Any, tag: bytes, path: str, depth: int) -> None:
        self.parts.append(tag + _SIZE(len(value)))
        if len(value) >= _BULK_MIN:
            kinds = set(map(type, value))
            if kinds == {float}:
                return self.parts.append(b"*f" + array("d", value).tobytes())
            if kinds == {int}:
                try:
                    return self.parts.append(b"*i" + array("q", value).tobytes())
                except OverflowError:
                    pass
        for index, item in enumerate(value):
            self.write(item, f"{path}[{index}]", depth + 1)
        return None

    def _mapping(self, kind: type, value: Mapping[Any, Any], path: str, depth: int) -> None:
        entries = sorted((encode_user_state(key, self.opaque), key) for key in value) if _sortable(value) else None
        if entries is None:
            entries = sorted(((encode_user_state(key, self.opaque), key) for key in value), key=lambda e: e[0])
        self._leaf(b"d", b"" if kind is dict else _name(kind).encode())
        self.parts.append(_SIZE(len(entries)))
        for encoded, key in entries:
            self.parts.append(encoded)
            self.write(value[key], f"{path}.{key}" if isinstance(key, str) else f"{path}[{key!r}]", depth + 1)

    def _set(self, value: Any, path: str, depth: int) -> None:
        members = sorted(encode_user_state(item, self.opaque) for item in value)
        self.parts.append(b"S" + _SIZE(len(members)))
        self.parts.extend(members)

    def _array(self, value: np.ndarray[Any, Any], path: str, depth: int) -> None:
        if value.dtype.hasobject:
            self._leaf(b"o", repr(value.shape).encode())
            return self._sequence(value.ravel().tolist(), b"l", path, depth)
        return self._leaf(b"a", f"{value.dtype.str}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())

    def _object(self, value: Any, kind: type, path: str, depth: int) -> None:
        if isinstance(value, msgspec.Struct):
            state: Any = {name: getattr(value, name) for name in value.__struct_fields__}
        elif isinstance(value, list | tuple | deque):
            state = list(value)
        else:
            state = _state_of(value)
        if state is None:
            self.opaque.append(path)
            return self._leaf(b"?", _name(kind).encode())
        self._leaf(b"O", _name(kind).encode())
        if isinstance(state, dict) and all(isinstance(key, str) for key in state):
            return self._mapping(dict, state, path, depth)
        return self.write(state, path, depth + 1)


def _sortable(value: Mapping[Any, Any]) -> bool:
    return all(type(key) is str for key in value)


def _bound(value: Any) -> bool:
    return getattr(value, "__self__", None) is not None


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"


def _state_of(value: Any) -> Any:
    """Return an object's state as pickle would see it, or None when it will not say."""
    if hasattr(value, "bit_generator"):
        return value.bit_generator.state
    try:
        reduced = value.__reduce_ex__(5)
    except Exception:
        return None
    if isinstance(reduced, str):
        return reduced
    state = [part for part in reduced[1:3] if part is not None]
    if len(reduced) > 3 and reduced[3] is not None:
        state.append(list(reduced[3]))
    if len(reduced) > 4 and reduced[4] is not None:
        state.append(sorted(reduced[4], key=repr))
    attributes = reduced[2] if len(reduced) > 2 else None
    return attributes if isinstance(attributes, dict) and len(state) <= 2 and not _has_data(reduced) else state


def _has_data(reduced: tuple[Any, ...]) -> bool:
    """Return whether the constructor's arguments or items hold more than the class itself."""
    arguments = [item for item in reduced[1] if not isinstance(item, type) and item is not None]
    return bool(arguments) or len(reduced) > 3


def differing_path(one: Any, other: Any, path: str = "self") -> str | None:
    """Return the path of the first part in which two memories differ, or None when they are equal."""
    if encode_user_state(one) == encode_user_state(other):
        return None
    if type(one) is type(other):
        if isinstance(one, dict):
            for key in sorted(set(one) | set(other), key=repr):
                name = f"{path}.{key}" if isinstance(key, str) else f"{path}[{key!r}]"
                if key not in one or key not in other:
                    return name
                found = differing_path(one[key], other[key], name)
                if found is not None:
                    return found
        elif isinstance(one, list | tuple | deque) and len(one) == len(other):
            for index, (mine, theirs) in enumerate(zip(one, other, strict=True)):
                found = differing_path(mine, theirs, f"{path}[{index}]")
                if found is not None:
                    return found
        elif (mine := _attributes(one)) is not None:
            return differing_path(mine, _attributes(other), path) or path
    return path


def show(value: Any, depth: int = 0) -> Any:
    """Return `value` as JSON-ready builtins for people: bounded, Decimals as text, objects as their attributes."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is int and value.bit_length() > _WORD_BITS:
        return text_of(value)
    if isinstance(value, str):
        return printable(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Decimal | datetime | date | Enum):
        return str(value)
    if depth > 6:
        return f"<{type(value).__qualname__}>"
    if isinstance(value, np.ndarray):
        return {"array": str(value.dtype), "shape": list(value.shape), "items": _items(value.ravel(), depth)}
    if isinstance(value, Mapping):
        pairs = list(value.items())[:ITEMS_MAX]
        shown = {str(key): show(item, depth + 1) for key, item in pairs}
        return shown if len(value) <= ITEMS_MAX else {**shown, "…": f"{len(value) - ITEMS_MAX} more"}
    if isinstance(value, list | tuple | deque):
        return _items(value, depth)
    if isinstance(value, set | frozenset):
        return _items(sorted(value, key=repr), depth)
    if isinstance(value, msgspec.Struct):
        return {name: show(getattr(value, name), depth + 1) for name in value.__struct_fields__}
    attributes = _attributes(value)
    if attributes is not None and not callable(value):
        return {"type": type(value).__qualname__, **{name: show(item, depth + 1) for name, item in attributes.items()}}
    return f"<{type(value).__qualname__}>"


def _attributes(value: Any) -> dict[str, Any] | None:
    """Return an object's attributes, in its `__dict__` or in slots of its class."""
    if hasattr(value, "__dict__"):
        return dict(vars(value))
    slots = getattr(type(value), "__slots__", None)
    return None if slots is None else {name: getattr(value, name) for name in slots if hasattr(value, name)}


def _items(value: Any, depth: int) -> list[Any]:
    shown = [
        show(item, depth + 1) for item in list(value[:ITEMS_MAX] if hasattr(value, "shape") else value)[:ITEMS_MAX]
    ]
    if len(value) > ITEMS_MAX:
        shown.append(f"… {len(value) - ITEMS_MAX} more")
    return shown
