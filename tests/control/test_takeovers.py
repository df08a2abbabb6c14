"""Whoever goes on with a run goes on inside its maps, branches and loops: nothing that was done is done again."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from kronos import Engine, Kronos, StepContext, repeat_until, step, when, workflow
from kronos.settings import Settings
from tests.control.conftest import told


@pytest.fixture
def make_engine(module_database_url, tmp_path):
    made = []

    def make(*workflows):
        settings = Settings(data_dir=tmp_path, worker_concurrency=4)
        made.append(Engine(workflows=workflows, database_url=module_database_url, settings=settings))
        return made[-1]

    yield make
    for engine in made:
        engine.close(1)


@pytest.fixture
def watcher(module_database_url, tmp_path):
    with Kronos.open(database_url=module_database_url, data_dir=tmp_path) as app:
        yield app


def test_a_run_with_a_map_a_branch_and_a_loop_survives_the_end_of_its_worker_at_any_of_its_steps(make_engine, watcher):
    ran = Counter[str]()
    holds, here, gate = [""], threading.Event(), threading.Event()

    def note(name: str) -> None:
        ran[name] += 1
        if name == holds[0] and ran[name] == 1:
            here.set()
            gate.wait(10)

    @step
    def item(number: int, ctx: StepContext) -> int:
        note(ctx.step)
        return number + 1

    @step
    def grown(number: int, ctx: StepContext) -> int:
        note(ctx.step)
        return number + 10

    @step
    def is_big(number: int, ctx: StepContext) -> bool:
        note(ctx.step)
        return number > 20

    @step
    def joined(numbers: list[int], ctx: StepContext) -> int:
        note(ctx.step)
        return sum(numbers)

    @workflow(version="1")
    def everything(numbers: list[int]) -> int:
        total = joined(item.map(numbers))
        return when(
            is_big.named("first")(total),
            then=lambda: total,
            otherwise=lambda: repeat_until(grown, is_big, total, max=5),
        )

    undisturbed = make_engine(everything)
    assert undisturbed.start(everything, {"numbers": [0, 1, 2]}).result(20) == 26
    steps = list(ran)
    undisturbed.close(1)
    assert steps[-5:] == ["first", "grown[0]", "grown[0].is_big", "grown[1]", "grown[1].is_big"]

    for lost in steps[1:-1]:
        ran.clear(), here.clear(), gate.clear()
        holds[0] = lost
        first = make_engine(everything)
        handle = first.start(everything, {"numbers": [0, 1, 2]})
        assert here.wait(10)
        threading.Timer(0.06, gate.set).start()
        first._worker.worker._life.loop.abandon()
        first.close(0)
        done = [name for name, status in told(watcher, handle).steps.items() if status == "completed"]
        second = make_engine(everything)
        assert second.app.wait(handle.run_id, 20).output == b"26", lost
        assert [name for name in done if ran[name] > 1] == [], lost
        assert second.app.history.verify(handle.run_id) > 0
        run = told(second, handle)
        assert run.kinds("item").count("expanded") == 1
        assert set(run.steps.values()) == {"completed"}
        second.close(1)
