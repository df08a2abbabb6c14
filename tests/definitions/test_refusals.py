"""What is wrong with a workflow is said when it is declared, with the line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import msgspec
import pytest

from kronos.core.decorators import step, workflow
from kronos.errors import WorkflowDefinitionError


class Params(msgspec.Struct):
    fast: int
    slow: int = 30


class Request(msgspec.Struct):
    symbol: str
    params: Params
    note: str | None = None


@dataclass
class Bars:
    count: int
    closes: list[float]


class Result(msgspec.Struct):
    equity: float


@step
def load(request: Request) -> Bars:
    return Bars(3, [1.0, 2.0, 3.0])


@step
def backtest(bars: Bars, params: Params, *, size: int = 1) -> Result:
    return Result(bars.count * params.fast * size)


@step
def choose(results: list[Result]) -> Result:
    return max(results, key=lambda result: result.equity)


@step
def untyped(value):
    return value


def refusal(body: Callable[..., Any]) -> WorkflowDefinitionError:
    with pytest.raises(WorkflowDefinitionError) as caught:
        workflow(version="1")(body)
    return caught.value


def line_of(body: Callable[..., Any], marker: str) -> str:
    lines, first = inspect.getsourcelines(body)
    return f"{__file__}:{first + next(i for i, line in enumerate(lines) if marker in line)}:"


def test_an_if_on_a_result_is_refused_with_its_line_and_what_to_do_instead():
    def body(request: Request) -> Result:
        result = backtest(load(request), request.params)
        if result.equity > 1:  # MARK
            return result
        return result

    error = refusal(body)
    assert error.message.startswith(line_of(body, "MARK"))
    assert "decide inside a step" in error.message
    assert "the result of step 'backtest'.equity" in error.message


NEEDS_THE_VALUE = {
    "bool": bool,
    "not": lambda p: not p,
    "iteration": list,
    "unpacking": lambda p: [*p],
    "len": len,
    "in": lambda p: 1 in p,
    "equality": lambda p: p == 1,
    "order": lambda p: p < 1,
    "hash": lambda p: {p: 1},
    "str": str,
    "f-string": lambda p: f"{p}",
    "plus": lambda p: p + 1,
    "reflected plus": lambda p: 1 + p,
    "minus": lambda p: -p,
    "int": int,
    "index": lambda p: [1, 2][p],
    "range": range,
    "call": lambda p: p(),
    "isinstance": lambda p: isinstance(p, Result),
    "setattr": lambda p: setattr(p, "equity", 1),
    "setitem": lambda p: exec("p[0] = 1", {"p": p}),
    "with": lambda p: exec("with p: pass", {"p": p}),
    "copy": lambda p: __import__("copy").deepcopy(p),
    "pickle": lambda p: __import__("pickle").dumps(p),
    "sort": lambda p: sorted([p, p]),
    "sum": lambda p: sum([p]),
}


@pytest.mark.parametrize("operation", NEEDS_THE_VALUE.values(), ids=NEEDS_THE_VALUE)
def test_whatever_needs_a_value_that_only_a_run_has_is_refused(operation):
    def body(request: Request) -> Result:
        result = backtest(load(request), request.params)
        operation(result)
        return result

    assert "known only when the workflow runs" in refusal(body).message


def test_a_match_on_a_result_is_refused_instead_of_taking_one_branch():
    def body(request: Request) -> Result:
        result = backtest(load(request), request.params)
        match result:
            case Result():
                return result
        return result

    assert "isinstance() or `match`" in refusal(body).message


def test_a_cycle_through_after_is_spelled_out():
    def body(request: Request) -> Result:
        bars = load.named("load", after=["choose"])(request)
        return choose([backtest(bars, request.params)])

    error = refusal(body)
    assert "a cycle: 'load' waits for 'choose' waits for 'backtest' waits for 'load'" in error.message
    assert error.facts["cycle"] == ["load", "choose", "backtest", "load"]


def test_a_missing_dependency_is_named_with_the_nearest_step():
    def body(request: Request) -> Result:
        return backtest.named("backtest", after=["laod"])(load(request), request.params)  # MARK

    error = refusal(body)
    assert error.message.startswith(line_of(body, "MARK"))
    assert "'laod', which is no step of this workflow (did you mean 'load'?)" in error.message


def test_a_step_used_twice_must_be_named():
    def body(request: Request) -> Result:
        bars = load(request)
        first = backtest(bars, request.params)
        second = backtest(bars, Params(1))
        return choose([first, second])

    assert "used twice" in refusal(body).message
    assert 'backtest.named("backtest-2")(…)' in refusal(body).message


def test_a_result_of_the_wrong_type_is_refused_with_the_path_of_the_field():
    def body(request: Request) -> Result:
        bars = load(request)
        return choose([backtest(bars, request.params), bars])

    assert "step 'choose': results[1]: expected Result, got Bars" in refusal(body).message


def test_a_field_of_the_wrong_type_is_refused():
    def body(request: Request) -> Result:
        return backtest(load(request), request.symbol)

    assert "step 'backtest': params: expected Params, got str" in refusal(body).message


def test_a_literal_of_the_wrong_type_is_refused_with_the_path_of_its_field():
    def body(request: Request) -> Result:
        return backtest(load(request), Params("ten"))

    assert "step 'backtest': params.fast: Expected `int`, got `str`" in refusal(body).message


def test_a_workflow_that_returns_another_type_than_it_says_is_refused():
    def body(request: Request) -> Bars:
        return backtest(load(request), request.params)

    assert "workflow 'body': return: expected Bars, got Result" in refusal(body).message


def test_an_unknown_field_is_refused_with_the_nearest_one():
    def body(request: Request) -> Result:
        return backtest(load(request), request.parms)

    assert "Request has no field 'parms' (did you mean 'params'?): it has symbol, params, note" in refusal(body).message


def test_a_field_of_what_may_be_none_is_refused():
    def body(request: Request) -> Result:
        untyped(request.note.text)
        return backtest(load(request), request.params)

    assert "may be None" in refusal(body).message


def test_too_few_and_unknown_arguments_are_refused_with_the_parameters():
    def few(request: Request) -> Result:
        return backtest(load(request))

    def unknown(request: Request) -> Result:
        return backtest(load(request), request.params, sise=2)

    assert "missing a required argument: 'params'; it takes (bars, params, size)" in refusal(few).message
    assert "no parameter 'sise' (did you mean 'size'?)" in refusal(unknown).message


def test_a_workflow_without_steps_is_refused():
    def body(request: Request) -> str:
        return request.symbol

    assert "has no steps" in refusal(body).message


def test_an_error_while_reading_names_its_line():
    def body(request: Request) -> Result:
        return later(request)  # noqa: F821 - MARK

    error = refusal(body)
    assert error.message.startswith(line_of(body, "MARK"))
    assert "NameError" in error.message


def test_a_result_of_another_workflow_cannot_be_used():
    leaked = []

    @workflow(version="1")
    def first(request: Request) -> Bars:
        leaked.append(load(request))
        return leaked[0]

    def second(request: Request) -> Result:
        return backtest(leaked[0], request.params)

    assert "of another workflow" in refusal(second).message


def test_a_workflow_inside_a_workflow_is_refused():
    @workflow(version="1")
    def inner(request: Request) -> Bars:
        return load(request)

    def outer(request: Request) -> Bars:
        return inner(request)

    assert "or call its steps" in refusal(outer).message


def declare(options: dict[str, Any], function: Callable[..., Any]) -> None:
    declared = step(**options)(function)

    @workflow(version="1")
    def body(x: int) -> int:
        return declared(x)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"effect": "tx"}, "takes no transaction"),
        ({"effect": "magic"}, "one of pure, read, tx, external"),
        ({"executor": "gpu"}, "one of thread, process, async"),
        ({"executor": "async"}, "no `async def` function"),
        ({"executor": "process"}, "local to a function"),
        ({"retries": -1}, "a whole number from 0"),
        ({"retries": 1.5}, "a whole number from 0"),
        ({"timeout": "soon"}, "timeout='soon': expected a positive duration"),
        ({"timeout": 0}, "a positive duration"),
        ({"timeout": True}, "a positive duration"),
        ({"backoff": "10m", "backoff_max": "1m"}, "at most backoff_max"),
        ({"after": "load"}, "expected a list, as in after="),
        ({"name": "a step!"}, None),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_what_is_expected(options, said):
    def local(x: int) -> int:
        return x

    with pytest.raises(WorkflowDefinitionError) as caught:
        declare(options, local)
    assert said is None or said in caught.value.message


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600), ("1.5s", 1.5), ("250ms", 0.25), (timedelta(hours=1), 3600), (2, 2), ("2", 2)]
)
def test_a_duration_is_said_in_words_and_kept_in_seconds(text, seconds):
    @step(timeout=text)
    def limited(x: int) -> int:
        return x

    assert limited.options.timeout_s == seconds


def test_what_a_notebook_cell_defines_cannot_run_in_a_process():
    cell: dict[str, Any] = {}
    exec("def typed_in(x: int) -> int:\n    return x", cell)
    with pytest.raises(WorkflowDefinitionError) as caught:
        step(executor="process")(cell["typed_in"])
    assert "typed into a notebook or prompt" in caught.value.message


def test_generators_and_star_arguments_have_no_single_recorded_value():
    def generates(x: int):
        yield x

    def starred(*values: int) -> int:
        return sum(values)

    for function in (generates, starred):
        with pytest.raises(WorkflowDefinitionError):
            step(function)


def test_an_annotation_that_cannot_be_found_is_named():
    def uses(x: Missing) -> int:  # noqa: F821
        return x

    with pytest.raises(WorkflowDefinitionError, match="names 'Missing', which is not defined"):
        step(uses)


def test_a_literal_type_takes_only_its_values():
    @step
    def side(of: Literal["buy", "sell"]) -> Literal["buy", "sell"]:
        return of

    def body(request: Request) -> str:
        return side("hold")

    assert "of: Invalid enum value 'hold'" in refusal(body).message


class Opaque:
    pass


class Holds(msgspec.Struct):
    inner: dict[str, list[Opaque]]


class Node(msgspec.Struct):
    children: list[Node] = []


def test_a_type_that_json_cannot_carry_is_refused_with_the_path_of_the_field():
    def takes(value: Holds) -> int:
        return 1

    def gives() -> Request | Params:
        return Params(1)

    with pytest.raises(
        WorkflowDefinitionError, match=r"takes: value\.inner\[\.\.\.\]\[\.\.\.\]: Opaque cannot be written"
    ):
        step(takes)
    with pytest.raises(WorkflowDefinitionError, match="gives: return: If a type union contains multiple Struct types"):
        step(gives)


def test_a_type_that_holds_itself_is_recordable():
    @step
    def walks(node: Node, anything: object, many: dict[int, Node | None]) -> Node:
        return node

    assert walks(Node(), 1, {}) == Node()


def one() -> int:
    return 1


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: workflow(one), '@workflow needs a version: write @workflow(version="1")'),
        (lambda: workflow()(one), '@workflow needs a version: write @workflow(version="1")'),
        (lambda: workflow(versoin="1"), "@workflow has no option 'versoin' (did you mean 'version'?)"),
        (lambda: workflow(version="1", queries=[len])(one), "expected functions by name"),
        (lambda: workflow(version="1", budget=5)(one), "budget=5: expected a Budget"),
        (lambda: workflow(version="1", name="")(one), "name '' has 0 characters"),
        (lambda: step(retrys=3), "@step has no option 'retrys' (did you mean 'retries'?)"),
        (lambda: step(one, 3), "@step takes options by name: 3 has none"),
        (lambda: step(after="load")(one), "after='load': expected a list"),
        (lambda: step(depends="data.csv")(one), "depends='data.csv': expected a list"),
        (lambda: step(retry_on=3)(one), "a list of exceptions"),
        (lambda: step(timeout=10**400)(one), "expected a positive duration"),
    ],
)
def test_a_declaration_with_wrong_arguments_is_refused_in_words(declare, said):
    with pytest.raises(WorkflowDefinitionError) as caught:
        declare()
    assert said in caught.value.message
