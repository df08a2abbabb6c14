"""The code that ran is the code that runs again, unless the working tree is asked for; what differs is named."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from kronos import Engine
from kronos.errors import Cancelled, Conflict, EffectBlocked, Unavailable
from kronos.kernel.ids import RunId
from kronos.market.plans import BacktestPlan
from tests.timetravel.conftest import Project


def run(engine: Engine, project: Project, dataset: str, name: str) -> RunId:
    research = importlib.import_module(project.workflow_module).research
    plan = BacktestPlan(strategy=f"{project.module}:{name}")
    handle = engine.start(research, {"bars": engine.app.catalog.find(dataset), "plan": plan})
    engine.app.wait(handle.run_id, 60)
    return handle.run_id


def test_an_edited_strategy_is_re_executed_as_it_was_captured(
    engine: Engine, walk: str, project: Project, make_machine
) -> None:
    run_id = run(engine, project, walk, "Counting")
    machine = make_machine()
    project.file.write_text(project.file.read_text().replace("STEP = 3", "STEP = 5"))
    seen = machine.state_at(run_id, "backtest", 9_000)
    assert seen.code == "captured"
    assert seen.variables == {"seen": 27_000}
    assert seen.verification.ok

    edited = machine.state_at(run_id, "backtest", 9_000, working_tree=True)
    assert edited.code == "working tree"
    assert edited.variables == {"seen": 45_000}
    assert edited.portfolio == seen.portfolio  # of the record, whatever the edited code would have done
    assert not edited.verification.ok
    assert edited.verification.chain == "core"
    assert edited.verification.first_differing_row == 0

    project.file.write_text(project.file.read_text().replace("STEP = 5", "STEP = 70"))
    again = machine.state_at(run_id, "backtest", 9_000, working_tree=True)
    assert again.variables == {"seen": 630_000}


def test_a_strategy_that_failed_is_seen_up_to_the_bar_that_it_disliked(
    engine: Engine, walk: str, project: Project, make_machine
) -> None:
    run_id = run(engine, project, walk, "Failing")
    machine = make_machine()
    seen = machine.state_at(run_id, "backtest", 6_000)
    assert seen.variables == {"seen": 18_000}
    assert seen.labels["portfolio"] == "recomputed"
    assert seen.verification.ok is None
    with pytest.raises(Conflict, match=r"raised ValueError at row 6000: the bar that I dislike"):
        machine.state_at(run_id, "backtest", 6_001)


def test_a_strategy_that_reaches_for_the_network_is_stopped_in_re_execution(
    engine: Engine, walk: str, project: Project, make_machine
) -> None:
    run_id = run(engine, project, walk, "Calling")
    machine = make_machine()
    assert machine.state_at(run_id, "backtest", 10).variables == {"seen": 30}
    with pytest.raises(EffectBlocked, match=r"socket\.connect"):
        machine.state_at(run_id, "backtest", 11)


def test_a_seek_can_be_given_up_and_the_next_one_is_answered(
    engine: Engine, walk: str, project: Project, make_machine
) -> None:
    run_id = run(engine, project, walk, "Counting")
    machine = make_machine()
    text = project.file.read_text()
    slow = "self.seen += STEP\n        __import__('time').sleep(0.001)"
    project.file.write_text(text.replace("self.seen += STEP", slow))
    told: list[int] = []

    def give_up(row: int) -> None:
        told.append(row)
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        machine.state_at(run_id, "backtest", 30_000, working_tree=True, progress=give_up)
    assert 0 < told[0] < 30_000
    project.file.write_text(text)
    assert machine.state_at(run_id, "backtest", 9_000, working_tree=True).variables == {"seen": 27_000}


def test_code_that_ends_its_process_is_an_error_that_says_how(
    engine: Engine, walk: str, project: Project, make_machine
) -> None:
    run_id = run(engine, project, walk, "Counting")
    project.file.write_text(project.file.read_text().replace("self.seen += STEP", "__import__('os')._exit(7)"))
    machine = make_machine()
    with pytest.raises(Unavailable, match=r"ended its process \(exit code 7\) twice"):
        machine.state_at(run_id, "backtest", 9_000, working_tree=True)
    assert machine.state_at(run_id, "backtest", 9_000).verification.ok


def test_threads_may_ask_one_machine(engine: Engine, walk: str, project: Project, make_machine) -> None:
    run_id = run(engine, project, walk, "Counting")
    machine = make_machine()
    rows = [(i * 7_919) % 30_000 for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda row: machine.state_at(run_id, "backtest", row), rows))
    assert [each.variables["seen"] for each in seen] == [3 * row for row in rows]
    assert all(each.verification.ok for each in seen)
