"""Whether a run may go on under another definition of its workflow.

Rule: what is on record must have its place in the new graph, and nothing that is over may wait for something that never
      ran: the history of an adopted run could have been written under the new definition.
"""

from __future__ import annotations

from collections.abc import Mapping

from kronos.core.fields import closest
from kronos.core.graph import Graph, Node, node_name
from kronos.core.state import StepState, StepStatus
from kronos.errors import Conflict

__all__ = ["check_adoption"]

_OVER = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})


def check_adoption(steps: Mapping[str, StepState], old: Graph, new: Graph) -> None:
    """Raise `Conflict`, naming the step and the reason, when a run with `steps` on record cannot go on in `new`."""
    for name in sorted(steps):
        was, node = old.by_name[node_name(name)], new.by_name.get(node_name(name))
        if node is None:
            raise _refused(name, f"the new version has no such step{closest(was.name, new.by_name)}")
        if (node.kind, node.within) != (was.kind, was.within):
            raise _refused(name, f"it was a {_spell(was)} and is a {_spell(node)} in the new version")
    for name, step in sorted(steps.items()):
        if step.status not in _OVER or name not in new.by_name:
            continue
        for before in new.predecessors[name]:
            known = steps.get(before)
            if known is None or known.status not in _OVER:
                raise _refused(name, f"it is over, and in the new version it waits for {before!r}, which is not")


def _spell(node: Node) -> str:
    return f"{node.kind} in {node.within}" if node.within else node.kind


def _refused(step: str, why: str) -> Conflict:
    return Conflict(f"the run cannot be adopted: step {step!r}: {why}", step=step)
