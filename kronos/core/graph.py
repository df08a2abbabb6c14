"""The DAG of a workflow as a value: what runs, in which order, on what input.

Rule 1: nodes stand in a topological order that depends on the definition alone, so equal workflows have equal bytes.
Rule 2: a graph is closed: every step it refers to is one of its nodes, and no step waits for itself.
Rule 3: it says enough to be drawn, validated and advanced by a server that does not have the code.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import msgspec

from kronos.core.binding import Binding, Outputs, Tree
from kronos.core.fields import closest
from kronos.core.options import StepOptions
from kronos.errors import NotFound, WorkflowDefinitionError

__all__ = ["NODES_MAX", "Graph", "Node", "decode_graph", "encode_graph", "topological_order"]

NODES_MAX: Final = 10_000


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One step: the code behind it (`target`), its input (`args`), and whom it waits for."""

    name: str
    target: str
    args: dict[str, Tree]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    options: StepOptions = msgspec.field(default_factory=StepOptions)


class Graph(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The nodes, the binding of the run's result, and the JSON schema of its input."""

    nodes: tuple[Node, ...]
    output: Tree = None
    input_schema: dict[str, Any] = {}
    timeout_s: float | None = None

    def node(self, step: str) -> Node:
        """Return the node called `step`; raise `NotFound` naming the nearest."""
        found = self.by_name.get(step)
        if found is None:
            raise NotFound(f"no step {step!r}{closest(step, self.by_name)}: it has {_names(self.by_name)}", step=step)
        return found

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def predecessors(self) -> Mapping[str, tuple[str, ...]]:
        """For each step, whom it waits for: data first, then order."""
        return {node.name: tuple(dict.fromkeys(node.needs + node.after)) for node in self.nodes}

    @cached_property
    def successors(self) -> Mapping[str, tuple[str, ...]]:
        """For each step, who waits for it, in topological order."""
        found: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for step, waits_for in self.predecessors.items():
            for name in waits_for:
                found[name].append(step)
        return {name: tuple(steps) for name, steps in found.items()}

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The steps that wait for nobody."""
        return tuple(step for step, waits_for in self.predecessors.items() if not waits_for)

    @cached_property
    def bindings(self) -> Mapping[str, Binding]:
        """For each step, the compiled plan of its input."""
        return {node.name: Binding(node.args) for node in self.nodes}

    @cached_property
    def result(self) -> Binding:
        """The compiled plan of the run's result."""
        return Binding(self.output)

    def bind(self, step: str, run_input: bytes, outputs: Outputs) -> bytes:
        """Return the canonical input of `step`; raise `InvalidInput` where a path leads nowhere.

        `run_input` and `outputs` are canonical bytes; hot loops hold `bindings[step].bytes_of`.
        """
        return self.bindings[step].bytes_of(run_input, outputs)


_encode: Final = msgspec.json.Encoder(order="sorted").encode
_decode: Final = msgspec.json.Decoder(Graph).decode


def encode_graph(graph: Graph) -> bytes:
    """Return the canonical bytes of `graph` (its trees are already in canonical form)."""
    return _encode(graph)


def decode_graph(data: bytes) -> Graph:
    """Return the graph of `encode_graph`'s bytes."""
    return _decode(data)


def topological_order(waits_for: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the steps so that each follows whom it waits for, ties in the order given.

    Raises `WorkflowDefinitionError` for a step that nobody defines, and for a cycle, which it spells out.
    """
    place = {step: i for i, step in enumerate(waits_for)}
    for step, names in waits_for.items():
        for name in names:
            if name not in place:
                raise WorkflowDefinitionError(
                    f"step {step!r} comes after {name!r}, which is no step of this workflow"
                    f"{closest(name, place)}: it has {_names(place)}",
                    step=step,
                    missing=name,
                )
    left = {step: len(set(names)) for step, names in waits_for.items()}
    followers: dict[str, list[str]] = {step: [] for step in waits_for}
    for step, names in waits_for.items():
        for name in set(names):
            followers[name].append(step)
    ready = [place[step] for step, count in left.items() if count == 0]
    steps, order = list(waits_for), []
    while ready:
        step = steps[heapq.heappop(ready)]
        order.append(step)
        for follower in followers[step]:
            left[follower] -= 1
            if left[follower] == 0:
                heapq.heappush(ready, place[follower])
    if len(order) < len(steps):
        cycle = _cycle(waits_for, {step for step, count in left.items() if count})
        raise WorkflowDefinitionError(
            f"a cycle: {' waits for '.join(repr(step) for step in cycle)}: remove one `after=`", cycle=cycle
        )
    return order


def _cycle(waits_for: Mapping[str, tuple[str, ...]], stuck: set[str]) -> list[str]:
    step = next(step for step in waits_for if step in stuck)
    path: list[str] = []
    while step not in path:
        path.append(step)
        step = next(name for name in waits_for[step] if name in stuck)
    return [*path[path.index(step) :], step]


def _names(steps: Mapping[str, object]) -> str:
    shown = list(steps)[:10]
    return ", ".join(shown) + (", …" if len(steps) > len(shown) else "")
