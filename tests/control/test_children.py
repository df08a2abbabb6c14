"""Runs that start runs: children, which are waited for, and successors, which go on."""

from __future__ import annotations

import threading

import psycopg
import pytest

from kronos import Client, Engine, Kronos, RunFailedError, StepContext, child, continue_as_new, step, when, workflow
from kronos.cli.runs_source import DatabaseSource
from kronos.core.state import Phase
from kronos.errors import InvalidInput, WorkflowDefinitionError
from kronos.server import serve
from kronos.settings import Address, Settings
from tests.control.conftest import told, until

GATE = threading.Event()


@step
def doubled(number: int) -> int:
    return 2 * number


@step
def refused(number: int) -> int:
    raise ValueError(f"no {number}")


@step
def held(number: int, ctx: StepContext) -> int:
    while not GATE.wait(0.01) and not ctx.cancelled:
        pass
    return number


@step
def long_text(number: int) -> str:
    return "x" * 20_000


@workflow(version="1")
def twice(number: int, times: int = 2) -> int:
    return doubled(number)


@workflow(version="1")
def parent(number: int) -> int:
    return doubled(child(twice.named("second"), child(twice, number), times=3))


@workflow(version="1")
def failing_child(number: int) -> int:
    return refused(number)


@workflow(version="1")
def wordy(number: int) -> str:
    return long_text(number)


@workflow(version="1")
def slow(number: int) -> int:
    return held(number)


@workflow(version="1")
def slow_parent(number: int) -> int:
    return doubled(child(slow, number))


def runs_of(url, run_id):
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT id::text, child_step, phase::text FROM kronos.runs WHERE child_of = %s ORDER BY id", [run_id]
        ).fetchall()


# ── children ──


def test_a_child_is_a_run_of_its_own_whose_result_is_the_steps(engine, module_database_url):
    handle = engine.start(parent, {"number": 3})
    assert handle.result(20) == 24
    children = runs_of(module_database_url, handle.run_id)
    assert [(name, phase) for _, name, phase in children] == [("twice", "completed"), ("second", "completed")]
    facts = engine.app.history.state_at(handle.run_id).steps["second"].facts
    assert (facts.child, bytes(facts.output)) == (children[1][0], b"12")
    line = engine.app.history.run(children[1][0])
    assert (line.child_of, line.child_step) == (handle.run_id, "second")
    started = engine.app.history.state_at(line.id).facts
    assert (started.child_of, started.child_step, bytes(started.input)) == (
        handle.run_id,
        "second",
        b'{"number":6,"times":3}',
    )
    assert engine.app.history.verify(handle.run_id) > 0


def test_a_child_that_fails_fails_the_step_that_waits_for_it(engine):
    @workflow(version="1")
    def around(number: int) -> int:
        return child(failing_child, number)

    handle = engine.start(around, {"number": 3})
    with pytest.raises(
        RunFailedError, match=r"at step 'failing_child': ChildFailed: child run .* is failed: ValueError: no 3"
    ):
        handle.result(20)


def test_a_large_result_of_a_child_reaches_what_depends_on_it(engine):
    @step
    def length(text: str) -> int:
        return len(text)

    @workflow(version="1")
    def measuring(number: int) -> int:
        return length(child(wordy, number))

    assert engine.start(measuring, {"number": 1}).result(20) == 20_000


def test_children_stand_in_arms_and_a_child_may_be_called_outside_of_a_workflow(engine):
    @step
    def positive(number: int) -> bool:
        return number > 0

    @workflow(version="1")
    def chosen(number: int) -> int:
        return when(positive(number), lambda: child(twice, number), lambda: number)

    assert engine.start(chosen, {"number": 4}).result(20) == 8
    assert engine.start(chosen, {"number": -4}).result(20) == -4
    assert chosen(4) == 8


def test_a_child_that_nobody_registered_fails_its_parent_with_the_reason(engine, module_database_url):
    @workflow(version="1")
    def orphan(number: int) -> int:
        return doubled.named("other")(number)

    @workflow(version="1")
    def hopeful(number: int) -> int:
        return child(orphan, number)

    engine.app.serve(hopeful)
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM kronos.definitions WHERE workflow = 'orphan'")
    with pytest.raises(RunFailedError, match="ValueRefused: the database refused"):
        engine.start(hopeful, {"number": 1}).result(20)


def test_when_a_parent_is_cancelled_its_children_are(engine, module_database_url):
    GATE.clear()
    handle = engine.start(slow_parent, {"number": 1})
    children = until(lambda: runs_of(module_database_url, handle.run_id))
    engine.app.cancel(handle.run_id, reason="enough")
    ended = engine.app.wait(children[0][0], 10)
    assert ended.phase is Phase.CANCELLED
    assert handle.status.phase is Phase.CANCELLED
    last = told(engine, children[0][0]).facts[-1]
    assert last.facts.by == "parent"
    assert handle.run_id in last.facts.reason


def test_a_child_that_is_cancelled_fails_its_parent(engine, module_database_url):
    GATE.clear()
    handle = engine.start(slow_parent, {"number": 1})
    children = until(lambda: runs_of(module_database_url, handle.run_id))
    engine.app.cancel(children[0][0])
    with pytest.raises(RunFailedError, match=r"ChildFailed: child run .* is cancelled"):
        handle.result(10)


def test_a_child_is_declared_like_a_call_of_the_workflow():
    with pytest.raises(
        WorkflowDefinitionError, match=r"test_children.py:\d+: step 'twice': number: expected int, got str"
    ):

        @workflow(version="1")
        def mistyped(name: str) -> int:
            return child(twice, name)  # type: ignore[arg-type]

    with pytest.raises(WorkflowDefinitionError, match="step 'twice' is used twice"):

        @workflow(version="1")
        def again(number: int) -> int:
            return child(twice, child(twice, number))

    with pytest.raises(WorkflowDefinitionError, match="start it as a child"):

        @workflow(version="1")
        def called(number: int) -> int:
            return twice(number)


@pytest.fixture
def make_engine(module_database_url, tmp_path):
    made = []

    def make(*workflows):
        settings = Settings(data_dir=tmp_path, worker_concurrency=4)
        made.append(Engine(workflows=workflows, database_url=module_database_url, settings=settings))
        return made[-1]

    yield make
    for each in made:
        each.close(1)


# ── successors ──


@step
def less(number: int) -> int:
    return number - 1


@step
def is_done(number: int) -> bool:
    return number <= 0


@step
def appended(seen: list[int], number: int) -> list[int]:
    return [*seen, number]


@workflow(version="1")
def counting(number: int, seen: list[int]) -> list[int]:
    after = less(number)
    return when(
        is_done(after), lambda: appended(seen, after), lambda: continue_as_new(after, appended.named("on")(seen, after))
    )


def test_a_run_goes_on_as_a_new_one_and_both_say_so(engine):
    handle = engine.start(counting, {"number": 3, "seen": []})
    assert handle.result(20) == [2, 1, 0]
    history = engine.app.history
    first = history.run(handle.run_id)
    second = history.run(first.continued_by)
    third = history.run(second.continued_by)
    assert (second.continues, third.continues, third.continued_by) == (first.id, second.id, None)
    assert first.phase is second.phase is Phase.COMPLETED
    assert told(engine, handle).kinds()[-2:] == ["continued", "completed"]
    assert told(engine, handle).facts[-2].facts.successor == second.id
    assert history.state_at(second.id).facts.continues == first.id
    assert second.input == b'{"number":2,"seen":[2]}'


def test_kinship_is_shown_by_the_command_line_and_over_grpc(engine, module_database_url, tmp_path):
    handle = engine.start(counting, {"number": 2, "seen": []})
    handle.result(20)
    outer = engine.start(parent, {"number": 1})
    outer.result(20)
    (inner, _, _), _ = runs_of(module_database_url, outer.run_id)
    shown = DatabaseSource(engine.app).get(inner)
    assert (shown["child_of"], shown["child_step"]) == (outer.run_id, "twice")
    assert "child_of" not in DatabaseSource(engine.app).get(outer.run_id)
    free = Address("127.0.0.1", 0)
    settings = Settings(
        database_url=module_database_url, data_dir=tmp_path, grpc_addr=free, admin_addr=free, metrics_addr=free
    )
    with Kronos.open(settings) as app, serve(app) as server, Client(str(server.grpc_address), server.token) as client:
        first = client.get(handle.run_id)
        assert client.get(first.continued_by).continues == handle.run_id
        assert client.get(inner).child_of == outer.run_id
        assert first.child_of is None


def test_a_child_that_continues_is_waited_for_to_its_last_run(engine):
    @workflow(version="1")
    def outer(number: int) -> list[int]:
        return child(counting, number, [])

    handle = engine.start(outer, {"number": 3})
    assert handle.result(20) == [2, 1, 0]
    last = engine.app.history.state_at(handle.run_id).steps["counting"].facts.child
    assert engine.app.history.run(last).continued_by is None


def test_a_successor_needs_an_engine():
    with pytest.raises(InvalidInput, match="needs an engine"):
        counting(3, [])


# ── whoever dies ──


def test_a_child_is_started_once_whenever_its_parents_worker_ends(engine, make_engine, module_database_url, tmp_path):
    GATE.set()
    engine.close(1)
    with Kronos.open(database_url=module_database_url, data_dir=tmp_path, workflows=[slow_parent]) as app:
        for moment in (0, 3, 5):
            run = app.start(slow_parent, {"number": 5})
            first = make_engine(slow_parent)
            until(lambda run=run, moment=moment: len(told(app, run).facts) >= moment)
            first._worker.worker._life.loop.abandon()
            first.close(0)
            second = make_engine(slow_parent)
            assert app.wait(run, 20).output == b"10", moment
            assert len(runs_of(module_database_url, run)) == 1, moment
            second.close(1)
