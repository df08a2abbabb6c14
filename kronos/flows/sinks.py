"""Post-trade sinks: whoever a plan names is given a run's fills, once its decisions are on record.

Rule 1: a delivery is a recorded call of the step: replay is served from the record and no sink is called again.
Rule 2: a sink may see a batch again after a worker died in between; `key` (run, step, number) is the same then, and so
        are the fills, so a sink that keeps what it has by key has every fill once.
Rule 3: a sink that fails fails the step: fills are never dropped in silence.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from kronos.engine.context import StepContext
from kronos.errors import InvalidInput

__all__ = ["BATCH_FILLS", "Sink", "deliver", "find_sink"]

BATCH_FILLS: Final = 1_000
"""Fills of one call."""

Sink: TypeAlias = Callable[[str, list[dict[str, Any]]], object]
"""`sink(key, fills)`: fills as JSON-ready values, in the order in which they happened."""


def deliver(ctx: StepContext, sinks: Sequence[str], fills: Sequence[msgspec.Struct]) -> int:
    """Give `fills` to every sink (`module:function`), in batches; return how many calls that took.

    Raises `InvalidInput` for a sink that cannot be found, before anything is delivered.
    """
    for name in sinks:
        find_sink(name)
    calls = 0
    for name in sinks:
        for number, start in enumerate(range(0, len(fills), BATCH_FILLS)):
            rows = [msgspec.to_builtins(fill, enc_hook=str) for fill in fills[start : start + BATCH_FILLS]]
            ctx.call(_hand_over, name, f"{ctx.run_id}/{ctx.step}/{number}", rows)
            calls += 1
    return calls


def find_sink(name: str) -> Sink:
    """Return what `module:function` names; raise `InvalidInput` saying which half is wrong."""
    module_name, separator, function = name.partition(":")
    if not separator or not module_name or not function:
        raise InvalidInput(f"sink {name!r} is not module:function", field="sinks", value=name)
    try:
        found = getattr(importlib.import_module(module_name), function, None)
    except ImportError as error:
        raise InvalidInput(f"sink {name!r}: {error}", field="sinks", value=name) from error
    if not callable(found):
        raise InvalidInput(f"sink {name!r}: {module_name} has no function {function!r}", field="sinks", value=name)
    return found  # type: ignore[no-any-return]  # what a user's module holds


def _hand_over(name: str, key: str, fills: list[dict[str, Any]]) -> None:
    find_sink(name)(key, fills)
