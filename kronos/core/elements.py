"""Which elements of maps, and rounds of loops, a name may mean.

Rule: an element has one name, `score[7]`: what reads like one and is none is refused before anything is on record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from kronos.core.graph import Graph, Node, node_name
from kronos.core.inputs import UNDO
from kronos.core.state import Run, StepStatus
from kronos.errors import InvalidInput

__all__ = ["check_element", "check_elements_exist", "is_steady", "output_type"]

_INDICES: Final = re.compile(r"(?:\[(?:0|[1-9][0-9]{0,17})\])*")


def output_type(graph: Graph, step: str, returned: Any) -> Any:
    """Return the type of a step's output whose code returns `returned`: of a map a list, of its element the thing."""
    node = graph.by_name[node_name(step)]
    deep = node.control.depth - step.count("[") if node.kind == "map" else 0
    for _ in range(deep):
        returned = list[returned]
    return returned


def check_element(graph: Graph, step: str, field: str) -> None:
    """Raise `InvalidInput` where `step` names an element that its node can never have."""
    base, bracket, rest = step.removeprefix(UNDO).partition("[")
    node = graph.by_name.get(base)
    if node is None:
        return
    if not bracket:
        _check_whole(node, field)
        return
    inside, closing, suffix = rest.rpartition("]")
    indices, says = bracket + inside + closing, f"{field}: step {base!r} has no element {step!r}"
    if node.kind not in ("map", "loop"):
        _refuse(f"{says}: it is neither a map nor a loop; name it {base!r}", field, step)
    if not _INDICES.fullmatch(indices) or suffix[:1] not in ("", "."):
        _refuse(f"{says}: write the number without leading zeros, as in {base}[0]", field, step)
    deep, depth = indices.count("["), node.control.depth
    if node.kind == "loop" and (deep > 1 or int(inside) >= node.control.rounds_max):
        _refuse(f"{says}: its rounds are {base}[0] to {base}[{node.control.rounds_max - 1}]", field, step)
    if deep > depth or (deep < depth and field == "inputs"):
        _refuse(f"{says} that takes arguments: name one like {base}{'[0]' * depth}, or all of them {base}", field, step)


def _check_whole(node: Node, field: str) -> None:
    loop, name = node.within.partition("/")[0], node.name
    if node.kind == "until" and field != "inputs":
        example = f"{loop}[0]{name.removeprefix(loop)}"
        _refuse(f"{field}: step {name!r} is asked in each round: say of which one, as in {example}", field, name)


def is_steady(graph: Graph, step: str, kept: Run) -> bool:
    """Whether all that the list of a map is made of stands in `kept`: so it has as many elements as ever."""
    node = graph.by_name.get(step.partition("[")[0])
    if node is None or node.kind != "map" or node.within:
        return False
    known = [kept.steps.get(name) for name in graph.predecessors[node.name]]
    return all(each is not None and each.status is StepStatus.COMPLETED for each in known)


def check_elements_exist(run: Run, steps: Iterable[str], field: str) -> None:
    """Raise `InvalidInput` for an element that `run` cannot have any more: its map has fewer, its loop is over."""
    for step in steps:
        at = 0
        while (at := step.find("[", at + 1)) > 0:
            end = step.index("]", at)
            count = None if step[: end + 1] in run.steps else _count(run, step[:at])
            if count is not None and int(step[at + 1 : end]) >= count:
                there = f"{step[:at]}[0] to {step[:at]}[{count - 1}]" if count else "none"
                _refuse(f"{field}: run {run.id} has no element {step!r}: there is {there}", field, step)


def _count(run: Run, container: str) -> int | None:
    """Return how many elements a map has, or how many rounds a loop has had or may have; None where that is open."""
    known = run.steps.get(container)
    if known is None or known.status is not StepStatus.COMPLETED:
        return None if known is None else known.facts.elements
    count = 0
    while f"{container}[{count}]" in run.steps:
        count += 1
    return count


def _refuse(says: str, field: str, step: str) -> None:
    raise InvalidInput(says, field=field, value=step)
