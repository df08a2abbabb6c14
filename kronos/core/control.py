"""Branches and loops of a workflow: `when` and `repeat_until`.

Rule 1: both arms of a branch are read when the workflow is declared, so the whole DAG is known; one is taken in a run.
Rule 2: called outside of a workflow they do what they say, at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar, Union, overload

from kronos.core.assignable import mismatch
from kronos.core.binding import Reference
from kronos.core.definition import StepDefinition
from kronos.core.graph import Control, Node
from kronos.core.mapping import element_of
from kronos.core.proxies import is_proxy, read, refuse, stand_in
from kronos.core.tracing import Tracer, active_tracer

__all__ = ["ROUNDS_MAX", "repeat_until", "when"]

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

ROUNDS_MAX: Final = 10_000


# ruff: noqa: FBT001 - a condition is what `when` is called with


@overload
def when(condition: bool, then: Callable[[], A], otherwise: Callable[[], B], *, name: str | None = None) -> A | B: ...
@overload
def when(condition: bool, then: Callable[[], A], *, name: str | None = None) -> A | None: ...
def when(
    condition: bool, then: Callable[[], Any], otherwise: Callable[[], Any] | None = None, *, name: str | None = None
) -> Any:
    """Take one of two arms: `when(is_good(x), then=lambda: publish(x), otherwise=lambda: revise(x))`.

    `condition` is a step's bool output (or a part of one, or of the run's input).  The steps of the other arm are
    recorded as skipped; the result is the value of the arm that was taken, None where there is no `otherwise`.
    Raises `WorkflowDefinitionError` naming the line.
    """
    tracer = active_tracer()
    if tracer is None:
        chosen = then if condition else otherwise
        return None if chosen is None else chosen()
    return _branch(tracer, condition, {"then": then, "otherwise": otherwise}, name)


def _branch(tracer: Tracer, condition: Any, arms: dict[str, Callable[[], Any] | None], name: str | None) -> Any:
    name = name or _name_of_branch(tracer, condition)
    tracer.check_name(name)
    needs: dict[str, None] = {}
    tree = tracer.tree(condition, bool, f"when {name!r}", "condition", needs)
    tracer.add(Node(name=name, target="", args={}, kind="branch"))  # holds its place before its arms
    results: dict[str, Any] = {}
    kinds: list[Any] = []
    for arm, value_of in arms.items():
        with tracer.inside(f"{name}/{arm}") as from_outside:
            value = _value_of(value_of, arm)
            kinds.append(_kind_of(value))
            results[arm] = tracer.tree(value, Any, f"when {name!r}", arm, from_outside)
        needs |= from_outside
    place = tracer.calls[name].node
    tracer.add(
        Node(
            name=name,
            target="",
            args={"condition": tree},
            needs=tuple(needs),
            after=place.after,
            kind="branch",
            within=place.within,
            control=Control(results=results),
        )
    )
    then, otherwise = kinds
    joined = then if then == otherwise else Union[then, otherwise]  # noqa: UP007 - made while the workflow is read
    return stand_in(tracer, Reference(name), joined, f"the result of {name!r}")


def _value_of(arm: Callable[[], Any] | None, name: str) -> Any:
    if arm is None:
        return None
    if is_proxy(arm) or not callable(arm):
        refuse(f"{name}= takes a function without arguments, as in {name}=lambda: step(x)", field=name)
    return arm()


def _kind_of(value: Any) -> Any:
    if is_proxy(value):
        return read(value).type
    return type(value) if isinstance(value, bool | int | float | str | None) else Any


def _name_of_branch(tracer: Tracer, condition: Any) -> str:
    step = read(condition).reference.step if is_proxy(condition) else None
    name, number = f"when:{step or 'input'}", 1
    while name in tracer.calls:
        number += 1
        name = f"when:{step or 'input'}-{number}"
    return name


def repeat_until(
    step: Callable[[T], T],
    until: Callable[[T], bool],
    initial: T,
    *,
    max: int,  # noqa: A002 - the word that users expect
    on_max: Literal["fail", "return"] = "fail",
) -> T:
    """Call `step` on `initial`, then on its own result, until the step `until` says true of a result; return that.

    Rounds are steps `NAME[0]`, `NAME[1]`, … and `NAME[0].UNTIL`, ….  After `max` rounds the run fails, or goes on with
    the last result where `on_max="return"`.  Raises `WorkflowDefinitionError` naming the line.
    """
    if type(max) is not int or not 1 <= max <= ROUNDS_MAX:
        refuse(f"max={max!r}: expected a whole number from 1 to {ROUNDS_MAX}", field="max", value=max)
    if on_max not in ("fail", "return"):
        refuse(f'on_max={on_max!r}: expected "fail" or "return"', field="on_max", value=on_max)
    tracer = active_tracer()
    if tracer is not None:
        return _loop(tracer, step, until, initial, rounds_max=max, returns_last=on_max == "return")  # type: ignore[no-any-return]
    value = initial
    for _ in range(max):
        value = step(value)
        if until(value):
            return value
    if on_max == "return":
        return value
    raise RuntimeError(f"repeated max={max} times and {until!r} was still false")


def _loop(tracer: Tracer, step: Any, until: Any, initial: Any, *, rounds_max: int, returns_last: bool) -> Any:
    for field, given in (("step", step), ("until", until)):
        if not isinstance(given, StepDefinition):
            refuse(f"repeat_until: {field} is {given!r}: expected a function decorated with @step", field=field)
    name, needs = step.name, dict[str, None]()
    tracer.check_name(name)
    _check_round(name, "its own result", step.signature.returns, step)
    _check_round(name, f"the result of {name!r}", step.signature.returns, until)
    over = tracer.tree(initial, _taken(step), f"step {name!r}", "initial", needs)
    node = Node(
        name=name,
        target=step.target,
        args=tracer.trees(step, (element_of(tracer, name),), {}, needs),
        needs=tuple(needs),
        after=tuple(dict.fromkeys(step.after)),
        options=step.options,
        kind="loop",
        control=Control(over=over, rounds_max=rounds_max, returns_last=returns_last),
    )
    tracer.add(node, step)
    condition = until.named(f"{name}.{until.name}")
    tracer.check_name(condition.name)
    tracer.add(
        Node(
            name=condition.name,
            target=condition.target,
            args=tracer.trees(condition, (element_of(tracer, name),), {}, {}),
            after=(name,),
            options=condition.options,
            kind="until",
            within=f"{name}/until",
        ),
        condition,
    )
    return stand_in(tracer, Reference(name), step.signature.returns, f"the result of step {name!r}")


def _taken(step: StepDefinition[..., Any]) -> Any:
    places = [p for p in step.signature.parameters if p.positional]
    if not places:
        refuse(f"step {step.name!r} has no positional parameter to take a value: repeat_until needs one")
    return places[0].type


def _check_round(loop: str, given: str, kind: Any, step: StepDefinition[..., Any]) -> None:
    if why := mismatch(kind, _taken(step), "$"):
        refuse(f"repeat_until of {loop!r}: step {step.name!r} is given {given}: {why}", step=step.name)
    if step.name != loop and (why := mismatch(step.signature.returns, bool, "$")):
        refuse(f"repeat_until of {loop!r}: step {step.name!r} says whether to stop: {why}", step=step.name)
