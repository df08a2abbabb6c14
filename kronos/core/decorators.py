"""`@step` and `@workflow`: what a program writes over its functions.

Rule: whatever is wrong with a declaration is raised here, where it is written, naming the field or the line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import wraps
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from kronos.core.costs import Budget
from kronos.core.definition import StepDefinition, WorkflowDefinition, check_list, step_names
from kronos.core.fields import closest
from kronos.core.functions import (
    AnyFunction,
    check_executor,
    check_function,
    check_transaction,
    check_types,
    local_names,
)
from kronos.core.options import Duration, StepOptions, parse_duration, parse_errors
from kronos.core.proxies import refuse
from kronos.core.queries import Query
from kronos.core.signature import Injected, read_signature
from kronos.errors import InvalidInput
from kronos.kernel.texts import check_text

__all__ = ["step", "workflow"]

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=Injected)


def _in_words(declare: Callable[P, R]) -> Callable[P, R]:
    """Refuse in the words of a declaration what Python would as a call: options that there are not, or that miss."""
    kind, known = declare.__name__, inspect.signature(declare).parameters
    taken = sum(each.kind is each.POSITIONAL_ONLY for each in known.values())
    required = [name for name, each in known.items() if each.kind is each.KEYWORD_ONLY and each.default is each.empty]

    @wraps(declare)
    def declared(*given: P.args, **options: P.kwargs) -> R:
        for name in options:
            if name not in known:
                names = ", ".join(name for name, each in known.items() if each.kind is each.KEYWORD_ONLY)
                refuse(f"@{kind} has no option {name!r}{closest(name, known)}; it has {names}", field=name)
        for name in required:
            if name not in options:
                refuse(f'@{kind} needs a {name}: write @{kind}({name}="1")', field=name)
        if len(given) > taken:
            refuse(f"@{kind} takes options by name: {given[taken]!r} has none", value=given[taken])
        return declare(*given, **options)

    return declared


class _StepDecorator(Protocol):
    @overload
    def __call__(self, fn: Callable[Concatenate[C, P], Coroutine[Any, Any, R]], /) -> StepDefinition[P, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[C, P], R], /) -> StepDefinition[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> StepDefinition[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> StepDefinition[P, R]: ...


@overload
def step(fn: Callable[Concatenate[C, P], Coroutine[Any, Any, R]], /) -> StepDefinition[P, R]: ...
@overload
def step(fn: Callable[Concatenate[C, P], R], /) -> StepDefinition[P, R]: ...
@overload
def step(fn: Callable[P, Coroutine[Any, Any, R]], /) -> StepDefinition[P, R]: ...
@overload
def step(fn: Callable[P, R], /) -> StepDefinition[P, R]: ...
@overload
def step(
    *,
    name: str | None = None,
    retries: int = 0,
    backoff: Duration = "1s",
    backoff_max: Duration = "5m",
    timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    retry_on: Sequence[type[BaseException] | str] = (),
    give_up_on: Sequence[type[BaseException] | str] = (),
    compensate: StepDefinition[..., Any] | None = None,
    executor: str | None = None,
    queue: str | None = None,
    effect: str = "pure",
    after: Sequence[object] = (),
    depends: Sequence[str] = (),
) -> _StepDecorator: ...
@_in_words
def step(
    fn: AnyFunction | None = None,
    /,
    *,
    name: str | None = None,
    retries: int = 0,
    backoff: Duration = "1s",
    backoff_max: Duration = "5m",
    timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    retry_on: Sequence[type[BaseException] | str] = (),
    give_up_on: Sequence[type[BaseException] | str] = (),
    compensate: StepDefinition[..., Any] | None = None,
    executor: str | None = None,
    queue: str | None = None,
    effect: str = "pure",
    after: Sequence[object] = (),
    depends: Sequence[str] = (),
) -> Any:
    """Declare a step.

    `executor` is "thread" (default), "process", or "async" (default for coroutine functions); `effect` says what the
    step does to the world: "pure", "read", "tx" (it is given a `Transaction` that commits with its outcome) or
    "external".  A failed attempt is retried `retries` times, `backoff` apart, doubling up to `backoff_max`; an attempt
    that runs past `timeout`, or calls no `ctx.heartbeat` for `heartbeat_timeout`, fails.  Where `retry_on` names
    exceptions only those (and timeouts) are retried; those of `give_up_on` never are, nor is `NonRetryable`.
    `depends` names files (relative to the project root) and modules that the code reaches in ways that cannot be
    read from it.  With a `queue` it is executed by whichever worker claims it from there, within the limits of that
    queue.  `compensate` is a step that is given this one's result and undoes it, when a run that completed it fails or
    is cancelled.  Raises `WorkflowDefinitionError`.
    """

    def declare(function: AnyFunction) -> StepDefinition[Any, Any]:
        check_function(function, "step")
        options = StepOptions(
            executor=executor or ("async" if inspect.iscoroutinefunction(function) else "thread"),  # type: ignore[arg-type]
            effect=effect,  # type: ignore[arg-type]
            retries=retries,
            backoff_s=parse_duration(backoff, field="backoff"),
            backoff_max_s=parse_duration(backoff_max, field="backoff_max"),
            timeout_s=_seconds(timeout, "timeout"),
            heartbeat_timeout_s=_seconds(heartbeat_timeout, "heartbeat_timeout"),
            retry_on=parse_errors(retry_on, field="retry_on"),
            give_up_on=parse_errors(give_up_on, field="give_up_on"),
            queue=queue,
        )
        check_executor(function, options)
        if compensate is not None and not isinstance(compensate, StepDefinition):
            refuse(f"compensate={compensate!r}: expected a function decorated with @step", field="compensate")
        if name is not None:
            _check_text(name, "name")
        elif function.__name__ == "<lambda>":
            refuse("a lambda has no name: give the step one with name=")
        signature = read_signature(function, local_names(function))
        check_types(function, signature)
        check_transaction(function, options, signature)
        return StepDefinition(
            function,
            name=name or function.__name__,
            options=options,
            after=step_names(after),
            depends=check_list(depends, "depends"),
            signature=signature,
            compensate=compensate,
        )

    return declare if fn is None else declare(fn)


class _WorkflowDecorator(Protocol):
    def __call__(self, fn: Callable[P, R], /) -> WorkflowDefinition[P, R]: ...


@_in_words
def workflow(
    *,
    version: str,
    name: str | None = None,
    timeout: Duration | None = None,
    budget: Budget | None = None,
    queries: Mapping[str, Query] = MappingProxyType({}),
    retention: str = "standard",
) -> _WorkflowDecorator:
    """Declare a workflow: `version` pins its runs to this code; `timeout` limits a whole run, `budget` what it uses up;
    `retention` is the class that says how long a run is kept after its end.

    `queries` are pure functions of a `RunView` by name: what a run can be asked (`app.query(run, name)`).

    Raises `WorkflowDefinitionError` naming the line for a cycle, a missing dependency, a duplicate step, a type
    mismatch, or a decision that needs a value which is known only in a run.
    """
    for field, given in (("version", version), ("name", name), ("retention", retention)):
        if given is not None or field != "name":
            _check_text(given, field)
    if not _are_named_functions(queries):
        refuse(f"queries={queries!r}: expected functions by name, as in queries={{'left': left}}", field="queries")
    if budget is not None and not isinstance(budget, Budget):
        refuse(f"budget={budget!r}: expected a Budget, as in budget=Budget(usd=5)", field="budget")

    def declare(function: Callable[P, R], /) -> WorkflowDefinition[P, R]:
        check_function(function, "workflow")
        return WorkflowDefinition(
            function,
            name=name or function.__name__,
            version=version,
            timeout_s=None if timeout is None else parse_duration(timeout, field="timeout"),
            budget=budget,
            queries=queries,
            retention=retention,
            local_names=local_names(function),
        )

    return declare


def _are_named_functions(given: object) -> bool:
    return isinstance(given, Mapping) and all(isinstance(name, str) and callable(one) for name, one in given.items())


def _check_text(value: object, field: str) -> None:
    try:
        check_text(value, field, least=1)
    except InvalidInput as error:
        refuse(error.message, **error.facts)


def _seconds(limit: Duration | None, field: str) -> float | None:
    return None if limit is None else parse_duration(limit, field=field)
