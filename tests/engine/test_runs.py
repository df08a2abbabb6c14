"""A run is started, and goes on unaided to its end."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest

from kronos import RunFailedError, step, workflow
from kronos.core.events import Kind
from kronos.core.state import Phase, StepStatus, fold
from kronos.errors import Conflict, InvalidInput, NotFound
from kronos.kernel import canonical
from kronos.kernel.ids import parse_run_id
from kronos.ports.history import RunFilter
from tests.engine.conftest import facts, kinds


@step
def add(a: int, b: int) -> int:
    return a + b


@step
def square(number: int) -> int:
    return number * number


@workflow(version="1")
def hypotenuse_squared(a: int, b: int) -> int:
    return add(square.named("a-squared")(a), square.named("b-squared")(b))


# ── KO01, KO43: start, and steps run unaided; engine, worker and submission in one process ──


def test_a_started_run_has_an_id_at_once_and_its_steps_execute_unaided(make_engine):
    engine = make_engine(hypotenuse_squared)
    handle = engine.start(hypotenuse_squared, {"a": 3, "b": 4})
    assert parse_run_id(handle.run_id) == handle.run_id
    assert handle.result(30) == 25
    line = handle.status
    assert (line.phase, line.workflow, line.version) == (Phase.COMPLETED, "hypotenuse_squared", "1")
    assert line.created_at <= line.started_at <= line.finished_at


def test_a_finished_run_has_its_whole_history(make_engine):
    engine = make_engine(hypotenuse_squared)
    handle = engine.start(hypotenuse_squared, {"a": 3, "b": 4})
    handle.result(30)
    history = facts(engine.app, handle.run_id)
    assert [event.seq for event in history] == list(range(1, len(history) + 1))
    assert history[0].kind is Kind.RUN_STARTED
    assert history[-1].kind is Kind.RUN_COMPLETED
    for name in ("a-squared", "b-squared", "add"):
        assert kinds(engine.app, handle.run_id, name) == [
            "step_scheduled",
            "step_started",
            "step_input_recorded",
            "step_output_recorded",
            "step_completed",
        ]
    assert engine.app.history.verify(handle.run_id) == len(history)


def test_many_runs_started_at_once_each_have_their_own_result(make_engine):
    engine = make_engine(hypotenuse_squared)
    handles = engine.start_many(hypotenuse_squared, [{"a": n, "b": 1} for n in range(300)])
    assert [handle.result(60) for handle in handles] == [n * n + 1 for n in range(300)]
    assert engine.app.start_many(hypotenuse_squared, []) == []


def test_the_state_at_every_seq_of_a_real_run_is_the_fold_of_what_had_happened(make_engine):
    engine = make_engine(hypotenuse_squared)
    handle = engine.start(hypotenuse_squared, {"a": 3, "b": 4})
    handle.result(30)
    history = facts(engine.app, handle.run_id)
    for seq in range(len(history) + 1):
        state = engine.app.history.state_at(handle.run_id, seq)
        assert state == fold(handle.run_id, history[:seq])
        happened = {event.step for event in history[:seq] if event.kind is Kind.STEP_OUTPUT_RECORDED}
        shown = {name for name, known in state.steps.items() if known.facts.output}
        assert shown == happened
        done = {event.step for event in history[:seq] if event.kind is Kind.STEP_COMPLETED}
        assert {name for name, known in state.steps.items() if known.status is StepStatus.COMPLETED} == done
    assert engine.app.history.state_at(handle.run_id).phase is Phase.COMPLETED
    for seq in (-1, len(history) + 1):
        with pytest.raises(InvalidInput, match=f"seq {seq} is"):
            engine.app.history.state_at(handle.run_id, seq)


# ── KO02: branches overlap, and the join runs once ──


def test_branches_overlap_and_their_join_runs_once(make_engine):
    together, joined = threading.Barrier(3), []

    @step
    def branch(number: int) -> int:
        together.wait(20)  # passes only when all three branches are here at one time
        return number

    @step
    def join(a: int, b: int, c: int) -> int:
        joined.append((a, b, c))
        return a + b + c

    @workflow(version="1")
    def fan(number: int) -> int:
        return join(branch.named("x")(number), branch.named("y")(number), branch.named("z")(number))

    engine = make_engine(fan)
    handle = engine.start(fan, {"number": 7})
    assert handle.result(30) == 21
    assert joined == [(7, 7, 7)]
    state = engine.app.history.state_at(handle.run_id)
    begun = [state.steps[name].facts.started for name in ("x", "y", "z")]
    ended = [state.steps[name].facts.finished for name in ("x", "y", "z")]
    assert max(begun) < min(ended)
    assert state.steps["join"].facts.started >= max(ended)


def test_what_comes_after_without_taking_data_waits_all_the_same(make_engine):
    order = []

    @step
    def first() -> None:
        time.sleep(0.05)
        order.append("first")

    @step(after=["first"])
    def second() -> None:
        order.append("second")

    @workflow(version="1")
    def ordered() -> None:
        second()
        first()

    assert make_engine(ordered).start(ordered, {}).result(30) is None
    assert order == ["first", "second"]


def test_steps_of_many_runs_share_few_threads(make_engine):
    busy, most, lock = 0, 0, threading.Lock()

    @step
    def hold() -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.01)
        with lock:
            busy -= 1

    @workflow(version="1")
    def holding() -> None:
        hold()

    engine = make_engine(holding, worker_concurrency=2)
    for handle in engine.start_many(holding, [{}] * 20):
        handle.result(30)
    assert most == 2


# ── coroutines ──


def test_coroutine_steps_run_at_once_in_great_number(make_engine):
    import asyncio

    @step
    async def nap(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @workflow(version="1")
    def napping(seconds: float) -> float:
        return nap(seconds)

    engine = make_engine(napping, worker_concurrency=1)
    began = time.monotonic()
    handles = engine.start_many(napping, [{"seconds": 0.3}] * 30)
    assert [handle.result(30) for handle in handles] == [0.3] * 30
    assert time.monotonic() - began < 5, "one after the other they take 9 s"


# ── values ──


@dataclass
class Report:
    sharpe: float
    worst: float
    curve: list[float]


def test_a_nan_survives_from_step_to_step_to_result(make_engine):
    seen = []

    @step
    def measure() -> Report:
        return Report(math.nan, -math.inf, [math.inf, -0.0, 1e-300])

    @step
    def look(report: Report) -> Report:
        seen.append(report)
        return report

    @workflow(version="1")
    def measured() -> Report:
        return look(measure())

    result = make_engine(measured).start(measured, {}).result(30)
    for report in (result, *seen):
        assert isinstance(report, Report)
        assert math.isnan(report.sharpe)
        assert report.worst == -math.inf
        assert report.curve == [math.inf, -0.0, 1e-300]
        assert math.copysign(1, report.curve[1]) == -1


def test_large_values_become_blobs_and_come_back_whole(make_engine, database_url):
    import psycopg

    @step
    def grow(seed: str) -> str:
        return seed * 3

    @step
    def length(text: str) -> int:
        return len(text)

    @workflow(version="1")
    def growing(seed: str) -> dict:
        grown = grow(seed)
        return {"text": grown, "length": length(grown)}

    engine = make_engine(growing)
    seed = "é" * 20_000
    handle = engine.start(growing, {"seed": seed})
    assert handle.result(30) == {"text": seed * 3, "length": 60_000}
    state = engine.app.history.state_at(handle.run_id)
    stored = bytes(state.steps["grow"].facts.output)
    assert stored.startswith(b'{"$blob":')
    assert canonical.decode(engine.app.history.payload(stored)) == seed * 3
    assert bytes(state.facts.input).startswith(b'{"$blob":')
    assert canonical.decode(engine.app.history.payload(state.facts.input)) == {"seed": seed}
    with psycopg.connect(database_url) as connection:
        (largest,) = connection.execute("SELECT max(length(body)) FROM kronos.events").fetchone()
        (refs,) = connection.execute(
            "SELECT count(*) FROM kronos.blob_refs WHERE kind = 'run' AND owner = %s", (handle.run_id,)
        ).fetchone()
    assert largest < 9_000
    assert refs == 3


def test_the_smallest_values_go_through_too(make_engine):
    @step
    def same(value: Any) -> Any:
        return value

    @workflow(version="1")
    def echo(value: Any) -> Any:
        return same(value)

    engine = make_engine(echo)
    for value in (None, "", 0, [], {}, {"$blob": "x"}, {"$float": "nan"}, "\x00", "\u2028", 2**70):
        assert engine.start(echo, value).result(30) == value


# ── asking for what is not there ──


def test_an_unknown_workflow_lists_the_known_ones(make_engine, make_app):
    make_engine(hypotenuse_squared)
    app = make_app()
    with pytest.raises(NotFound, match="'hypotenuse' is not registered; known: hypotenuse_squared"):
        app.start("hypotenuse", {})
    with pytest.raises(NotFound, match="has no version '7'; known: 1"):
        app.start("hypotenuse_squared", {}, version="7")


def test_an_unknown_run_is_not_found_by_anyone(make_app):
    app = make_app()
    ghost = "01890a5d-ac96-774b-bcce-b302099a8057"
    for ask in (
        app.history.run,
        app.history.events,
        app.history.state_at,
        lambda run: app.history.state_at(run, 0),
        app.cancel,
        lambda run: app.wait(run, 1),
    ):
        with pytest.raises(NotFound, match=f"no run {ghost}"):
            ask(ghost)


def test_a_run_can_be_started_by_name_without_its_code(make_engine, make_app):
    make_engine(hypotenuse_squared)
    app = make_app()
    assert app.wait(app.start("hypotenuse_squared", {"a": 6, "b": 8}), 30).output == b"100"
    with pytest.raises(InvalidInput, match=r"cannot be started with .*: \$\.b: ") as refused:
        app.start("hypotenuse_squared", {"a": 6, "b": "eight"})
    assert refused.value.facts["field"] == "$.b"
    with pytest.raises(InvalidInput, match=r"'b' is a required property|required"):
        app.start_json("hypotenuse_squared", '{"a": 6}')


def test_runs_are_listed_newest_first_in_pages_and_by_filter(make_app):
    app = make_app(hypotenuse_squared)
    ids = app.start_many(hypotenuse_squared, [{"a": n, "b": n} for n in range(7)])
    app.cancel(ids[0])
    first = app.history.runs(RunFilter(limit=4))
    assert [run.id for run in first.runs] == ids[:2:-1]
    rest = app.history.runs(RunFilter(limit=4, before=first.next_before))
    assert [run.id for run in rest.runs] == ids[2::-1]
    assert rest.next_before is None
    assert app.history.runs(RunFilter(phases=(Phase.COMPLETED,))).runs == []
    assert len(app.history.runs(RunFilter(phases=(Phase.PENDING,), workflow="hypotenuse_squared")).runs) == 7
    assert app.history.runs(RunFilter(workflow="other")).runs == []
    for limit in (0, 1_001):
        with pytest.raises(InvalidInput, match="limit"):
            app.history.runs(RunFilter(limit=limit))


# ── waiting ──


def test_waiting_is_bounded_and_says_where_the_run_stands(make_app):
    app = make_app(hypotenuse_squared)
    run = app.start(hypotenuse_squared, {"a": 1, "b": 1})
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=f"run {run} is pending after 0.2 s"):
        app.wait(run, 0.2)
    assert 0.15 < time.monotonic() - began < 10


def test_a_waiter_in_another_process_is_woken_by_the_end(make_engine, make_app):
    gate = threading.Event()

    @step
    def wait_for_gate() -> int:
        gate.wait(20)
        return 1

    @workflow(version="1")
    def gated() -> int:
        return wait_for_gate()

    engine, app = make_engine(gated), make_app()
    handle = engine.start(gated, {})
    seen = []
    waiter = threading.Thread(target=lambda: seen.append((app.wait(handle.run_id, 30), time.monotonic())))
    waiter.start()
    time.sleep(0.1)
    gate.set()
    handle.result(30)
    told = time.monotonic()
    waiter.join(30)
    assert seen[0][0].phase is Phase.COMPLETED
    assert seen[0][1] - told < 20, "it looks by itself once a minute"


def test_new_events_are_waited_for(make_engine):
    engine = make_engine(hypotenuse_squared)
    handle = engine.start(hypotenuse_squared, {"a": 1, "b": 1})
    after = 0
    while not (handle.status.phase.is_final and after == handle.status.head_seq):
        for event in engine.app.events_since(handle.run_id, after, wait_s=2):
            after = event.seq
    assert [e.seq for e in engine.app.events_since(handle.run_id, after, wait_s=0)] == []
    assert after <= handle.status.head_seq


# ── two workers ──


def test_two_workers_share_the_work_and_no_step_runs_twice(make_engine):
    ran: list[int] = []

    @step
    def note(number: int) -> int:
        ran.append(number)
        time.sleep(0.002)
        return number

    @workflow(version="1")
    def noting(number: int) -> int:
        return note(number)

    first, second = make_engine(noting), make_engine(noting)
    handles = first.start_many(noting, [{"number": n} for n in range(400)])
    assert [handle.result(60) for handle in handles] == list(range(400))
    assert sorted(ran) == list(range(400))
    workers = {
        known.facts.worker for handle in handles for known in first.app.history.state_at(handle.run_id).steps.values()
    }
    assert workers == {first._worker.worker.incarnation, second._worker.worker.incarnation}


def test_a_workflow_that_nobody_serves_waits_until_somebody_does(make_engine, make_app):
    app = make_app(hypotenuse_squared)
    run = app.start(hypotenuse_squared, {"a": 1, "b": 2})
    engine = make_engine()
    time.sleep(0.3)
    assert app.history.run(run).phase is Phase.PENDING
    engine.app.serve(hypotenuse_squared)
    assert app.wait(run, 30).output == b"5"


def test_two_functions_of_one_name_are_refused(make_engine):
    def declare(result):
        @step
        def answer() -> int:
            return result

        @workflow(version="1")
        def answering() -> int:
            return answer()

        return answering

    engine = make_engine(declare(1))
    with pytest.raises(Conflict, match="two functions are called"):
        engine.app.serve(declare(2))


def test_a_failed_result_is_an_error_that_names_run_step_and_cause(make_engine):
    @step
    def fail() -> int:
        raise ValueError("no prices")

    @workflow(version="1")
    def failing() -> int:
        return fail()

    handle = make_engine(failing).start(failing, {})
    with pytest.raises(RunFailedError, match=f"run {handle.run_id} is failed at step 'fail': ValueError: no prices"):
        handle.result(30)
