"""What was done stays done when the engine is closed and another goes on; and a closed engine leaves nothing behind."""

from __future__ import annotations

import multiprocessing
import threading
import time

import psutil
import psycopg
import pytest

from kronos import Engine, StepContext, step, workflow
from kronos.core.events import Kind
from kronos.core.state import Phase, StepStatus
from kronos.errors import Unavailable
from tests.engine.conftest import facts, kinds


class Scene:
    """Three steps in a row; the second one waits for the gate."""

    def __init__(self) -> None:
        ran = self.ran = list[str]()
        gate = self.gate = threading.Event()
        begun = self.begun = threading.Event()

        @step
        def first() -> int:
            ran.append("first")
            return 1

        @step
        def second(number: int, ctx: StepContext) -> int:
            ran.append(f"second, attempt {ctx.attempt}")
            begun.set()
            gate.wait(20)
            return number + 1

        @step
        def third(number: int) -> int:
            ran.append("third")
            return number + 1

        @workflow(version="1")
        def three() -> int:
            return third(second(first()))

        self.workflow = three


# ── KO04: checkpoints ──


def test_another_engine_goes_on_where_the_first_was_closed_and_done_steps_are_not_run_again(make_engine):
    scene = Scene()
    engine = make_engine(scene.workflow)
    handle = engine.start(scene.workflow, {})
    assert scene.begun.wait(10)
    scene.gate.set()
    engine.close(5)
    at_close = [name.partition(",")[0] for name in scene.ran]

    again = make_engine(scene.workflow)
    assert again.app.wait(handle.run_id, 30).output == b"3"
    assert [name.partition(",")[0] for name in scene.ran] == ["first", "second", "third"]
    assert at_close[:2] == ["first", "second"]
    assert kinds(again.app, handle.run_id, "first").count("step_started") == 1
    again.app.history.verify(handle.run_id)


def test_an_attempt_that_outlived_its_engine_is_recorded_as_lost_and_tried_again(make_engine):
    scene = Scene()
    engine = make_engine(scene.workflow)
    handle = engine.start(scene.workflow, {})
    assert scene.begun.wait(10)
    time.sleep(0.3)  # past the 50 ms after which a running attempt is on record
    engine.close(0)

    again = make_engine(scene.workflow)
    scene.gate.set()
    assert again.app.wait(handle.run_id, 30).output == b"3"
    assert scene.ran == ["first", "second, attempt 1", "second, attempt 2", "third"]
    retried = [event for event in facts(again.app, handle.run_id) if event.kind is Kind.STEP_RETRIED]
    assert [(event.attempt, event.facts.failure.cause) for event in retried] == [(1, "lost")]
    second = again.app.history.state_at(handle.run_id).steps["second"]
    assert (second.status, second.attempt, second.failures) == (StepStatus.COMPLETED, 2, 0)
    again.app.history.verify(handle.run_id)


def test_a_step_that_waits_for_its_retry_is_tried_by_the_next_engine_when_it_is_due(make_engine):
    ran = []

    @step(retries=1, backoff="400ms")
    def fail_once(ctx: StepContext) -> int:
        ran.append(ctx.attempt)
        if ctx.attempt == 1:
            raise ConnectionError("no")
        return 7

    @workflow(version="1")
    def flaky() -> int:
        return fail_once()

    engine = make_engine(flaky)
    handle = engine.start(flaky, {})
    while "step_retried" not in kinds(engine.app, handle.run_id, "fail_once"):
        time.sleep(0.01)
    engine.close(1)
    again = make_engine(flaky)
    assert again.app.wait(handle.run_id, 30).output == b"7"
    assert ran == [1, 2]
    known = facts(again.app, handle.run_id)
    due = next(event.facts.retry_due for event in known if event.kind is Kind.STEP_RETRIED)
    started = [event.facts.started for event in known if event.kind is Kind.STEP_STARTED]
    assert started[1] >= due


def test_large_outputs_are_there_for_the_next_engine(make_engine):
    gate = threading.Event()

    @step
    def large() -> str:
        return "x" * 100_000

    @step
    def measure(text: str) -> int:
        gate.wait(20)
        return len(text)

    @workflow(version="1")
    def measuring() -> int:
        return measure(large())

    engine = make_engine(measuring)
    handle = engine.start(measuring, {})
    while "step_completed" not in kinds(engine.app, handle.run_id, "large"):
        time.sleep(0.01)
    time.sleep(0.2)
    engine.close(0)
    gate.set()
    assert make_engine(measuring).app.wait(handle.run_id, 30).output == b"100000"


# ── promise 1 ──


def test_the_start_of_an_external_step_is_committed_before_its_code_runs(make_engine, database_url):
    seen = []

    @step(effect="external")
    def send_order(ctx: StepContext) -> int:
        with psycopg.connect(database_url) as connection:
            rows = connection.execute(
                "SELECT kind::text FROM kronos.events WHERE run_id = %s AND step = 'send_order'", (ctx.run_id,)
            ).fetchall()
        seen.append(rows)
        return 1

    @workflow(version="1")
    def sending() -> int:
        return send_order()

    assert make_engine(sending).start(sending, {}).result(30) == 1
    assert seen == [[("step_input_recorded",)]]


def test_a_step_begins_only_when_what_it_depends_on_is_committed(make_engine, database_url):
    seen = []

    @step
    def source(number: int) -> int:
        return number

    @step
    def look(number: int, ctx: StepContext) -> int:
        with psycopg.connect(database_url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM kronos.events WHERE run_id = %s AND step = 'source' AND kind = 'step_completed'",
                (ctx.run_id,),
            ).fetchone()
        seen.append(row)
        return number

    @workflow(version="1")
    def looking(number: int) -> int:
        return look(source(number))

    engine = make_engine(looking)
    for handle in engine.start_many(looking, [{"number": n} for n in range(30)]):
        handle.result(30)
    assert seen == [(1,)] * 30


def test_a_run_that_is_told_to_be_over_is_over_in_the_database(make_engine, database_url):
    @step
    def one() -> int:
        return 1

    @workflow(version="1")
    def ones() -> int:
        return one()

    engine = make_engine(ones)
    for _ in range(20):
        run = engine.start(ones, {})
        run.result(30)
        with psycopg.connect(database_url) as connection:
            row = connection.execute(
                "SELECT r.phase::text, r.head_seq, max(e.seq) FROM kronos.runs r JOIN kronos.events e"
                " ON e.run_id = r.id WHERE r.id = %s GROUP BY 1, 2",
                (run.run_id,),
            ).fetchone()
        assert row == ("completed", 7, 7)


# ── leaving ──


def test_a_closed_engine_leaves_no_thread_no_child_no_connection_and_no_server(data_folder):
    threads = set(threading.enumerate())
    children = {child.pid for child in psutil.Process().children(recursive=True)}

    @step
    def one() -> int:
        return 1

    @workflow(version="1")
    def ones() -> int:
        return one()

    with Engine(workflows=[ones], data_dir=data_folder) as engine:
        assert engine.start(ones, {}).result(30) == 1
        url = engine.app.url
    assert {thread.name for thread in set(threading.enumerate()) - threads} == set()
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in children]
    assert [child.name() for child in left if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert multiprocessing.active_children() == []
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2)


def test_a_closed_engine_holds_no_connection(make_engine, database_url):
    scene = Scene()
    scene.gate.set()
    engine = make_engine(scene.workflow)
    engine.start(scene.workflow, {}).result(30)
    engine.close(1)
    mine = (
        "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + 3
    with psycopg.connect(database_url, autocommit=True) as connection:
        while (left := connection.execute(mine).fetchall()) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert left == []


def test_closing_waits_for_what_runs_within_the_grace(make_engine, make_app):
    @step
    def slow() -> int:
        time.sleep(0.5)
        return 1

    @workflow(version="1")
    def slowly() -> int:
        return slow()

    engine = make_engine(slowly)
    handle = engine.start(slowly, {})
    while "step_started" not in kinds(engine.app, handle.run_id, "slow"):
        time.sleep(0.01)
    engine.close(10)
    app = make_app()
    assert kinds(app, handle.run_id, "slow")[-1] == "step_completed"
    assert app.history.run(handle.run_id).owner is None


def test_closing_twice_is_closing_once(make_engine):
    scene = Scene()
    engine = make_engine(scene.workflow)
    engine.close(1)
    engine.close(1)


def test_an_engine_that_cannot_begin_says_why_and_leaves_nothing(tmp_path):
    threads = set(threading.enumerate())
    with pytest.raises(Unavailable, match="does not answer"):
        Engine(database_url="postgresql://nobody@127.0.0.1:1/none", data_dir=tmp_path)
    assert set(threading.enumerate()) == threads


def test_a_pending_run_waits_for_an_engine(make_engine, make_app):
    scene = Scene()
    scene.gate.set()
    app = make_app(scene.workflow)
    run = app.start(scene.workflow, {})
    assert app.history.run(run).phase is Phase.PENDING
    assert app.history.state_at(run).phase is Phase.PENDING
    make_engine(scene.workflow)
    assert app.wait(run, 30).phase is Phase.COMPLETED
