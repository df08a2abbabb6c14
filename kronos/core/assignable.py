"""Whether a value of one annotation may be given where another is expected.

Rule 1: only a certain mismatch is refused; what cannot be told from annotations is told when the step runs.
Rule 2: classes are compared as classes, containers by what they hold; `int` fits `float`, `bool` never fits `int`.
Rule 3: a mismatch names the path of the field inside the value, as in `$[...].price`.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from decimal import Decimal
from typing import Any, Final, Literal, NewType, TypeVar, Union, get_args, get_origin

import msgspec

__all__ = ["mismatch", "plain_type", "show"]

_SEQUENCES: Final = (list, tuple, set, frozenset, collections.abc.Collection)
_MAPPINGS: Final = (dict, collections.abc.Mapping)
_WIDENS: Final = frozenset({(int, float), (int, Decimal), (float, Decimal)})


def mismatch(given: Any, expected: Any, path: str = "$") -> str | None:
    """Return why a `given` cannot stand for an `expected`, with the path inside the value; None when it can."""
    given, expected = plain_type(given), plain_type(expected)
    if given is Any or expected is Any or expected is object or given == expected:
        return None
    if _is_union(given):
        return next((why for member in get_args(given) if (why := mismatch(member, expected, path))), None)
    if _is_union(expected):
        fits = any(mismatch(given, member, path) is None for member in get_args(expected))
        return None if fits else _refusal(given, expected, path)
    if get_origin(given) is Literal:
        return _literals(get_args(given), expected, path)
    if get_origin(expected) is Literal:
        possible = any(type(value) is given for value in get_args(expected))
        return None if possible or given not in (int, str, bool, float) else _refusal(given, expected, path)
    return _compare_classes(given, expected, path)


def plain_type(annotation: Any) -> Any:
    """Return `annotation` without what says nothing about its shape: Annotated, NewType, TypeVar."""
    while True:
        if isinstance(annotation, TypeVar):
            return Any
        if isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif get_origin(annotation) in (typing.Annotated, typing.Final, typing.Required, typing.NotRequired):
            annotation = get_args(annotation)[0]
        else:
            return types.NoneType if annotation is None else annotation


def show(annotation: Any) -> str:
    """Return an annotation as a person writes it."""
    if annotation is types.NoneType:
        return "None"
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__qualname__.rpartition("<locals>.")[2]
    return str(annotation).replace("typing.", "")


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _refusal(given: Any, expected: Any, path: str) -> str:
    return f"{path}: expected {show(expected)}, got {show(given)}"


def _literals(values: tuple[Any, ...], expected: Any, path: str) -> str | None:
    if get_origin(expected) is Literal:
        extra = [value for value in values if value not in get_args(expected)]
        return f"{path}: {extra[0]!r} is not one of {show(expected)}" if extra else None
    return next((why for value in values if (why := mismatch(type(value), expected, path))), None)


def _compare_classes(given: Any, expected: Any, path: str) -> str | None:
    given_class, expected_class = get_origin(given) or given, get_origin(expected) or expected
    if not isinstance(given_class, type) or not isinstance(expected_class, type):
        return None
    if (given_class, expected_class) in _WIDENS:
        return None
    if _is_sequence(given_class) and _is_sequence(expected_class):
        return _compare_items(given, expected, path)
    if _is_mapping(given_class) and _is_mapping(expected_class):
        return _compare_values(given, expected, path)
    if typing.is_typeddict(given_class) or typing.is_typeddict(expected_class):
        return _refusal(given, expected, path)
    if not _is_subclass(given_class, expected_class):
        return _refusal(given, expected, path)
    return _compare_fields(given, expected, path) if given_class is expected_class else None


def _is_subclass(given: type, expected: type) -> bool:
    if given is bool and expected is not bool:
        return False
    try:
        return issubclass(given, expected)
    except TypeError:
        return True  # a protocol: told when the step runs


def _compare_values(given: Any, expected: Any, path: str) -> str | None:
    ours, theirs = get_args(given), get_args(expected)
    if len(ours) < 2 or len(theirs) < 2:
        return None
    return mismatch(ours[1], theirs[1], f"{path}[...]")


def _compare_fields(given: Any, expected: Any, path: str) -> str | None:
    """Compare two uses of one generic record."""
    if not get_args(given) or not get_args(expected) or not issubclass(get_origin(given), msgspec.Struct):
        return None
    pairs = zip(msgspec.structs.fields(given), msgspec.structs.fields(expected), strict=True)
    return next((why for a, b in pairs if (why := mismatch(a.type, b.type, f"{path}.{a.name}"))), None)


def _compare_items(given: Any, expected: Any, path: str) -> str | None:
    ours, theirs = _item_types(given), _item_types(expected)
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        if len(ours) != len(theirs):
            return _refusal(given, expected, path)
        pairs = list(zip(ours, theirs, range(len(ours)), strict=True))
        return next((why for a, b, i in pairs if (why := mismatch(a, b, f"{path}[{i}]"))), None)
    if isinstance(ours, tuple):
        return next((why for i, a in enumerate(ours) if (why := mismatch(a, theirs, f"{path}[{i}]"))), None)
    if isinstance(theirs, tuple):
        return None
    return mismatch(ours, theirs, f"{path}[...]")


def _item_types(annotation: Any) -> Any:
    """Return a tuple of types for a fixed tuple, one type for every other sequence."""
    arguments = get_args(annotation)
    if not arguments:
        return Any
    if get_origin(annotation) is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return arguments
    return arguments[0]


def _is_mapping(kind: type) -> bool:
    return typing.is_typeddict(kind) or _among(kind, _MAPPINGS)


def _is_sequence(kind: type) -> bool:
    return not _is_mapping(kind) and _among(kind, _SEQUENCES)


def _among(kind: type, families: tuple[type, ...]) -> bool:
    return not issubclass(kind, str | bytes) and issubclass(kind, families)
