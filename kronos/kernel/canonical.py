"""One value, one byte string: the canonical JSON that every hash is taken over.

Rule 1: equal values encode to equal bytes on every machine (keys sorted, shortest floats).
Rule 2: nothing changes on the way: NaN and infinities are written as {"$float": "nan"}, because plain
        JSON encoders write them as null and would silently change a Sharpe ratio.
Rule 3: a user's own key that starts with "$" is escaped with one more "$".
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypeVar, overload

import msgspec

from kronos.errors import InvalidInput

__all__ = ["decode", "encode", "settle", "to_plain"]

T = TypeVar("T")

_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder()
_LEAVES = frozenset({str, int, bool, type(None)})
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_DEPTH_MAX = 200


def encode(value: object) -> bytes:
    """Return the canonical bytes of `value`.

    Accepts what msgspec can turn into JSON: builtins, dataclasses, `msgspec.Struct`, enums, datetimes,
    UUID, Decimal (as strings), bytes (base64).  Raises `InvalidInput` for anything else.
    """
    plain = to_plain(value)
    try:
        return _encoder.encode(plain)
    except UnicodeEncodeError as error:
        raise InvalidInput(f"a text holds half a surrogate pair, which JSON cannot carry: {error.reason}") from None
    except ValueError as error:
        raise InvalidInput(f"a number has too many digits to be recorded: {error}") from None


def to_plain(value: object) -> Any:
    """Return `value` as JSON-ready builtins with `$float` and `$` escapes applied."""
    if type(value) in _LEAVES:
        return value
    try:
        plain = msgspec.to_builtins(value, str_keys=True, order="sorted")
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise InvalidInput(f"value of type {type(value).__name__} cannot be recorded: {error}") from error
    return _escape(plain, 0)


def _escape(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _LEAVES:
        return value
    if kind is float:
        if math.isfinite(value):
            return value
        return {"$float": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}
    if depth > _DEPTH_MAX:
        raise InvalidInput(f"value is nested deeper than {_DEPTH_MAX} levels: flatten it before it is recorded")
    if kind is dict:
        return {("$" + key if key[:1] == "$" else key): _escape(item, depth + 1) for key, item in value.items()}
    return [_escape(item, depth + 1) for item in value]


def _unescape(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        if len(value) == 1 and "$float" in value:
            return _non_finite(value["$float"])
        return {(key[1:] if key[:2] == "$$" else key): _unescape(item) for key, item in value.items()}
    if kind is list:
        return [_unescape(item) for item in value]
    return value


def _non_finite(name: Any) -> float:
    if not isinstance(name, str) or name not in _NON_FINITE:
        raise InvalidInput(f'{{"$float": {name!r}}}: expected "nan", "inf" or "-inf"', value=name)
    return _NON_FINITE[name]


@overload
def decode(data: bytes | msgspec.Raw) -> Any: ...
@overload
def decode(data: bytes | msgspec.Raw, type: type[T]) -> T: ...
def decode(data: bytes | msgspec.Raw, type: Any = Any) -> Any:  # noqa: A002 - msgspec's own word
    """Return the value of canonical bytes, converted to `type`.

    Raises `InvalidInput` whose `facts["field"]` is the path of the first mismatch (`$.params.fast`).
    """
    try:
        plain = _decoder.decode(data)
        if b'"$' in bytes(data):
            plain = _unescape(plain)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"malformed JSON: {error}") from error
    except RecursionError:
        raise InvalidInput("malformed JSON: it is nested too deeply") from None
    if type is Any:
        return plain
    return convert(plain, type)


def settle(value: Any) -> Any:
    """Return `value`, with the defaults of dataclasses in it as fields of their own.

    msgspec leaves a default that JSON did not give to the class, and writes only what the instance holds.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            part = settle(getattr(value, field.name))
            object.__setattr__(value, field.name, part)  # a frozen one too
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            settle(getattr(value, name))
    elif isinstance(value, dict):
        settle(list(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            settle(item)
    return value


def convert(plain: Any, type: Any) -> Any:  # noqa: A002
    """Return builtins converted to `type`, or raise `InvalidInput` naming the path."""
    try:
        return msgspec.convert(plain, type, str_keys=True)
    except msgspec.ValidationError as error:
        text = str(error)
        reason, _, path = text.partition(" - at `")
        field = path.rstrip("`") or "$"
        raise InvalidInput(f"{field}: {reason}", field=field, reason=reason) from error
