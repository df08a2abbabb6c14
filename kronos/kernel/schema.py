"""A JSON document held against a JSON Schema, for whoever has the schema but not the code."""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from kronos.errors import InvalidInput
from kronos.kernel import canonical

__all__ = ["check_against"]


def check_against(schema: bytes, data: bytes) -> bytes:
    """Return the canonical bytes of `data`; raise `InvalidInput` naming the path of the first mismatch."""
    value = canonical.decode(data)
    error = best_match(Draft202012Validator(json.loads(schema)).iter_errors(value))
    if error is not None:
        raise InvalidInput(f"{error.json_path}: {error.message}", field=error.json_path, reason=error.message)
    return canonical.encode(value)
