"""The DAG of a workflow as a value: what runs, in which order, on what input.

Rule 1: nodes stand in a topological order that depends on the definition alone, so equal workflows have equal bytes.
Rule 2: a graph is closed: every step it refers to is one of its nodes, and no step waits for itself.
Rule 3: it says enough to be drawn, validated and advanced by a server that does not have the code.
Rule 4: a node that stands inside another (an arm of a branch, the condition of a loop) is `within` it.  Whatever such
        nodes need from outside, the node around them needs: so inside, only the others inside are waited for.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import msgspec

from kronos.core.binding import Binding, Outputs, Tree
from kronos.core.costs import Budget
from kronos.core.fields import closest
from kronos.core.options import StepOptions
from kronos.errors import NotFound, WorkflowDefinitionError

__all__ = ["NODES_MAX", "Control", "Graph", "Node", "decode_graph", "encode_graph", "node_name", "topological_order"]

NODES_MAX: Final = 10_000
_STARTERS: Final = frozenset({"child", "continue"})
"""Kinds of nodes that start a run."""


class Control(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a node that is not simply executed is made of.

    `over` is the list of a map, the first value of a loop, or the whole input of a run that is started; `depth` how
    many lists deep a map goes; `rounds_max` the bound of a loop, after which it fails or returns its last value;
    `results` the value of each arm of a branch.
    """

    over: Tree = None
    depth: int = 1
    rounds_max: int = 0
    returns_last: bool = False
    results: dict[str, Tree] = {}


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step: the code behind it (`target`), its input (`args`), and whom it waits for.

    `kind` says what the engine does with it: "step" executes its code.  `within` is the scope it belongs to: "" for
    the workflow itself, "NAME/then" and "NAME/otherwise" for the arms of a branch, "NAME/until" for the condition of
    a loop.
    """

    name: str
    target: str
    args: dict[str, Tree]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    options: StepOptions = msgspec.field(default_factory=StepOptions)
    kind: str = "step"
    within: str = ""
    control: Control = msgspec.field(default_factory=Control)


class Graph(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The nodes, the binding of the run's result, and the JSON schema of its input."""

    nodes: tuple[Node, ...]
    output: Tree = None
    input_schema: dict[str, Any] = {}
    timeout_s: float | None = None
    budget: Budget | None = None
    retention: str = "standard"

    @cached_property
    def read(self) -> frozenset[str]:
        """The steps whose result somebody reads: another step, or the run's own result."""
        results = (Binding(tree) for node in self.nodes for tree in node.control.results.values())
        references = [*self.result.references, *(each for result in results for each in result.references)]
        found = {reference.step for reference in references if reference.step is not None}
        return frozenset(found.union(*(node.needs for node in self.nodes)))

    def node(self, step: str) -> Node:
        """Return the node behind `step` (behind `score[17]` that is `score`); raise `NotFound` naming the nearest."""
        found = self.by_name.get(node_name(step))
        if found is None:
            raise NotFound(f"no step {step!r}{closest(step, self.by_name)}: it has {_names(self.by_name)}", step=step)
        return found

    def kind_of(self, step: str) -> str:
        """Return what a step is dealt with as: an element of a map is executed, one of a map of lists is a map."""
        found = self.by_name.get(step)
        if found is not None:
            return found.kind
        node = self.by_name[node_name(step)]
        return "map" if node.kind == "map" and not self.is_leaf(step[: step.rindex("[")]) else "step"

    def is_leaf(self, map_step: str) -> bool:
        """Whether the elements of a map are executed, and not maps themselves."""
        return map_step.count("[") + 1 == self.by_name[node_name(map_step)].control.depth

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
    def scopes(self) -> Mapping[str, tuple[str, ...]]:
        """The steps that stand in each scope, in topological order; "" is the workflow itself."""
        found: dict[str, list[str]] = {"": []}
        for node in self.nodes:
            found.setdefault(node.within, []).append(node.name)
        return {scope: tuple(steps) for scope, steps in found.items()}

    @cached_property
    def waits(self) -> Mapping[str, int]:
        """For each step, how many others of its scope it waits for, and its branch's decision where it is in an arm."""
        scope = {node.name: node.within for node in self.nodes}
        return {
            node.name: sum(scope[name] == node.within or name == node.within.partition("/")[0] for name in waits_for)
            for node, waits_for in zip(self.nodes, self.predecessors.values(), strict=True)
        }

    @cached_property
    def followers(self) -> Mapping[str, tuple[str, ...]]:
        """For each step, who of its scope waits for it."""
        scope = {node.name: node.within for node in self.nodes}
        return {
            step: tuple(name for name in steps if scope[name] == scope[step]) for step, steps in self.successors.items()
        }

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The steps that wait for nobody."""
        return tuple(step for step, count in self.waits.items() if not count)

    @cached_property
    def bindings(self) -> Mapping[str, Binding]:
        """For each step, the compiled plan of its input."""
        return {node.name: Binding(node.control.over if node.kind in _STARTERS else node.args) for node in self.nodes}

    @cached_property
    def sources(self) -> Mapping[str, Binding]:
        """For each map and loop, the plan of what it goes over."""
        return {node.name: Binding(node.control.over) for node in self.nodes if node.kind in ("map", "loop")}

    @cached_property
    def undoable(self) -> frozenset[str]:
        """The nodes whose steps are undone when a run fails or is cancelled."""
        return frozenset(node.within.partition("/")[0] for node in self.nodes if node.kind == "undo")

    @cached_property
    def has_children(self) -> bool:
        """Whether its runs start runs of their own."""
        return any(node.kind == "child" for node in self.nodes)

    @cached_property
    def arms(self) -> Mapping[str, Binding]:
        """For each arm of each branch, by its scope, the plan of its value."""
        return {
            f"{node.name}/{arm}": Binding(tree) for node in self.nodes for arm, tree in node.control.results.items()
        }

    @cached_property
    def result(self) -> Binding:
        """The compiled plan of the run's result."""
        return Binding(self.output)

    def bind(self, step: str, run_input: bytes, outputs: Outputs) -> bytes:
        """Return the canonical input of a node; raise `InvalidInput` where a path leads nowhere.

        `run_input` and `outputs` are canonical bytes; `core.inputs` also binds the steps that a run makes as it goes.
        """
        return self.bindings[step].bytes_of(run_input, outputs)


def node_name(step: str) -> str:
    """Return the name of the node behind a step: `score` for `score[17]`, `improve.good` for `improve[3].good`."""
    name, index, rest = step.partition("[")
    if not index:
        return step
    if rest[:-1].isdecimal():
        return name  # an element of a map, by far the most common: a tenth of the price of the pattern
    return _INDEX.sub("", step)


_INDEX: Final = re.compile(r"\[\d+\]")
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
