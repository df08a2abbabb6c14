"""Leaving in order, and commands that race with the end of a run."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from kronos import Engine
from kronos.errors import Conflict
from kronos.settings import read_settings
from tests.durability import flows
from tests.durability.audit import audit, check_executions, read_ledger
from tests.durability.flows import Order
from tests.durability.scene import Scene, until

pytestmark = [pytest.mark.durability, pytest.mark.timeout(60)]

RACES = 200
ABREAST = 3


def test_sigterm_finishes_and_records_what_runs_and_another_takes_the_rest(scene: Scene) -> None:
    fleet = scene.fleet
    leaving = fleet.worker(WORKER_CONCURRENCY="2")
    (gated,) = scene.app.start_many("gated", [Order(1)])
    scene.app.start_many("storm", [Order(number, pace_ms=20) for number in range(30)])
    until(lambda: any(each.step == "wait_for_gate" for each in read_ledger(fleet.ledger)), 10, "the step never began")
    time.sleep(0.3)
    leaving.process.terminate()
    time.sleep(0.7)
    assert leaving.process.poll() is None, "a step still runs: the worker waits for it"
    at_the_gate = len(read_ledger(fleet.ledger))
    time.sleep(0.3)
    assert len(read_ledger(fleet.ledger)) == at_the_gate, "a worker that leaves begins nothing new"
    fleet.gate.touch()
    assert leaving.process.wait(10) == 0
    assert "wait_for_gate" in audit(fleet.url, ended=False)[gated].completed
    assert scene.sql("SELECT count(*) FROM kronos.runs WHERE owner IS NOT NULL")[0][0] == 0
    fleet.worker()
    scene.await_all(30)
    runs = audit(fleet.url)
    assert {run.phase for run in runs.values()} == {"completed"}
    retried = sum(number % 3 == 0 for number in range(30))
    assert check_executions(runs, read_ledger(fleet.ledger)) == retried, "nothing was executed twice"
    assert scene.sql("SELECT sum(takeovers) FROM kronos.runs")[0][0] == 0, "leaving in order is no death"


def test_a_cancel_that_races_with_the_end_never_leaves_a_run_stuck(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)
    monkeypatch.setenv("KRONOS_TEST_LEDGER", str(tmp_path / "ledger"))
    settings = replace(read_settings({}), data_dir=tmp_path)
    with Engine(workflows=[flows.one_nap], database_url=database_url, settings=settings) as engine:
        accepted: Counter[str] = Counter()
        races = [
            (Order(n, pace_ms=dice.randrange(6)), dice.uniform(0, 0.02), dice.choice([1, 1, 2, 3]))
            for n in range(RACES)
        ]
        with ThreadPoolExecutor(ABREAST) as lanes:
            for _ in lanes.map(lambda race: _race(engine, accepted, *race), races):
                pass
    runs = audit(database_url)
    ends = Counter(run.phase for run in runs.values())
    print(f"ends {dict(ends)}; accepted in {len(accepted)} races")
    assert sum(ends.values()) == RACES
    assert ends.keys() <= {"completed", "cancelled"}
    assert min(ends["completed"], ends["cancelled"]) > 0, "the race was never close"
    assert all(runs[run].phase == "cancelled" for run in accepted), "an accepted cancel was forgotten"


def _race(engine: Engine, accepted: Counter[str], order: Order, after_s: float, callers_n: int) -> None:
    handle = engine.start(flows.one_nap, order)
    time.sleep(after_s)
    callers = [threading.Thread(target=_cancel, args=(engine, handle.run_id, accepted)) for _ in range(callers_n)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    engine.app.wait(handle.run_id, 10)


def _cancel(engine: Engine, run: str, accepted: Counter[str]) -> None:
    try:
        engine.app.cancel(run)  # type: ignore[arg-type]
        accepted[run] += 1
    except Conflict:
        pass
