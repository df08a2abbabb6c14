"""Whatever user code does, an attempt ends in an outcome that says what happened."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from kronos.core.decorators import step
from kronos.core.definition import StepDefinition
from kronos.engine.context import Services, StepContext
from kronos.engine.effects import LiveEffects, RecordedEffects
from kronos.engine.execution import MESSAGE_MAX, TRACEBACK_MAX, execute
from kronos.engine.tasks import Outcome, Task
from kronos.errors import DataError
from kronos.kernel import canonical
from kronos.kernel.ids import RunId, StepName


class Result(msgspec.Struct):
    equity: float
    trades: list[int] = []


@dataclass
class Order:
    price: int
    tags: dict[str, float]


def run(definition: StepDefinition, data: bytes = b"{}", effects: Any = None) -> Outcome:
    ticks, seeds = itertools.count(1_000), itertools.count(1)
    services = Services(
        now_ns=lambda: next(ticks),
        entropy=lambda count: next(seeds).to_bytes(count, "big"),
        effects=lambda _task: effects or LiveEffects(),
    )
    return execute(Task(RunId("run"), StepName("step"), 1, definition.target, data), definition, services)


def test_a_step_gets_typed_arguments_and_leaves_canonical_bytes():
    @step
    def total(order: Order, *, factor: float = 2.0) -> Result:
        assert type(order) is Order
        return Result(order.price * factor, [1])

    outcome = run(total, b'{"order":{"price":3,"tags":{}}}')
    assert (outcome.output, outcome.failure) == (b'{"equity":6.0,"trades":[1]}', None)
    assert outcome.finished_ns > outcome.started_ns


def test_values_that_json_lacks_and_dollar_keys_survive_both_ways():
    @step
    def same(order: Order) -> Order:
        assert math.isnan(order.tags["$x"])
        return order

    data = canonical.encode({"order": Order(1, {"$x": math.nan, "y": math.inf})})
    assert run(same, data).output == canonical.encode(Order(1, {"$x": math.nan, "y": math.inf}))


def test_a_result_of_the_wrong_type_fails_and_names_the_path_and_is_not_retried():
    @step
    def wrong() -> Result:
        return {"equity": 1.0, "trades": [1, "two"]}

    failure = run(wrong).failure
    assert failure.type == "InvalidInput"
    assert "$.trades[1]: Expected `int`, got `str`" in failure.message
    assert not failure.retryable


def test_an_argument_of_the_wrong_type_fails_and_names_the_path():
    @step
    def total(order: Order) -> int:
        return order.price

    failure = run(total, b'{"order":{"price":"3","tags":{}}}').failure
    assert "$.order.price: Expected `int`, got `str`" in failure.message


def test_a_result_that_cannot_be_recorded_fails_with_its_type():
    @step
    def untyped():
        return object()

    assert "value of type object cannot be recorded" in run(untyped).failure.message


def test_a_failure_carries_user_frames_and_no_value_of_a_variable():
    @step
    def leaks() -> int:
        password = "hunter" + str(2)
        assert password
        raise ValueError("bad digits")

    failure = run(leaks).failure
    assert (failure.type, failure.message, failure.retryable) == ("ValueError", "bad digits", True)
    assert 'raise ValueError("bad digits")' in failure.traceback
    assert "hunter2" not in failure.traceback
    assert "kronos/engine" not in failure.traceback


def test_the_cause_of_an_error_is_in_its_traceback_and_long_messages_are_cut():
    @step
    def chained() -> int:
        try:
            {}["inner"]
        except KeyError as error:
            raise ValueError("x" * 100_000) from error

    failure = run(chained).failure
    assert len(failure.message) == MESSAGE_MAX
    assert len(failure.traceback) <= TRACEBACK_MAX


@pytest.mark.parametrize("leaving", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_leaving_the_interpreter_is_a_failure_of_the_step(leaving):
    @step
    def leaves() -> int:
        raise leaving

    assert run(leaves).failure.type == leaving.__name__


def test_an_exception_that_cannot_be_printed_is_still_a_failure():
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    @step
    def raises() -> int:
        raise UnprintableError

    assert run(raises).failure.message == "(its message could not be read: RuntimeError)"


def test_refused_data_is_not_retried_and_an_error_may_say_so_itself():
    class RejectedError(Exception):
        retryable = False

    @step
    def refuses() -> int:
        raise DataError("row 3 is empty")

    @step
    def rejected() -> int:
        raise RejectedError

    assert not run(refuses).failure.retryable
    assert not run(rejected).failure.retryable


def test_a_coroutine_runs_to_its_end():
    @step
    async def waits(x: int) -> int:
        return x + 1

    assert run(waits, b'{"x":1}').output == b"2"


def ask_for_price(symbol: str) -> Order:
    return Order(3, {symbol: 1.0})


@step
def learns(ctx: StepContext) -> list[Any]:
    order = ctx.call(ask_for_price, "A")
    assert type(order) is Order
    return [ctx.now(), ctx.uuid(), ctx.random.random(), ctx.random.random(), order]


def test_a_replay_serves_what_was_learned_and_gives_the_same_output():
    live = run(learns)
    assert [effect.name for effect in live.effects] == ["call", "now", "uuid", "random"]
    again = run(learns, effects=RecordedEffects(live.effects))
    assert (again.output, again.effects) == (live.output, live.effects)
    assert live.output is not None


def test_an_effect_that_the_recording_does_not_know_stops_the_replay_and_is_named():
    live = run(learns)

    @step
    def other(ctx: StepContext) -> str:
        ctx.call(ask_for_price, "B")
        return ""

    failure = run(other, effects=RecordedEffects(live.effects)).failure
    assert failure.type == "EffectBlocked"
    assert "effect 1 is call(" in failure.message
    assert "ask_for_price#" in failure.message
    failure = run(learns, effects=RecordedEffects(live.effects[:1])).failure
    assert failure.message == "effect 2, now(), is not in the recording, which has 1"
    assert not failure.retryable


def test_a_replay_never_asks_the_world():
    asked = []

    def ask() -> int:
        asked.append(1)
        return 7

    @step
    def asks(ctx: StepContext) -> int:
        return ctx.call(ask)

    live = run(asks)
    run(asks, effects=RecordedEffects(live.effects))
    assert asked == [1]


class QuoteError(Exception):
    def __init__(self, symbol: str, *, code: int) -> None:
        super().__init__(symbol, code)


def test_an_error_that_the_world_gave_is_raised_again_in_replay():
    def ask() -> int:
        raise QuoteError("A", code=404)

    @step
    def falls_back(ctx: StepContext) -> str:
        try:
            return str(ctx.call(ask))
        except QuoteError as error:
            return f"no quote: {error.args}"

    live = run(falls_back)
    again = run(falls_back, effects=RecordedEffects(live.effects))
    assert live.output == again.output == b"\"no quote: ('A', 404)\""
    assert [effect.name for effect in again.effects] == ["call!"]
