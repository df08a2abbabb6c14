"""`step.map(items)`: one node of the DAG, as many steps as the run has elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from kronos.core.binding import Reference
from kronos.core.graph import Control, Node
from kronos.core.proxies import Proxy, refuse, stand_in
from kronos.core.tracing import Traced, Tracer, active_tracer

__all__ = ["element_of", "trace_map"]


class Mapped(Traced, Protocol):
    """A step that can be called."""

    @property
    def function(self) -> Callable[..., Any]: ...


def trace_map(definition: Mapped, items: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, depth: int) -> Any:
    """Record a map and return the stand-in for its list of results; outside of a workflow, call the function."""
    tracer = active_tracer()
    if tracer is None:
        return _call(definition.function, items, args, kwargs, depth)
    return _record(tracer, definition, items, args, kwargs, depth=depth)


def element_of(tracer: Tracer, step: str) -> Proxy:
    """Return the stand-in for the one element that a step of a map, or a round of a loop, is given."""
    return stand_in(tracer, Reference(f"{step}[]"), Any, f"an element of {step!r}")


def _record(
    tracer: Tracer, definition: Mapped, items: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, depth: int
) -> Proxy:
    name, signature = definition.name, definition.signature
    tracer.check_name(name)
    places = [p for p in signature.parameters if p.positional]
    if not places:
        refuse(f"step {name!r} has no positional parameter to take an element: map needs one", step=name)
    needs: dict[str, None] = {}
    listed: Any = places[0].type
    returned: Any = signature.returns
    for _ in range(depth):
        listed, returned = Sequence[listed], list[returned]
    over = tracer.tree(items, listed, f"step {name!r}", "items", needs)
    trees = tracer.trees(definition, (element_of(tracer, name), *args), kwargs, needs)
    node = Node(
        name=name,
        target=definition.target,
        args=trees,
        needs=tuple(needs),
        after=tuple(dict.fromkeys(definition.after)),
        options=definition.options,
        kind="map",
        control=Control(over=over, depth=depth),
    )
    tracer.add(node, definition)
    return stand_in(tracer, Reference(name), returned, f"the results of step {name!r}")


def _call(
    function: Callable[..., Any], items: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], depth: int
) -> Any:
    if depth > 1:
        return [_call(function, inner, args, kwargs, depth - 1) for inner in items]
    return [function(item, *args, **kwargs) for item in items]
