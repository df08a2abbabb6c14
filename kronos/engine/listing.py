"""How a step is listed for those who ask for it by name: the JSON Schema of its arguments.

Rule: what must be known of a step before a job of it is accepted stands in keywords that a validator passes over.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kronos.core.definition import StepDefinition
from kronos.engine.execution import invocation_of

__all__ = ["EFFECT_KEYWORD", "QUEUE_KEYWORD", "listed"]

EFFECT_KEYWORD: Final = "x-kronos-effect"
QUEUE_KEYWORD: Final = "x-kronos-queue"


def listed(step: StepDefinition[Any, Any]) -> bytes:
    """Return the schema of a step's arguments, with its effect and, where it has one, its queue."""
    schema: dict[str, Any] = msgspec.json.decode(invocation_of(step).schema())
    schema[EFFECT_KEYWORD] = step.options.effect
    if step.options.queue is not None:
        schema[QUEUE_KEYWORD] = step.options.queue
    return msgspec.json.encode(schema, order="sorted")
