"""A branch takes one of its arms, a loop repeats until it is told to stop; both are on record."""

from __future__ import annotations

import pytest

from kronos import RunFailedError, repeat_until, step, when, workflow
from kronos.errors import WorkflowDefinitionError
from tests.control.conftest import told


@step
def doubled(number: int) -> int:
    return 2 * number


@step
def is_big(number: int) -> bool:
    return number > 10


@step
def note(text: str) -> str:
    return text


@workflow(version="1")
def branching(number: int) -> int | str:
    return when(
        is_big(number),
        then=lambda: note(note.named("draft")("big")),
        otherwise=lambda: doubled(number),
    )


# ── when ──


@pytest.mark.parametrize(
    ("number", "result", "taken", "skipped"),
    [(20, "big", {"note", "draft"}, {"doubled"}), (2, 4, {"doubled"}, {"note", "draft"})],
)
def test_one_arm_runs_and_the_steps_of_the_other_are_recorded_as_skipped(engine, number, result, taken, skipped):
    handle = engine.start(branching, {"number": number})
    assert handle.result(20) == result
    run = told(engine, handle)
    assert {name for name, status in run.steps.items() if status == "skipped"} == skipped
    assert taken <= {name for name, status in run.steps.items() if status == "completed"}
    assert all(run.kinds(name) == ["skipped"] for name in skipped)
    assert run.history.state_at(handle.run_id).steps["when:is_big"].facts.arm == (
        "then" if number > 10 else "otherwise"
    )


def test_what_follows_a_branch_waits_for_the_last_step_of_the_arm(engine):
    @workflow(version="1")
    def followed(number: int) -> str:
        value = when(
            is_big(number), lambda: doubled(number), lambda: doubled.named("again")(doubled.named("one")(number))
        )
        return note(as_text(value))

    handle = engine.start(followed, {"number": 3})
    assert handle.result(20) == "12"
    assert told(engine, handle).began()[-1] == "note"


@step
def as_text(value: int) -> str:
    return str(value)


def test_branches_nest_and_hold_maps_and_loops(engine):
    @workflow(version="1")
    def nested(numbers: list[int], number: int) -> list[int] | int | None:
        return when(
            is_big(number),
            then=lambda: when(
                is_big.named("very_big")(doubled(number)),
                then=lambda: doubled.named("each").map(numbers),
                otherwise=lambda: number,
                name="inner",
            ),
            otherwise=lambda: repeat_until(doubled.named("grow"), is_big.named("enough"), number, max=5),
        )

    deep = engine.start(nested, {"numbers": [1, 2], "number": 11})
    assert deep.result(20) == [2, 4]
    assert {name for name, status in told(engine, deep).steps.items() if status == "skipped"} == {"grow"}
    flat = engine.start(nested, {"numbers": [1, 2], "number": 3})
    assert flat.result(20) == 12
    skipped = {name for name, status in told(engine, flat).steps.items() if status == "skipped"}
    assert skipped == {"doubled", "very_big", "inner", "each"}


def test_an_arm_without_steps_and_an_arm_that_is_absent_give_their_value(engine):
    @workflow(version="1")
    def bare(number: int) -> int | None:
        return when(is_big(number), lambda: number)

    assert engine.start(bare, {"number": 30}).result(20) == 30
    assert engine.start(bare, {"number": 3}).result(20) is None


def test_a_condition_may_be_a_part_of_the_input(engine):
    @workflow(version="1")
    def by_input(*, fast: bool, number: int) -> int:
        return when(fast, lambda: number, lambda: doubled(number))

    assert engine.start(by_input, {"fast": False, "number": 3}).result(20) == 6


def test_the_result_of_a_branch_has_the_types_of_both_arms():
    with pytest.raises(
        WorkflowDefinitionError, match=r"test_branches_and_loops.py:\d+: step 'doubled': number: expected int, got str"
    ):

        @workflow(version="1")
        def joined(number: int) -> int:
            return doubled(when(is_big(number), lambda: number, lambda: note("small")))  # type: ignore[arg-type]


def test_what_an_arm_holds_cannot_be_used_outside_of_it():
    kept = []
    with pytest.raises(WorkflowDefinitionError, match="runs only where 'when:is_big' takes 'then'"):

        @workflow(version="1")
        def leaking(number: int) -> int:
            when(is_big(number), lambda: kept.append(doubled(number)))
            return doubled.named("outside")(kept[0])

    with pytest.raises(
        WorkflowDefinitionError, match="'late' comes after 'doubled', which stands inside 'when:is_big'"
    ):

        @workflow(version="1")
        def ordered(number: int) -> int:
            when(is_big(number), lambda: doubled(number))
            return doubled.named("late", after=["doubled"])(number)


def test_a_condition_that_is_no_bool_and_an_arm_that_is_no_function_are_refused():
    with pytest.raises(WorkflowDefinitionError, match="condition: expected bool, got int"):

        @workflow(version="1")
        def numeric(number: int) -> int:
            return when(doubled(number), lambda: number, lambda: number)  # type: ignore[call-overload,no-any-return]

    with pytest.raises(WorkflowDefinitionError, match="then= takes a function without arguments"):

        @workflow(version="1")
        def called(number: int) -> int:
            return when(is_big(number), doubled(number), lambda: number)  # type: ignore[call-overload,no-any-return]


def test_outside_of_a_workflow_a_branch_is_taken_at_once():
    assert branching(20) == "big"
    assert branching(3) == 6


# ── repeat_until ──


@workflow(version="1")
def growing(number: int) -> int:
    return repeat_until(doubled, is_big, number, max=4)


def test_each_round_is_two_recorded_steps(engine):
    handle = engine.start(growing, {"number": 3})
    assert handle.result(20) == 12
    run = told(engine, handle)
    assert run.began() == ["doubled", "doubled[0]", "doubled[0].is_big", "doubled[1]", "doubled[1].is_big"]
    assert set(run.steps.values()) == {"completed"}


def test_a_loop_that_reaches_its_bound_fails_with_its_name_and_bound(engine):
    handle = engine.start(growing, {"number": 0})
    with pytest.raises(RunFailedError, match=r"at step 'doubled': NotReached: .*max=4 times and 'doubled\[3\].is_big'"):
        handle.result(20)
    assert told(engine, handle).steps["doubled"] == "failed"


def test_a_loop_may_return_its_last_value_at_the_bound(engine):
    @workflow(version="1")
    def patient(number: int) -> int:
        return repeat_until(doubled, is_big, number, max=2, on_max="return")

    assert engine.start(patient, {"number": 1}).result(20) == 4
    assert patient(1) == 4


def test_a_loop_is_checked_when_it_is_declared():
    with pytest.raises(WorkflowDefinitionError, match="max=0: expected a whole number from 1"):

        @workflow(version="1")
        def never(number: int) -> int:
            return repeat_until(doubled, is_big, number, max=0)

    with pytest.raises(
        WorkflowDefinitionError, match=r"'note' is given the result of 'doubled'.*expected str, got int"
    ):

        @workflow(version="1")
        def mistyped(number: int) -> int:
            return repeat_until(doubled, note, number, max=3)  # type: ignore[arg-type]

    with pytest.raises(WorkflowDefinitionError, match="until is <class 'bool'>"):

        @workflow(version="1")
        def foreign(number: int) -> int:
            return repeat_until(doubled, bool, number, max=3)


def test_outside_of_a_workflow_a_loop_repeats_at_once():
    assert growing(3) == 12
    with pytest.raises(RuntimeError, match="max=4"):
        growing(0)
