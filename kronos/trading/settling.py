"""What a person writes into settings, as the types that the settings say: for all of them in one place.

Rule 1: a Decimal may be given as Decimal, int, str or float; a float is read as its shortest text (0.1 is 1/10).
Rule 2: what does not fit its field is refused when the settings are made, with field, value and what fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final, get_args

import msgspec
import numpy as np

from kronos.errors import InvalidInput
from kronos.trading.money import to_decimal
from kronos.trading.words import told

__all__ = ["settle"]

_HINT: Final = "give 0.1, '0.1' or Decimal('0.1')"


def settle(settings: msgspec.Struct, where: str = "") -> None:
    """Bring every field of frozen `settings` to its type; raise `InvalidInput` naming `where` + field and value.

    Sequences become tuples and mappings the settings that their field has; exact types stay the objects that they are.
    """
    for name, kind in _fields(type(settings)):
        given = getattr(settings, name)
        settled = _settled(given, kind, where + name)
        if settled is not given:
            msgspec.structs.force_setattr(settings, name, settled)


@cache
def _fields(settings: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.type) for field in msgspec.structs.fields(settings))


def _settled(given: Any, kind: Any, field: str) -> Any:
    if type(given) is kind and kind in _PLAIN:
        return given
    kinds = get_args(kind)
    if given is None and type(None) in kinds:
        return None
    if kind == dict[str, Decimal] and isinstance(given, Mapping):
        return {_converted(name, str, field): _decimal(each, f"{field}.{name}") for name, each in given.items()}
    if kind is Decimal or {Decimal, type(None)} == set(kinds):
        return _decimal(given, field)
    return _converted(given.item() if isinstance(given, np.integer | np.bool_) else given, kind, field)


def _decimal(given: Any, field: str) -> Decimal:
    try:
        return to_decimal(given, field=field)
    except InvalidInput as error:
        raise InvalidInput(f"{error.message}: {_HINT}", **error.facts) from None


def _converted(given: Any, kind: Any, field: str) -> Any:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"{field}: {told(given)} does not fit: {error}; give {_words(kind)}", field=field, value=told(given)
        ) from None


def _words(kind: Any) -> str:
    """Return a type as people name it: `tuple of Payment`, `Rate or None`."""
    kinds = [each for each in get_args(kind) if each is not Ellipsis]
    if getattr(kind, "__origin__", None) is tuple:
        return f"a tuple of {_words(kinds[0])}"
    if not kinds:
        return "None" if kind is type(None) else getattr(kind, "__name__", str(kind))
    return " or ".join(map(_words, kinds))


_PLAIN: Final = frozenset({bool, int, str})
