"""What a run of a workflow is given: one JSON object.

Rule: it is the one record parameter whole, or a record of all parameters by name.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kronos.core.fields import is_object
from kronos.core.proxies import refuse
from kronos.core.signature import EMPTY, Parameter, Signature

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
        return msgspec.json.schema(kind)
    except (TypeError, NotImplementedError) as error:
        refuse(f"the input type {kind!r} cannot be read from JSON: {error}")
