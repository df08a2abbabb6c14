"""A run that fails or is cancelled undoes what it did, the last thing first."""

from __future__ import annotations

import threading

import pytest

from kronos import Engine, Kronos, RunFailedError, StepContext, step, workflow
from kronos.core.state import Phase
from kronos.errors import Conflict, WorkflowDefinitionError
from kronos.settings import Settings
from tests.control.conftest import told, until

UNDONE: list[str] = []
GATE = threading.Event()
HELD = threading.Event()


@step(retries=1, backoff="1ms")
def unbook(booking: str, ctx: StepContext) -> str:
    UNDONE.append(booking)
    if booking == "hotel" and ctx.attempt == 1:
        raise ConnectionError("try again")
    if booking == "stubborn":
        raise ValueError("it cannot be undone")
    return f"no {booking}"


@step(compensate=unbook)
def book(what: str) -> str:
    return what


@step
def fail(bookings: list[str]) -> int:
    raise ValueError("no money")


@step
def hold(bookings: list[str], ctx: StepContext) -> int:
    HELD.set()
    while not GATE.wait(0.005) and not ctx.cancelled:
        pass
    return 1


@workflow(version="1")
def failing_trip(what: str) -> int:
    flight = book.named("flight")("flight")
    hotel = book.named("hotel", after=["flight"])("hotel")
    last = book.named("last", after=["hotel"])(what)
    return fail([flight, hotel, last])


@workflow(version="1")
def held_trip(cities: list[str]) -> int:
    return hold(book.map(cities))


@pytest.fixture(autouse=True)
def clean():
    UNDONE.clear(), GATE.clear(), HELD.clear()


def test_completed_steps_are_undone_in_reverse_order_and_the_run_fails_with_its_own_reason(engine):
    handle = engine.start(failing_trip, {"what": "car"})
    with pytest.raises(RunFailedError, match="is failed at step 'fail': ValueError: no money"):
        handle.result(20)
    assert UNDONE == ["car", "hotel", "hotel", "flight"]
    run = told(engine, handle)
    assert run.began()[-4:] == ["undo:last", "undo:hotel", "undo:hotel", "undo:flight"]
    assert run.kinds()[-2:] == ["compensating", "failed"]
    facts = run.facts
    compensating = next(i for i, fact in enumerate(facts) if fact.kind == "run_compensating")
    assert all(not fact.step.startswith("undo:") for fact in facts[:compensating])
    assert bytes(run.history.state_at(handle.run_id).steps["undo:flight"].facts.output) == b'"no flight"'
    assert run.history.verify(handle.run_id) > 0


def test_an_undo_that_fails_for_good_is_recorded_and_the_others_go_on(engine):
    handle = engine.start(failing_trip, {"what": "stubborn"})
    with pytest.raises(RunFailedError, match="ValueError: no money"):
        handle.result(20)
    steps = told(engine, handle).steps
    assert (steps["undo:last"], steps["undo:hotel"], steps["undo:flight"]) == ("failed", "completed", "completed")


def test_a_cancelled_run_waits_for_what_runs_and_undoes_each_element_of_a_map(engine):
    handle = engine.start(held_trip, {"cities": ["Rome", "Oslo"]})
    assert HELD.wait(10)
    engine.app.cancel(handle.run_id, reason="rain", by="me")
    ended = engine.app.wait(handle.run_id, 20)
    assert ended.phase is Phase.CANCELLED
    assert sorted(UNDONE) == ["Oslo", "Rome"]
    run = told(engine, handle)
    assert {name for name in run.steps if name.startswith("undo:")} == {"undo:book[0]", "undo:book[1]"}
    assert (run.facts[-1].facts.reason, run.facts[-1].facts.by) == ("rain", "me")


def test_a_run_that_completes_undoes_nothing(engine):
    GATE.set()
    handle = engine.start(held_trip, {"cities": ["Rome"]})
    assert handle.result(20) == 1
    assert UNDONE == []
    assert told(engine, handle).steps.keys() == {"book", "book[0]", "hold"}


def test_what_was_undone_is_not_kept_by_a_retry(engine):
    handle = engine.start(failing_trip, {"what": "car"})
    with pytest.raises(RunFailedError):
        handle.result(20)
    with pytest.raises(Conflict, match="has undone what it did"):
        engine.app.forks.retry(handle.run_id)


def test_what_undoes_must_be_a_step_that_takes_the_result():
    with pytest.raises(WorkflowDefinitionError, match="compensate="):
        step(compensate=print)(lambda: 1)  # type: ignore[call-overload]

    @step
    def undo_number(number: int) -> None: ...

    @step(compensate=undo_number)
    def named(name: str) -> str:
        return name

    with pytest.raises(
        WorkflowDefinitionError, match=r"test_compensation.py:\d+: step 'undo_number': number: expected int"
    ):

        @workflow(version="1")
        def mistyped(name: str) -> str:
            return named(name)


def test_whoever_takes_over_goes_on_undoing(module_database_url, tmp_path, engine):
    engine.close(1)
    gate, here = threading.Event(), threading.Event()
    undone: list[str] = []

    @step
    def undo(name: str) -> None:
        undone.append(name)
        if name == "b" and undone.count("b") == 1:
            here.set()
            gate.wait(10)

    @step(compensate=undo)
    def do(name: str) -> str:
        return name

    @step
    def stop(names: list[str]) -> None:
        raise ValueError("enough")

    @workflow(version="1")
    def undoing() -> None:
        a = do.named("a")("a")
        b = do.named("b", after=["a"])("b")
        stop([a, b, do.named("c", after=["b"])("c")])

    def make():
        settings = Settings(data_dir=tmp_path, worker_concurrency=2)
        return Engine(workflows=[undoing], database_url=module_database_url, settings=settings)

    with Kronos.open(database_url=module_database_url, data_dir=tmp_path) as app:
        first = make()
        run = first.start(undoing, {}).run_id
        assert here.wait(10)
        until(lambda: told(app, run).steps.get("undo:c") == "completed")
        first._worker.worker._life.loop.abandon()
        gate.set()
        first.close(0)
        second = make()
        assert app.wait(run, 20).phase is Phase.FAILED
        second.close(1)
        assert undone == ["c", "b", "b", "a"]
        assert {told(app, run).steps[f"undo:{name}"] for name in "abc"} == {"completed"}
        assert told(app, run).kinds().count("compensating") == 1
