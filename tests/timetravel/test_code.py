"""The code that ran is the code that runs again, unless the working tree is asked for; what differs is named."""

from __future__ import annotations

import importlib

import pytest

from kronos import Engine
from kronos.errors import Conflict, EffectBlocked
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
