"""What a run made as it went is seen, read and replayed like any other step."""

from __future__ import annotations

from pathlib import Path

import pytest

from kronos import Kronos, repeat_until, step, when, workflow
from kronos.core.definition import StepDefinition
from kronos.debugger.replay import Replay
from kronos.debugger.replay_verdict import Status, exit_code
from kronos.server.positions import Positions
from kronos.server.reading import Budget, Reading
from kronos.server.timelines import Timelines

OFFSET = {"by": 0}


@step
def spread(n: int) -> list[int]:
    return list(range(n))


@step
def shifted(number: int) -> int:
    return number + OFFSET["by"]


@step
def total(numbers: list[int]) -> int:
    return sum(numbers)


@step
def is_big(number: int) -> bool:
    return number > 20


@step
def doubled(number: int) -> int:
    return number * 2


@workflow(version="1")
def reading(n: int) -> int:
    sum_of = total(shifted.map(spread(n)))
    return when(
        is_big.named("first")(sum_of),
        then=lambda: doubled.named("twice")(sum_of),
        otherwise=lambda: repeat_until(doubled, is_big, sum_of, max=5),
    )


@pytest.fixture(scope="module")
def run(engine):
    handle = engine.start(reading, {"n": 5})
    assert handle.result(20) == 40
    return handle.run_id


@pytest.fixture
def replayed(engine, run, tmp_path):
    def replay(step=None):
        app: Kronos = engine.app
        known: dict[str, StepDefinition] = {each.target: each for each in (spread, shifted, total, is_big, doubled)}
        ready = Replay(
            run,
            history=app.history,
            recordings=app.recordings,
            blobs=app.blobs,
            index=app.datasets,
            cache_dir=tmp_path,
            root=Path(__file__).parent,
            known_steps=known,
        )
        return {verdict.step: verdict for verdict in ready.run(step=step)}

    return replay


def test_a_replay_runs_every_element_and_round_on_its_recorded_input(replayed):
    verdicts = replayed()
    assert list(verdicts) == [
        "spread",
        *(f"shifted[{i}]" for i in range(5)),
        "total",
        "first",
        "doubled[0]", "doubled[0].is_big", "doubled[1]", "doubled[1].is_big",
    ]  # fmt: skip
    assert {verdict.status for verdict in verdicts.values()} == {Status.OK}
    assert exit_code(verdicts.values()) == 0


def test_a_replay_of_one_node_is_that_of_its_elements_and_of_one_element_of_that_alone(replayed):
    assert list(replayed("shifted")) == [f"shifted[{i}]" for i in range(5)]
    assert list(replayed("shifted[3]")) == ["shifted[3]"]


def test_an_element_that_changed_is_named(replayed, monkeypatch):
    monkeypatch.setitem(OFFSET, "by", 1)
    verdicts = replayed()
    diverged = {step for step, verdict in verdicts.items() if verdict.status is Status.DIVERGED}
    assert diverged == {f"shifted[{i}]" for i in range(5)}


def test_a_position_shows_elements_with_their_input_and_output(engine, run):
    positions = Positions(Reading(engine.app.history))
    state = positions.state(run, None, payloads="all", budget=Budget())
    shown = {view.step: view for view in state.steps}
    assert [name for name in shown if name.startswith("shifted")] == ["shifted", *(f"shifted[{i}]" for i in range(5))]
    assert shown["shifted[3]"].input.json == '{"number":3}'
    assert shown["shifted[3]"].input_matches
    assert shown["shifted[3]"].output.json == "3"
    assert shown["twice"].status == "skipped"
    assert positions.value(run, "output", step="shifted", seq=None) == b"[0,1,2,3,4]"
    assert positions.value(run, "input", step="doubled[1].is_big", seq=None) == b'{"number":40}'


def test_the_run_page_draws_the_nodes_and_counts_what_is_done(engine, run):
    detail = Reading(engine.app.history).detail(run, Budget())
    assert [node.step for node in detail.steps] == [
        "spread",
        "shifted",
        "total",
        "first",
        "when:first",
        "twice",
        "doubled",
    ]
    assert (detail.run.steps_done, detail.run.steps_total) == (7, 7)
    assert {bar.step for bar in Timelines(engine.app.history).timeline(run).bars} == {
        "spread", "shifted", "total", "first", "when:first", "doubled",
    }  # fmt: skip


def test_every_fact_of_the_run_can_be_read_at_its_seq(engine, run):
    history = engine.app.history
    for seq in range(1, history.run(run).head_seq + 1):
        assert history.state_at(run, seq).seq == seq
