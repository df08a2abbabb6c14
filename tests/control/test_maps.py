"""A map is one node and as many steps as there are elements."""

from __future__ import annotations

import threading

import pytest

from kronos import RunFailedError, step, workflow
from kronos.core.inputs import elements_of
from kronos.core.plan import WINDOW
from kronos.errors import WorkflowDefinitionError
from tests.control.conftest import told, until


@step
def numbers(n: int) -> list[int]:
    return list(range(n))


@step
def scaled(number: int, by: float = 2.0) -> float:
    return number * by


@step
def shown(number: float) -> str:
    return f"{number:g}"


@step
def total(values: list[float]) -> float:
    return sum(values)


@workflow(version="1")
def fan(n: int) -> float:
    return total(scaled.map(numbers(n), by=3.0))


def test_each_element_is_a_step_and_the_fan_in_runs_once(engine):
    handle = engine.start(fan, {"n": 4})
    assert handle.result(20) == 18.0
    run = told(engine, handle)
    assert run.steps == {
        "numbers": "completed",
        "scaled": "completed",
        **{f"scaled[{i}]": "completed" for i in range(4)},
        "total": "completed",
    }
    assert run.kinds("scaled") == ["scheduled", "started", "input_recorded", "expanded", "output_recorded", "completed"]
    assert run.began().count("total") == 1
    assert run.began().index("total") == len(run.began()) - 1


def test_the_outputs_of_a_map_are_not_stored_a_second_time(engine):
    handle = engine.start(fan, {"n": 5})
    handle.result(20)
    steps = engine.app.history.state_at(handle.run_id).steps
    assert elements_of(bytes(steps["scaled"].facts.output)) == 5
    assert bytes(steps["scaled[4]"].facts.output) == b"12.0"


def test_a_map_of_nothing_is_an_empty_list(engine):
    handle = engine.start(fan, {"n": 0})
    assert handle.result(20) == 0
    assert told(engine, handle).steps["scaled"] == "completed"


def test_a_map_goes_over_the_runs_input_over_a_literal_and_over_another_map(engine):
    @step
    def joined(left: list[str], right: list[str]) -> list[str]:
        return left + right

    @workflow(version="1")
    def chained(given: list[int]) -> list[str]:
        both = shown.map(scaled.map(given, 10.0))
        return joined(both, shown.named("literal").map([1.5, 2.5]))

    handle = engine.start(chained, {"given": [1, 2]})
    assert handle.result(20) == ["10", "20", "1.5", "2.5"]


def test_maps_nest_and_keep_the_shape_of_their_lists(engine):
    @step
    def pages(sizes: list[int]) -> list[list[int]]:
        return [list(range(size)) for size in sizes]

    @step
    def totals(rows: list[list[float]]) -> list[float]:
        return [sum(row) for row in rows]

    @workflow(version="1")
    def nested(sizes: list[int]) -> list[float]:
        return totals(scaled.map_nested(pages(sizes), by=1.0))

    handle = engine.start(nested, {"sizes": [3, 0, 2]})
    assert handle.result(20) == [3.0, 0.0, 1.0]
    steps = told(engine, handle).steps
    assert {name for name in steps if name.startswith("scaled")} == {
        "scaled", "scaled[0]", "scaled[1]", "scaled[2]",
        "scaled[0][0]", "scaled[0][1]", "scaled[0][2]", "scaled[2][0]", "scaled[2][1]",
    }  # fmt: skip


def test_an_element_fails_and_is_retried_alone(engine):
    @step(retries=2, backoff="1ms")
    def flaky(number: int) -> int:
        calls.append(number)
        if number == 2 and calls.count(2) < 3:
            raise ValueError("not yet")
        return number

    @workflow(version="1")
    def retried(n: int) -> list[int]:
        return flaky.map(numbers(n))

    calls: list[int] = []
    handle = engine.start(retried, {"n": 4})
    assert handle.result(20) == [0, 1, 2, 3]
    assert sorted(calls) == [0, 1, 2, 2, 2, 3]
    assert told(engine, handle).kinds("flaky[2]").count("retried") == 2
    assert "retried" not in told(engine, handle).kinds("flaky[1]")


def test_an_element_that_fails_for_good_fails_the_run_once_its_running_siblings_are_done(engine):
    released = threading.Event()

    @step
    def some(number: int) -> int:
        if number == 1:
            raise ValueError("no such symbol")
        released.wait(10)
        return number

    @workflow(version="1")
    def failing(n: int) -> list[int]:
        return some.map(numbers(n))

    handle = engine.start(failing, {"n": 2})
    run = told(engine, handle)
    until(lambda: "failed" in run.kinds("some[1]"))
    assert not handle.status.phase.is_final
    released.set()
    with pytest.raises(RunFailedError, match=r"failed at step 'some\[1\]': ValueError: no such symbol"):
        handle.result(20)
    assert run.steps["some[0]"] == "completed"


def test_a_value_that_is_no_list_fails_the_map_with_its_reason(engine):
    @step
    def anything():  # type: ignore[no-untyped-def]
        return {"a": 1}

    @workflow(version="1")
    def wrong() -> list[float]:
        return scaled.map(anything())

    with pytest.raises(RunFailedError, match="'scaled' maps over a list, and was given"):
        engine.start(wrong, {}).result(20)


def test_more_elements_than_the_window_are_all_run_once(engine):
    handle = engine.start(fan, {"n": WINDOW + 500})
    count = WINDOW + 500
    assert handle.result(60) == 3.0 * count * (count - 1) / 2
    assert told(engine, handle).kinds().count("completed") == 1


def test_outside_of_a_workflow_a_map_is_a_loop():
    assert scaled.map([1, 2], 5.0) == [5.0, 10.0]
    assert scaled.map_nested([[1], [2, 3]]) == [[2.0], [4.0, 6.0]]
    assert fan(3) == 9.0


def test_a_map_over_the_wrong_type_is_refused_with_its_line():
    with pytest.raises(WorkflowDefinitionError, match=r"test_maps.py:\d+: step 'shown': items\[...\]: expected float"):

        @workflow(version="1")
        def mistyped(names: list[str]) -> list[str]:
            return shown.map(names)

    with pytest.raises(WorkflowDefinitionError, match="items: expected"):

        @workflow(version="1")
        def no_list(n: int) -> list[float]:
            return scaled.map(n)  # type: ignore[misc]


def test_a_map_of_a_step_that_takes_nothing_is_refused():
    @step
    def nothing() -> int:
        return 1

    with pytest.raises(WorkflowDefinitionError, match="no positional parameter"):

        @workflow(version="1")
        def empty(n: int) -> list[int]:
            return nothing.map(numbers(n))  # type: ignore[misc]


def test_of_ten_thousand_elements_the_one_that_failed_is_retried_alone_and_the_fan_in_runs_once(engine):
    broken, ran = [True], list[int]()

    @step
    def measured(number: int) -> int:
        ran.append(number)
        if number == 7_777 and broken[0]:
            raise ValueError("no such symbol")
        return number

    @step
    def summed(numbers: list[int]) -> int:
        return sum(numbers)

    @workflow(version="1")
    def wide(n: int) -> int:
        return summed(measured.map(numbers(n)))

    handle = engine.start(wide, {"n": 10_000})
    with pytest.raises(RunFailedError, match=r"at step 'measured\[7777\]'"):
        handle.result(60)
    completed = sum(status == "completed" for status in told(engine, handle).steps.values()) - 1  # numbers
    assert len(ran) == completed + 1

    broken[0] = False
    again = engine.app.forks.retry(handle.run_id)
    assert engine.app.wait(again, 60).output == b"%d" % sum(range(10_000))
    assert sorted(ran) == sorted([*range(10_000), 7_777])
    assert told(engine, again).began().count("summed") == 1
