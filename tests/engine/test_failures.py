"""What fails is tried again as declared, stops at its limit, and ends the run with its reason."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass

import psycopg
import pytest

from kronos import RunFailedError, StepContext, step, workflow
from kronos.core.events import Kind
from kronos.core.state import Phase, StepStatus
from kronos.errors import Conflict, InvalidInput, WorkflowDefinitionError
from kronos.kernel import canonical
from kronos.kernel.hashing import input_digest
from kronos.ports.history import RunFilter
from tests.engine.conftest import facts, kinds


def failure_of(engine, handle):
    with pytest.raises(RunFailedError) as failed:
        handle.result(30)
    return failed.value.run


# ── KO11: retries ──


def test_attempts_are_counted_and_their_gaps_grow(make_engine):
    @step(retries=3, backoff="100ms")
    def flaky(ctx: StepContext) -> int:
        if ctx.attempt < 4:
            raise ConnectionError(f"attempt {ctx.attempt}")
        return ctx.attempt

    @workflow(version="1")
    def stubborn() -> int:
        return flaky()

    engine = make_engine(stubborn)
    handle = engine.start(stubborn, {})
    assert handle.result(30) == 4
    history = [event for event in facts(engine.app, handle.run_id) if event.step == "flaky"]
    started = [event.facts.started for event in history if event.kind is Kind.STEP_STARTED]
    retried = [event for event in history if event.kind is Kind.STEP_RETRIED]
    assert [event.attempt for event in history if event.kind is Kind.STEP_STARTED] == [1, 2, 3, 4]
    assert [event.attempt for event in retried] == [1, 2, 3]
    assert [event.facts.failure.message for event in retried] == ["attempt 1", "attempt 2", "attempt 3"]
    gaps = [(later - event.facts.finished) / 1e9 for event, later in zip(retried, started[1:], strict=True)]
    assert gaps == sorted(gaps)
    for gap, planned in zip(gaps, (0.1, 0.2, 0.4), strict=True):
        assert 0.8 * planned <= gap < 1.2 * planned + 0.25
    for event, later in zip(retried, started[1:], strict=True):
        assert event.facts.retry_due <= later
    assert engine.app.history.state_at(handle.run_id).steps["flaky"].failures == 3


def test_between_attempts_a_step_shows_as_retrying_with_the_time_of_the_next(make_engine):
    @step(retries=1, backoff="30s")
    def fail() -> int:
        raise ValueError("no")

    @workflow(version="1")
    def patient() -> int:
        return fail()

    engine = make_engine(patient)
    handle = engine.start(patient, {})
    engine.app.events_since(handle.run_id, 1, wait_s=10)
    known = engine.app.history.state_at(handle.run_id).steps["fail"]
    assert known.status is StepStatus.RETRYING
    assert 20e9 < known.facts.retry_due - known.facts.finished < 40e9
    engine.app.cancel(handle.run_id)
    assert failure_of(engine, handle).phase is Phase.CANCELLED


def test_an_error_that_says_it_cannot_be_retried_is_not(make_engine):
    ran = []

    class RefusedError(Exception):
        retryable = False

    @step(retries=5, backoff="10ms")
    def refuse() -> int:
        ran.append(1)
        raise RefusedError("never")

    @workflow(version="1")
    def refused() -> int:
        return refuse()

    engine = make_engine(refused)
    assert failure_of(engine, engine.start(refused, {})).failed_step == "refuse"
    assert ran == [1]


# ── KO13: the run fails when its step dies ──


def test_a_run_fails_with_its_step_and_nothing_that_depends_on_it_starts(make_engine):
    ran = []

    @step(retries=1, backoff="10ms")
    def fail() -> int:
        raise ValueError("no prices for AAPL")

    @step
    def use(number: int) -> int:
        ran.append(number)
        return number

    @workflow(version="1")
    def failing() -> int:
        return use(fail())

    engine = make_engine(failing)
    handle = engine.start(failing, {})
    run = failure_of(engine, handle)
    assert (run.phase, run.failed_step) == (Phase.FAILED, "fail")
    assert (run.failure.type, run.failure.message) == ("ValueError", "no prices for AAPL")
    assert "raise ValueError" in run.failure.traceback
    assert "kronos/engine" not in run.failure.traceback
    assert ran == []
    history = facts(engine.app, handle.run_id)
    assert [str(event.kind) for event in history if event.step == "fail" and event.facts.failure][-1] == "step_failed"
    assert history[-1].kind is Kind.RUN_FAILED
    assert history[-1].facts.step == "fail"
    assert engine.app.history.verify(handle.run_id) == history[-1].seq


def test_siblings_that_run_are_finished_and_recorded_before_the_run_fails(make_engine):
    @step
    def fail() -> int:
        raise ValueError("no")

    @step
    def slow() -> int:
        time.sleep(0.3)
        return 7

    @step
    def both(a: int, b: int) -> int:
        return a + b

    @workflow(version="1")
    def mixed() -> int:
        return both(fail(), slow())

    engine = make_engine(mixed)
    handle = engine.start(mixed, {})
    failure_of(engine, handle)
    state = engine.app.history.state_at(handle.run_id)
    assert state.steps["slow"].status is StepStatus.COMPLETED
    assert "both" not in state.steps


def test_a_step_that_exits_fails_alone_and_the_worker_lives(make_engine):
    @step
    def leave() -> int:
        raise SystemExit(3)

    @workflow(version="1")
    def leaving() -> int:
        return leave()

    engine = make_engine(leaving)
    for _ in range(2):
        assert failure_of(engine, engine.start(leaving, {})).failure.type == "SystemExit"


# ── KO34: limits ──


@step(timeout="200ms")
def hang_in_thread(release_after_s: float) -> None:
    time.sleep(release_after_s)


@step(timeout="200ms")
async def hang_in_loop(release_after_s: float) -> None:
    await asyncio.sleep(release_after_s)


@step(timeout="200ms", executor="process")
def hang_in_process(release_after_s: float) -> None:
    time.sleep(release_after_s)


@workflow(version="1")
def hanging_thread(release_after_s: float) -> None:
    hang_in_thread(release_after_s)


@workflow(version="1")
def hanging_loop(release_after_s: float) -> None:
    hang_in_loop(release_after_s)


@workflow(version="1")
def hanging_process(release_after_s: float) -> None:
    hang_in_process(release_after_s)


@pytest.mark.parametrize(
    ("hanging", "hangs_s"),
    [(hanging_thread, 3.0), (hanging_loop, 10.0), (hanging_process, 10.0)],
    ids=["thread", "async", "process"],
)
def test_a_hung_step_fails_at_its_limit(make_engine, hanging, hangs_s):
    engine = make_engine(hanging)
    handle = engine.start(hanging, {"release_after_s": hangs_s})
    run = failure_of(engine, handle)
    assert (run.failure.type, run.failure.cause) == ("StepTimeout", "timeout")
    assert "ran past its limit of 0.2 s" in run.failure.message
    step_facts = engine.app.history.state_at(handle.run_id).steps[run.failed_step].facts
    assert 0.2 <= (step_facts.finished - step_facts.started) / 1e9 < 0.9 * hangs_s


def test_a_timed_out_attempt_is_tried_again_and_its_late_outcome_is_dropped(make_engine):
    release = threading.Event()

    @step(timeout="200ms", retries=1, backoff="10ms")
    def slow_once(ctx: StepContext) -> int:
        if ctx.attempt == 1:
            release.wait(10)
        return ctx.attempt

    @step
    def after(number: int) -> int:
        release.set()
        time.sleep(0.2)
        return number

    @workflow(version="1")
    def slow() -> int:
        return after(slow_once())

    engine = make_engine(slow)
    handle = engine.start(slow, {})
    assert handle.result(30) == 2
    assert kinds(engine.app, handle.run_id, "slow_once").count("step_completed") == 1


def test_a_run_fails_at_its_own_limit_whatever_it_waits_for(make_engine):
    @step(retries=10, backoff="30s")
    def fail() -> int:
        raise ValueError("no")

    @workflow(version="1", timeout="400ms")
    def limited() -> int:
        return fail()

    engine = make_engine(limited)
    for handle in (engine.start(limited, {}), *engine.start_many(limited, [{}])):
        run = failure_of(engine, handle)
        assert (run.failure.type, run.failure.cause) == ("RunTimeout", "timeout")
        assert "limit of 0.4 s" in run.failure.message
        assert 0.4 <= (run.finished_at - run.created_at) / 1e9 < 2


def test_a_limit_given_at_the_start_counts_instead_of_the_declared_one(make_engine):
    @step
    async def nap() -> None:
        await asyncio.sleep(20)

    @workflow(version="1", timeout="1h")
    def long() -> None:
        nap()

    engine = make_engine(long)
    assert failure_of(engine, engine.start(long, {}, timeout_s=0.3)).failure.type == "RunTimeout"
    with pytest.raises(InvalidInput, match=r"timeout=-1.*positive duration"):
        engine.start(long, {}, timeout_s=-1)


# ── cancelling ──


def test_a_running_run_is_cancelled_with_who_and_why(make_engine):
    begun, saw = threading.Event(), []

    @step
    def loop(ctx: StepContext) -> int:
        begun.set()
        deadline = time.monotonic() + 20
        while not ctx.cancelled and time.monotonic() < deadline:
            time.sleep(0.01)
        saw.append(ctx.cancelled)
        return 1

    @workflow(version="1")
    def looping() -> int:
        return loop()

    engine = make_engine(looping)
    handle = engine.start(looping, {})
    assert begun.wait(10)
    asked = time.monotonic()
    engine.app.cancel(handle.run_id, reason="wrong dataset", by="ada")
    run = failure_of(engine, handle)
    assert time.monotonic() - asked < 2
    assert run.phase is Phase.CANCELLED
    last = facts(engine.app, handle.run_id)[-1]
    assert (last.kind, last.facts.reason, last.facts.by) == (Kind.RUN_CANCELLED, "wrong dataset", "ada")
    deadline = time.monotonic() + 5
    while not saw and time.monotonic() < deadline:
        time.sleep(0.01)
    assert saw == [True], "the step was told"
    with pytest.raises(Conflict, match=f"run {handle.run_id} is cancelled already"):
        engine.app.cancel(handle.run_id)


def test_a_run_that_was_cancelled_before_anybody_claimed_it_executes_nothing(make_engine, make_app):
    ran = []

    @step
    def work() -> int:
        ran.append(1)
        return 1

    @workflow(version="1")
    def working() -> int:
        return work()

    app = make_app(working)
    cancelled, kept = app.start(working, {}), app.start(working, {})
    app.cancel(cancelled, reason="mistake")
    make_engine(working)
    assert app.wait(cancelled, 30).phase is Phase.CANCELLED
    assert app.wait(kept, 30).phase is Phase.COMPLETED
    assert ran == [1]
    assert kinds(app, cancelled) == ["run_started", "run_cancelled"]
    assert app.history.verify(cancelled) == 2


def test_cancelling_while_a_run_ends_never_loses_either_word(make_engine):
    @step
    def quick() -> int:
        return 1

    @workflow(version="1")
    def quickly() -> int:
        return quick()

    engine = make_engine(quickly)
    for _ in range(30):
        handle = engine.start(quickly, {})
        try:
            engine.app.cancel(handle.run_id)
            refused = False
        except Conflict:
            refused = True
        run = engine.app.wait(handle.run_id, 30)
        assert run.phase is (Phase.COMPLETED if refused else Phase.CANCELLED)
        engine.app.history.verify(handle.run_id)


# ── KO42: types ──


@dataclass
class Params:
    fast: int
    slow: int


@dataclass
class Request:
    symbol: str
    params: Params


@step
def check(request: Request) -> int:
    return request.params.slow - request.params.fast


@workflow(version="1")
def checked(request: Request) -> int:
    return check(request)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"symbol": "A", "params": {"fast": "ten", "slow": 30}}, "$.params.fast"),
        ({"symbol": "A", "params": {"fast": 10}}, "$.params"),
        ({"symbol": 1, "params": {"fast": 10, "slow": 30}}, "$.symbol"),
        ([], "$"),
        (None, "$"),
    ],
)
def test_a_wrong_input_is_refused_at_submission_with_the_path_of_its_field(make_app, value, field):
    app = make_app(checked)
    with pytest.raises(InvalidInput) as refused:
        app.start(checked, value)
    assert refused.value.facts["field"] == field
    with pytest.raises(InvalidInput):
        app.start_many(checked, [Request("A", Params(1, 2)), value])
    assert app.history.runs(RunFilter()).runs == []


@pytest.mark.parametrize("text", ["", "{", '{"symbol": }', "\x00", '{"a": NaN}', "[" * 100_000])
def test_malformed_json_is_refused_at_submission(make_app, text):
    with pytest.raises(InvalidInput, match="malformed JSON"):
        make_app(checked).start_json("checked", text)


def test_typed_values_arrive_as_their_types(make_engine):
    engine = make_engine(checked)
    assert engine.start(checked, Request("A", Params(10, 30))).result(30) == 20
    assert engine.start(checked, {"symbol": "A", "params": {"fast": 1, "slow": 2}}).result(30) == 1


def test_a_step_that_returns_the_wrong_type_fails_with_the_path_of_the_field(make_engine):
    @step(retries=3)
    def lie() -> Params:
        return {"fast": 1, "slow": "thirty"}  # type: ignore[return-value]

    @workflow(version="1")
    def lying() -> Params:
        return lie()

    engine = make_engine(lying)
    handle = engine.start(lying, {})
    run = failure_of(engine, handle)
    assert run.failure.type == "InvalidInput"
    assert "step 'lie' returned a wrong value: $.slow:" in run.failure.message
    assert kinds(engine.app, handle.run_id, "lie").count("step_started") == 1, "trying again would not help"


def test_what_cannot_be_recorded_fails_its_step_alone(make_engine):
    @step
    def unspeakable() -> object:
        return object()

    @step
    def broken_text() -> str:
        return "\ud800"

    @step
    def with_nul() -> str:
        return "a\x00b"

    @workflow(version="1")
    def one() -> object:
        return unspeakable()

    @workflow(version="1")
    def two() -> str:
        return broken_text()

    @workflow(version="1")
    def three() -> str:
        return with_nul()

    engine = make_engine(one, two, three)
    for bad in (one, two):
        assert failure_of(engine, engine.start(bad, {})).failure.type == "InvalidInput"
    assert engine.start(three, {}).result(30) == "a\x00b"


# ── KO03: the shape of a workflow ──


def test_a_cycle_or_a_missing_step_is_refused_at_registration():
    @step(after=["second"])
    def first() -> None: ...

    @step(after=["first"])
    def second() -> None: ...

    @step(after=["nobody"])
    def third() -> None: ...

    with pytest.raises(WorkflowDefinitionError, match="a cycle: 'first' waits for 'second' waits for 'first'"):

        @workflow(version="1")
        def circular() -> None:
            first()
            second()

    with pytest.raises(WorkflowDefinitionError, match="'third' comes after 'nobody', which is no step"):

        @workflow(version="1")
        def dangling() -> None:
            third()


def test_inputs_are_bound_and_hashed_not_stored(make_engine, database_url):
    secret = "only-in-the-run-input"

    @step
    def first(text: str) -> str:
        return text.upper()

    @step
    def second(text: str) -> int:
        return len(text)

    @workflow(version="1")
    def passing(text: str) -> int:
        return second(first(text))

    engine = make_engine(passing)
    handle = engine.start(passing, {"text": secret})
    handle.result(30)
    state = engine.app.history.state_at(handle.run_id)
    assert state.steps["first"].facts.input == input_digest(canonical.encode({"text": secret}))
    assert state.steps["second"].facts.input == input_digest(canonical.encode({"text": secret.upper()}))
    with psycopg.connect(database_url) as connection:
        (rows,) = connection.execute(
            "SELECT count(*) FROM kronos.events WHERE position(%s::bytea in body) > 0", (secret.encode(),)
        ).fetchone()
    assert rows == 1, "once, in run_started"
