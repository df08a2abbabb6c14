"""A JSON document held against a JSON Schema, for whoever has the schema but not the code.

Rule: what the code would have made of a document is made of it here as well: a field that is not given and has a
default takes it, so that nobody downstream finds it missing.
"""

from __future__ import annotations

import json
from typing import Any, Final

from kronos.errors import InvalidInput
from kronos.kernel import canonical

__all__ = ["check_against"]

_REFERENCE: Final = "#/$defs/"


def check_against(schema: bytes, data: bytes) -> bytes:
    """Return the canonical bytes of `data` with the defaults of `schema`; raise `InvalidInput` naming a mismatch."""
    from jsonschema import Draft202012Validator  # 0.04 s of every process that holds nothing against a schema
    from jsonschema.exceptions import best_match

    value = canonical.decode(data)
    document = json.loads(schema)
    error = best_match(Draft202012Validator(document).iter_errors(value))
    if error is not None:
        raise InvalidInput(f"{error.json_path}: {error.message}", field=error.json_path, reason=error.message)
    return canonical.encode(_filled(value, document, document.get("$defs", {})))


def _filled(value: Any, schema: Any, definitions: dict[str, Any]) -> Any:
    """Return `value`, which fits `schema`, with the defaults of the fields that it leaves out."""
    if not isinstance(schema, dict):
        return value
    for part in _parts(value, schema, definitions):
        value = _filled(value, part, definitions)
    if isinstance(value, dict):
        return _filled_object(value, schema, definitions)
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        rest = schema.get("items")
        return [_filled(item, first[at] if at < len(first) else rest, definitions) for at, item in enumerate(value)]
    return value


def _filled_object(value: dict[str, Any], schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    known = schema.get("properties", {})
    others = schema.get("additionalProperties")
    filled = {name: _filled(item, known.get(name, others), definitions) for name, item in value.items()}
    for name, part in known.items():
        if name not in filled and "default" in part:
            filled[name] = _filled(canonical.decode(json.dumps(part["default"]).encode()), part, definitions)
    return filled


def _parts(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> list[Any]:
    """Return the schemas that `schema` refers to for this value: of alternatives, the first that it fits."""
    parts = list(schema.get("allOf", []))
    if reference := schema.get("$ref", ""):
        parts.append(definitions.get(reference.removeprefix(_REFERENCE), {}))
    alternatives = schema.get("anyOf") or schema.get("oneOf") or []
    for one in alternatives:
        from jsonschema import Draft202012Validator

        if Draft202012Validator({**one, "$defs": definitions}).is_valid(value):
            return [*parts, one]
    return parts
