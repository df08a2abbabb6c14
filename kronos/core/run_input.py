"""What a run of a workflow is given: one JSON object.

Rule: it is the one record parameter whole, or a record of all parameters by name.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from kronos.core.fields import is_object
from kronos.core.proxies import refuse
from kronos.core.signature import EMPTY, Parameter, Signature
from kronos.kernel import canonical

__all__ = ["input_type", "schema_of", "takes_whole_input"]


def input_type(name: str, signature: Signature) -> Any:
    """Return the type of a run's input: of the one record parameter, or a record of the parameters."""
    parameters = signature.parameters
    if takes_whole_input(signature):
        return parameters[0].type
    return msgspec.defstruct(
        f"{name}_input", [_record_field(p) for p in parameters], kw_only=True, frozen=True, forbid_unknown_fields=True
    )


def takes_whole_input(signature: Signature) -> bool:
    """Tell whether the one parameter is the run's input, because it is an object in JSON; else inputs go by name.

    So a run's input is a JSON object either way: `{"message": "hello"}` starts `def greet(message: str)`.
    """
    return len(signature.parameters) == 1 and is_object(signature.parameters[0].type)


def _record_field(parameter: Parameter) -> tuple[str, Any] | tuple[str, Any, Any]:
    if parameter.default is EMPTY:
        return (parameter.name, parameter.type)
    default = parameter.default
    return (parameter.name, parameter.type, msgspec.field(default_factory=lambda: default))


def schema_of(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema of an input type; refuse one that cannot be read from JSON."""
    try:
        schema = msgspec.json.schema(kind)
    except (TypeError, NotImplementedError) as error:
        refuse(f"the input type {kind!r} cannot be read from JSON: {error}")
    properties = _root(schema).get("properties", {})
    for name, default in _defaults(kind):
        properties.get(name, {})["default"] = json.loads(canonical.encode(default))
    return schema


def _root(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref", "").removeprefix("#/$defs/")
    found: dict[str, Any] = schema.get("$defs", {}).get(reference, schema)
    return found


def _defaults(kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield the defaults of a record's fields: a schema of msgspec's has no made ones, and infinities as null."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            if field.default_factory is not msgspec.NODEFAULT:
                yield field.encode_name, field.default_factory()
            elif field.default is not msgspec.NODEFAULT and field.default is not msgspec.UNSET:
                yield field.encode_name, field.default
    elif dataclasses.is_dataclass(kind):
        for each in dataclasses.fields(kind):
            if each.default_factory is not dataclasses.MISSING:
                yield each.name, each.default_factory()
            elif each.default is not dataclasses.MISSING:
                yield each.name, each.default
