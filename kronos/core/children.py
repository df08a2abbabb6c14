"""Workflows inside workflows: `child` and `continue_as_new`.

Rule: a child is a run of its own, and for its parent a step that waits; a successor takes the place of its run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, ParamSpec, TypeVar

import msgspec

from kronos.core.binding import Reference, Tree
from kronos.core.definition import WorkflowDefinition
from kronos.core.graph import Control, Node
from kronos.core.options import StepOptions
from kronos.core.proxies import refuse, stand_in
from kronos.core.run_input import takes_whole_input
from kronos.core.signature import Signature
from kronos.core.tracing import Tracer, active_tracer
from kronos.errors import InvalidInput

__all__ = ["CONTINUE", "child", "continue_as_new"]

P = ParamSpec("P")
R = TypeVar("R")

CONTINUE: Final = "continue_as_new"
"""The name of the step that ends a run by starting its successor."""


class _Call(msgspec.Struct, frozen=True):
    """What a workflow is when it is called like a step."""

    name: str
    target: str
    signature: Signature
    options: StepOptions
    after: Sequence[str] = ()


def child(workflow: WorkflowDefinition[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Start a run of `workflow` and wait for its result; its failure, or its end by request, fails the step.

    The step is called like the workflow; `child(research.named("again"), …)` names a second use.  When the parent
    ends, children that are still open are cancelled.  Raises `WorkflowDefinitionError` naming the line.
    """
    if not isinstance(workflow, WorkflowDefinition):
        refuse(f"child: {workflow!r} is no workflow: expected a function decorated with @workflow")
    tracer = active_tracer()
    if tracer is None:
        return workflow(*args, **kwargs)
    limits = StepOptions(timeout_s=workflow.graph.timeout_s)
    call = _Call(workflow.step_name, workflow.target, workflow.signature, limits)
    tracer.check_name(call.name)
    needs: dict[str, None] = {}
    over = _input(tracer, call, args, kwargs, needs)
    node = Node(
        name=call.name,
        target=call.target,
        args={},
        needs=tuple(needs),
        options=limits,
        kind="child",
        control=Control(over=over),
    )
    tracer.add(node, workflow.original)
    returned, spelled = workflow.signature.returns, f"the result of child {call.name!r}"
    return stand_in(tracer, Reference(call.name), returned, spelled)  # type: ignore[return-value]


def continue_as_new(*args: Any, **kwargs: Any) -> Any:
    """End this run and start its successor, a run of the same definition with the input given here.

    It happens when everything else of the run has ended; both runs say which the other is, and `Handle.result` waits
    for the last of them.  A workflow uses it once, mostly in an arm of `when`.
    """
    tracer = active_tracer()
    if tracer is None:
        raise InvalidInput("continue_as_new starts a run: it needs an engine, and a workflow that is run by one")
    assert tracer.signature is not None, "a workflow is being read"
    call = _Call(CONTINUE, "", tracer.signature, StepOptions())
    tracer.check_name(CONTINUE)
    needs: dict[str, None] = {}
    over = _input(tracer, call, args, kwargs, needs)
    tracer.add(Node(name=CONTINUE, target="", args={}, needs=tuple(needs), kind="continue", control=Control(over=over)))
    return stand_in(tracer, Reference(CONTINUE), Any, "the result of continue_as_new")


def _input(
    tracer: Tracer, call: _Call, args: tuple[Any, ...], kwargs: Mapping[str, Any], needs: dict[str, None]
) -> Tree:
    trees = tracer.trees(call, args, kwargs, needs)
    return next(iter(trees.values())) if takes_whole_input(call.signature) else trees
