"""Steps and workflows: plain functions that know how they are run.

Rule 1: a decorated function still is its function: called outside a workflow, it simply runs (so it is unit-tested).
Rule 2: a workflow is read once, when it is decorated; whatever is wrong with it is raised there, naming the line.
Rule 3: a step travels as `module:qualname`, never pickled.
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar

from kronos.core.binding import Reference
from kronos.core.costs import Budget
from kronos.core.functions import (
    AnyFunction,
    check_types,
    line_of,
    raised_at,
    target_of,
)
from kronos.core.graph import Graph
from kronos.core.mapping import trace_map
from kronos.core.options import StepOptions
from kronos.core.proxies import is_proxy, read, refuse, stand_in
from kronos.core.queries import Query
from kronos.core.run_input import input_type, schema_of, takes_whole_input
from kronos.core.signature import Signature, read_signature
from kronos.core.tracing import Tracer, active_tracer
from kronos.errors import InvalidInput, KronosError, WorkflowDefinitionError
from kronos.kernel import canonical
from kronos.kernel.schema import check_against

__all__ = ["StepDefinition", "WorkflowDefinition", "check_list", "step_names"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")


class StepDefinition(Generic[P, R]):
    """A function that can be a step of a workflow."""

    def __init__(
        self,
        function: AnyFunction,
        *,
        name: str,
        options: StepOptions,
        after: Sequence[str],
        depends: Sequence[str],
        signature: Signature,
        compensate: StepDefinition[..., Any] | None = None,
    ) -> None:
        self.function: Final = function
        self.name: Final = name
        self.options: Final = options
        self.after: Final = tuple(after)
        self.depends: Final = tuple(depends)
        self.signature: Final = signature
        self.compensate: Final = compensate
        self.target: Final = target_of(function)
        self.is_coroutine: Final = inspect.iscoroutinefunction(function)
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        tracer = active_tracer()
        if tracer is None:
            return self.function(*args, **kwargs)  # type: ignore[no-any-return]
        return tracer.call(self, args, kwargs)  # type: ignore[return-value]

    def map(
        self: StepDefinition[Concatenate[T, Q], R], items: Sequence[T], /, *args: Q.args, **kwargs: Q.kwargs
    ) -> list[R]:
        """Run this step once for each of `items`, which may be known only in the run; the other arguments are shared.

        In a workflow the result is a list to pass on whole or to map over again; the elements are steps `NAME[0]`,
        `NAME[1]`, …, each with attempts of its own.
        """
        return trace_map(self, items, args, kwargs, depth=1)  # type: ignore[no-any-return]

    def map_nested(
        self: StepDefinition[Concatenate[T, Q], R], items: Sequence[Sequence[T]], /, *args: Q.args, **kwargs: Q.kwargs
    ) -> list[list[R]]:
        """`map` over a list of lists, keeping its shape; the elements are steps `NAME[0][0]`, `NAME[0][1]`, …."""
        return trace_map(self, items, args, kwargs, depth=2)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<step {self.name!r} {self.target}>"

    def named(self, name: str, *, after: Sequence[object] = ()) -> StepDefinition[P, R]:
        """Return this step for a use of its own in a workflow, called `name`."""
        return StepDefinition(
            self.function,
            name=name,
            options=self.options,
            after=(*self.after, *step_names(after)),
            depends=self.depends,
            signature=self.signature,
            compensate=self.compensate,
        )


class WorkflowDefinition(Generic[P, R]):
    """A workflow function, and the graph that reading it gave."""

    def __init__(
        self,
        function: AnyFunction,
        *,
        name: str,
        version: str,
        timeout_s: float | None,
        budget: Budget | None,
        queries: Mapping[str, Query],
        retention: str,
        local_names: Mapping[str, Any],
    ) -> None:
        self.function: Final = function
        self.name: Final = name
        self.step_name = name
        """What a run of it is called as a step of another workflow."""
        self.original: WorkflowDefinition[P, R] = self
        self.version: Final = version
        self.queries: Final = dict(queries)
        self.target: Final = target_of(function)
        self.signature: Final = read_signature(function, local_names)
        if self.signature.given:
            refuse(f"workflow {name!r} cannot take a context: only steps run; give it to a step")
        check_types(function, self.signature)
        self.input_type: Final = input_type(name, self.signature)
        self.output_type: Final = self.signature.returns
        graph, used = self._read(timeout_s, budget, retention)
        self.graph: Final[Graph] = graph
        self.steps: Final[Mapping[str, StepDefinition[Any, Any]]] = {
            name: each for name, each in used.items() if isinstance(each, StepDefinition)
        }
        self.children: Final[Mapping[str, WorkflowDefinition[Any, Any]]] = {
            name: each for name, each in used.items() if isinstance(each, WorkflowDefinition)
        }
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if active_tracer() is not None:
            refuse(
                f"workflow {self.name!r} is called inside a workflow: start it as a child, "
                f"child({self.__name__}, …), or call its steps"
            )
        return self.function(*args, **kwargs)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<workflow {self.name!r} version {self.version!r}, {len(self.graph.nodes)} steps>"

    def named(self, name: str) -> WorkflowDefinition[P, R]:
        """Return this workflow for a use of its own as a child, in a step called `name`."""
        twin = copy.copy(self)
        twin.step_name = name
        return twin

    def check_input(self, data: bytes) -> bytes:
        """Return the canonical bytes of a run's input given as JSON; raise `InvalidInput` naming the field's path."""
        try:
            typed = canonical.decode(data, self.input_type)
        except InvalidInput as error:
            if "[...]" in str(error.facts.get("field", "")):  # a key of a mapping: the schema knows which
                check_against(json.dumps(self.graph.input_schema).encode(), data)
            raise
        return canonical.encode(canonical.settle(typed))

    def _read(self, timeout_s: float | None, budget: Budget | None, retention: str) -> tuple[Graph, Mapping[str, Any]]:
        if active_tracer() is not None:
            refuse(f"workflow {self.name!r} is declared inside another workflow: declare it outside")
        with Tracer(self.signature) as tracer:
            result = self._call(tracer)
        output = tracer.tree(result, self.output_type, f"workflow {self.name!r}", "return", {})
        nodes = tracer.nodes()
        if not nodes:
            raise WorkflowDefinitionError(f"{line_of(self.function)}: workflow {self.name!r} has no steps")
        schema = schema_of(self.input_type)
        graph = Graph(
            nodes=nodes,
            output=output,
            input_schema=schema,
            timeout_s=timeout_s,
            budget=budget,
            retention=retention,
        )
        return graph, {name: call.definition for name, call in tracer.calls.items()}

    def _call(self, tracer: Tracer) -> Any:
        parameters = self.signature.parameters
        proxies = {
            p.name: stand_in(
                tracer,
                Reference(None, () if takes_whole_input(self.signature) else (p.name,)),
                p.type,
                f"the workflow's input {p.name!r}",
            )
            for p in parameters
        }
        positional = [proxies[p.name] for p in parameters if p.positional]
        named = {p.name: proxies[p.name] for p in parameters if not p.positional}
        try:
            return self.function(*positional, **named)
        except KronosError:
            raise
        except Exception as error:
            line = raised_at(error, self.function)
            raise WorkflowDefinitionError(
                f"{line}: reading workflow {self.name!r} raised {type(error).__name__}: {error} (its body is run once "
                f"when it is declared: steps are defined above it, and work is done inside steps)",
                line=line,
            ) from error


def step_names(steps: Sequence[object]) -> list[str]:
    """Return the names of what `after=` was given: names, steps, or results of steps."""
    return [_step_name(one) for one in check_list(steps, "after")]


def check_list(given: Sequence[T], field: str) -> Sequence[T]:
    """Return what an option was given that takes a list; a text is none, though it has items."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        refuse(f"{field}={given!r}: expected a list, as in {field}=[{given!r}]", field=field)
    return given


def _step_name(one: object) -> str:
    if is_proxy(one):
        reference = read(one).reference  # type: ignore[arg-type]
        if reference.step is not None:
            return reference.step
        refuse("after=: the workflow's input is no step", field="after")
    if isinstance(one, StepDefinition):
        return one.name
    if not isinstance(one, str):
        refuse(f"after=: {one!r} is no step: give its name", field="after")
    return one
