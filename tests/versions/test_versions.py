"""A run stays with the version under which it began, until somebody moves it and its history allows that."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kronos import Kronos, step, workflow
from kronos.app import WorkerProcess
from kronos.cli import main
from kronos.core.adoption import check_adoption
from kronos.core.events import Kind
from kronos.core.state import StepState, StepStatus
from kronos.errors import Conflict, NotFound

gate = threading.Event()
calls: list[str] = []


@step(name="first")
def first_old(number: int) -> int:
    calls.append("first old")
    return number + 1


@step(name="second")
def second_old(number: int) -> str:
    calls.append("second old")
    gate.wait(20)
    return f"old {number}"


@workflow(version="1", name="deployed")
def deployed_old(number: int) -> str:
    return second_old(first_old(number))


@step(name="second")
def second_new(number: int) -> str:
    calls.append("second new")
    return f"new {number}"


@workflow(version="2", name="deployed")
def deployed_new(number: int) -> str:
    return second_new(first_old(number))


@step
def check(number: int) -> int:
    return number


@workflow(version="3", name="deployed")
def deployed_with_a_check_before(number: int) -> str:
    return second_new(first_old(check(number)))


@workflow(version="4", name="deployed")
def deployed_without_first(number: int) -> str:
    return second_new(number)


@step(name="first")
def first_of_text(text: str) -> int:
    return len(text)


@workflow(version="5", name="deployed")
def deployed_with_another_input(text: str) -> str:
    return second_new(first_of_text(text))


@pytest.fixture(autouse=True)
def _closed_gate() -> Iterator[None]:
    gate.clear()
    calls.clear()
    yield
    gate.set()


@pytest.fixture
def make_app(database_url: str, tmp_path: Path) -> Iterator[Any]:
    made: list[Kronos] = []

    def make(*workflows: Any) -> Kronos:
        made.append(Kronos.open(database_url=database_url, data_dir=tmp_path, workflows=workflows))
        return made[-1]

    yield make
    for app in made:
        app.close()


def until(holds: Any, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def begun_and_given_back(app: Kronos) -> str:
    """Return a run whose first step is done and whose second was under way when its worker left."""
    worker: WorkerProcess = app.worker(name="old").start()
    run = app.start(deployed_old, {"number": 1})
    until(lambda: "second old" in calls)
    until(lambda: "first" in app.history.state_at(run).steps and "second" in app.history.state_at(run).steps)
    worker.stop(0.05)
    return run


def test_a_run_finishes_on_its_version_while_new_ones_begin_on_the_next(make_app: Any) -> None:
    old = make_app(deployed_old)
    old_worker = old.worker(name="old").start()
    pinned = old.start("deployed", {"number": 1})
    until(lambda: "second old" in calls)
    new = make_app(deployed_new)
    new_worker = new.worker(name="new").start()
    fresh = new.start("deployed", {"number": 1})
    assert new.wait(fresh, 10).output == b'"new 2"'
    until(lambda: all(each.workers for each in new.workflows.versions("deployed")))
    two, one = new.workflows.versions("deployed")
    assert (two.version, two.open, two.workers) == ("2", 0, ("new",))
    assert (one.version, one.open, one.running, one.workers) == ("1", 1, 1, ("old",))
    gate.set()
    finished = new.wait(pinned, 10)
    assert (finished.output, finished.version) == (b'"old 2"', "1")
    assert new.history.run(fresh).version == "2"
    old_worker.stop()
    new_worker.stop()


def test_an_adopted_run_goes_on_under_the_new_code_and_its_done_steps_are_not_run_again(make_app: Any) -> None:
    app = make_app(deployed_old)
    run = begun_and_given_back(app)
    later = make_app(deployed_new)
    adopted = later.workflows.adopt(run, "2", by="me", reason="the fix")
    worker = later.worker(name="new").start()
    ended = later.wait(run, 10)
    worker.stop()
    assert (ended.output, ended.version, ended.definition) == (b'"new 2"', "2", adopted.id)
    assert calls == ["first old", "second old", "second new"]
    events = later.history.events(run)
    (note,) = [event for event in events if event.kind is Kind.RUN_ADOPTED]
    assert (note.facts.version, note.facts.by, note.facts.reason) == ("2", "me", "the fix")
    done = {event.step: event.facts.code for event in events if event.kind is Kind.STEP_COMPLETED}
    assert done["second"] == adopted.codes["second"]
    assert later.history.state_at(run).facts.version == "2"
    later.history.verify(run)


def test_a_run_that_never_began_is_adopted_too(make_app: Any) -> None:
    app = make_app(deployed_old, deployed_with_a_check_before)
    run = app.start(deployed_old, {"number": 1})
    app.workflows.adopt(run, "3")
    worker = app.worker().start()
    assert app.wait(run, 10).output == b'"new 2"'
    worker.stop()


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (deployed_without_first, "step 'first': the new version has no such step"),
        (deployed_with_a_check_before, "step 'first': it is over, and in the new version it waits for 'check'"),
        (deployed_with_another_input, "its input does not fit the new version"),
    ],
)
def test_a_run_whose_history_does_not_fit_is_not_moved(make_app: Any, target: Any, says: str) -> None:
    app = make_app(deployed_old, target)
    run = begun_and_given_back(app)
    with pytest.raises(Conflict, match=says):
        app.workflows.adopt(run, target.version)
    assert app.history.run(run).version == "1"


def test_a_run_in_the_hands_of_a_worker_or_over_is_not_moved(make_app: Any) -> None:
    app = make_app(deployed_old, deployed_new)
    worker = app.worker().start()
    run = app.start(deployed_old, {"number": 1})
    until(lambda: "second old" in calls)
    with pytest.raises(Conflict, match="in the hands of a worker"):
        app.workflows.adopt(run, "2")
    with pytest.raises(NotFound, match="no version '9'; known: "):
        app.workflows.adopt(run, "9")
    with pytest.raises(Conflict, match="of version '1' already"):
        app.workflows.adopt(run, "1")
    gate.set()
    app.wait(run, 10)
    with pytest.raises(Conflict, match="is completed"):
        app.workflows.adopt(run, "2")
    worker.stop()


def test_a_step_that_changed_its_kind_is_no_place_for_its_history() -> None:
    old, new = deployed_old.graph, deployed_new.graph
    node = new.by_name["first"]
    other = type(new)(nodes=(type(node)(**{**_fields(node), "kind": "timer"}), new.by_name["second"]))
    state = StepState(status=StepStatus.RUNNING, attempt=1, facts=_no_facts())
    check_adoption({"first": state}, old, new)
    with pytest.raises(Conflict, match="it was a step and is a timer"):
        check_adoption({"first": state}, old, other)


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def _no_facts() -> Any:
    from kronos.core.events import StepFacts

    return StepFacts()


def test_versions_are_listed_and_runs_moved_from_a_terminal(
    make_app: Any,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("KRONOS_DATA_DIR", str(tmp_path))

    def kronos(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(words)
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out + said.err

    run = make_app(deployed_old, deployed_new).start(deployed_old, {"number": 1})
    code, listed = kronos("workflows", "show", "deployed", "--json")
    assert code == 0
    assert [(each["version"], each["pending"]) for each in json.loads(listed)] == [("2", 0), ("1", 1)]
    assert kronos("workflows", "adopt", run, "--to", "7")[0] == 2
    code, said = kronos("workflows", "adopt", run, "--to", "2", "--reason", "because")
    assert code == 0
    assert "goes on as deployed 2" in said
    assert "no worker serves that version" in said
    assert "deployed" in kronos("workflows", "list")[1]
    assert kronos("workflows", "show", "nothing")[0] == 2
