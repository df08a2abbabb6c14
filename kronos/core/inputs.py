"""What each step of a run is given, from the run's input and the outputs so far.

Rule 1: a step that the run made as it went (`score[17]`, `score[3][2]`, `improve[4].good`, `undo:charge`) has the code
        and the options of the node that its name without indices names, and its own input.
Rule 2: its name says where its input comes from; so the record alone is enough to bind it again.
Rule 3: the output of a map is not stored a second time: it is put together from its elements' when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from kronos.core.binding import Outputs
from kronos.core.graph import Graph, node_name
from kronos.errors import InvalidInput

__all__ = ["UNDO", "Inputs", "RunOutputs", "elements_of", "mark_of_map", "steps_in_order"]

UNDO: Final = "undo:"
"""The compensation of step `charge` is the step `undo:charge`."""

_MAP_MARK: Final = b'{"$map":'
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def mark_of_map(elements: int) -> bytes:
    """Return what is recorded as the output of a map of `elements`."""
    return b"%s%d}" % (_MAP_MARK, elements)


def elements_of(output: bytes) -> int | None:
    """Return how many elements a recorded output stands for, None where it is a value of its own."""
    return int(output[len(_MAP_MARK) : -1]) if output.startswith(_MAP_MARK) else None


def steps_in_order(graph: Graph, known: Collection[str]) -> list[str]:
    """Return the steps of a run in the order of its graph, each node followed by the `known` steps that it made."""
    made: dict[str, list[str]] = {}
    for step in known:
        if "[" in step or step.startswith(UNDO):
            made.setdefault(step.partition("[")[0], []).append(step)
    found: list[str] = []
    for node in graph.nodes:
        if node.kind not in _MADE:
            found.append(node.name)
        found += sorted(made.get(node.name, ()), key=_place)
    return found


def _place(step: str) -> tuple[list[int], str]:
    return [int(index) for index in _INDICES.findall(step)], step


_INDICES: Final = re.compile(r"\[(\d+)\]")
_MADE: Final = frozenset({"until", "undo"})
"""Kinds of nodes that are no step themselves: a run makes steps of them."""


class RunOutputs(dict[str, bytes]):
    """The outputs of a run's steps, as canonical bytes; those of maps are put together when first asked for."""

    __slots__ = ("elements",)

    def __init__(self, outputs: Mapping[str, bytes] | None = None) -> None:
        super().__init__()
        self.elements: dict[str, int] = {}
        for step, output in (outputs or {}).items():
            self.put(step, output)

    def put(self, step: str, output: bytes) -> None:
        """Add what is recorded as the output of `step`."""
        elements = elements_of(output)
        if elements is None:
            self[step] = output
        else:
            self.elements[step] = elements

    def __missing__(self, step: str) -> bytes:
        elements = self.elements[step]
        value = self[step] = b"[" + b",".join([self[f"{step}[{i}]"] for i in range(elements)]) + b"]"
        return value


class Inputs:
    """Binds the inputs of one run's steps; keeps the lists of its maps, so that each is read once."""

    __slots__ = ("_bindings", "_graph", "_lists", "_outputs", "_run_input")

    def __init__(self, graph: Graph, run_input: bytes, outputs: Outputs) -> None:
        self._graph = graph
        self._bindings = graph.bindings
        self._run_input = run_input
        self._outputs = outputs
        self._lists: dict[str, list[msgspec.Raw]] = {}

    def of(self, step: str) -> bytes:
        """Return the canonical input of `step`; raise `InvalidInput` where a path leads nowhere, `KeyError` where an
        output that it needs is not there.
        """
        if "[" not in step and not step.startswith(UNDO):
            return self._bindings[step].bytes_of(self._run_input, self._outputs)
        name = node_name(step)
        reference, item = self._item(step, name)
        return self._bindings[name].bytes_of(self._run_input, _WithItem(self._outputs, reference, item))

    def items(self, container: str) -> list[msgspec.Raw]:
        """Return the elements that a map goes over."""
        found = self._lists.get(container)
        if found is None:
            data = self._element(container) if container[-1:] == "]" else self._source(container)
            try:
                found = self._lists[container] = _decode_list(data)
            except msgspec.MsgspecError:
                raise InvalidInput(
                    f"step {container!r} maps over a list, and was given {bytes(data)[:60].decode(errors='replace')}",
                    field=container,
                ) from None
        return found

    def forget(self, container: str) -> None:
        """Drop the list of a map that has nothing left to begin."""
        self._lists.pop(container, None)

    def _item(self, step: str, name: str) -> tuple[str, bytes | msgspec.Raw]:
        if step.startswith(UNDO):
            return f"{name[len(UNDO) :]}[]", self._outputs[step[len(UNDO) :]]
        if step[-1] == "]":
            return f"{name}[]", self._element(step)
        return f"{name.rpartition('.')[0]}[]", self._outputs[step[: step.rindex("]") + 1]]

    def _element(self, step: str) -> bytes | msgspec.Raw:
        container, _, index = step[:-1].rpartition("[")
        if self._graph.by_name[node_name(step)].kind != "loop":
            return self.items(container)[int(index)]
        return self._outputs[f"{container}[{int(index) - 1}]"] if int(index) else self._source(container)

    def _source(self, container: str) -> bytes:
        return self._graph.sources[container].bytes_of(self._run_input, self._outputs)


class _WithItem:
    """Outputs with the one element that a step is for."""

    __slots__ = ("_item", "_outputs", "_reference")

    def __init__(self, outputs: Outputs, reference: str, item: bytes | msgspec.Raw) -> None:
        self._outputs = outputs
        self._reference = reference
        self._item = item

    def __getitem__(self, step: str) -> bytes:
        return bytes(self._item) if step == self._reference else self._outputs[step]
