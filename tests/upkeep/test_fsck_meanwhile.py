"""An ordinary life is sound at every moment: fsck judges again and again what workers are changing."""

from __future__ import annotations

import threading
import time
from typing import Self

import pytest

from kronos import Changes, Engine, StepContext, approval, child, sleep, step, wait_for_signal, workflow
from kronos.app import Kronos
from kronos.settings import Settings

LEAST_ROUNDS = 3


@step(retries=3, backoff="20ms")
def shaky(number: int, ctx: StepContext) -> int:
    if ctx.attempt < 3:
        raise ValueError("not yet")
    return number


@step(retries=1, backoff="10ms")
def hopeless(number: int) -> int:
    raise ValueError(f"{number} is disliked")


@step
def numbers(count: int) -> list[int]:
    return list(range(count))


@step
def doubled(number: int) -> int:
    time.sleep(0.01)
    return 2 * number


@step
def total(found: list[int]) -> int:
    return sum(found)


@workflow(version="1")
def small(number: int) -> int:
    return shaky(number)


@workflow(version="1")
def wide(count: int) -> int:
    return total(doubled.map(numbers(count)))


@workflow(version="1")
def parent(number: int) -> int:
    return doubled(child(small, number))


@workflow(version="1", timeout="1h")
def patient(number: int) -> int:
    heard = wait_for_signal("go", int)
    rest = sleep("100ms", after=[heard])
    return doubled.named("after", after=[rest])(heard)


@workflow(version="1")
def asked(number: int) -> bool:
    return approval("desk").approved


@workflow(version="1")
def failing(number: int) -> int:
    return hopeless(number)


SERVED = [small, wide, parent, patient, asked, failing, shaky, hopeless]


class Watchman(threading.Thread):
    """Judges until it is told to stop, and keeps whatever it finds."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join(60)

    def __init__(self, app: Kronos) -> None:
        super().__init__(daemon=True)
        self.app = app
        self.found: list[object] = []
        self.rounds = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set() or self.rounds < LEAST_ROUNDS:
            self.found += self.app.upkeep.fsck()
            self.rounds += 1


@pytest.fixture
def engine(database_url, tmp_path):
    settings = Settings(data_dir=tmp_path, worker_concurrency=4)
    with Engine(workflows=SERVED, database_url=database_url, settings=settings) as engine:
        yield engine


def test_no_moment_of_an_ordinary_life_is_a_fault(engine):
    app = engine.app
    with Watchman(app) as watchman:
        app.schedules.add("often", "*/1 * * * * *", small, {"number": 1}, jitter="200ms")
        heard, forever = app.start(patient, {"number": 1}), app.start(patient, {"number": 2}, attributes={"desk": "fx"})
        waits, dead = app.start(asked, {"number": 3}), app.start(failing, {"number": 4})
        ends = [app.start(parent, {"number": 5}), app.start(wide, {"count": 30})]
        jobs = [app.jobs.submit(shaky, {"number": each}) for each in range(3)]
        lost = app.jobs.submit(hopeless, {"number": 1})
        late = app.jobs.submit(shaky, {"number": 9}, delay="1h")
        app.pause(forever, by="me")
        app.signal(heard, "go", 7, by="desk")
        while not app.approvals(waits):
            time.sleep(0.01)
        app.approve(waits, by="me")
        for run in (*ends, heard, waits, dead):
            app.wait(run, 60)
        fork = app.fork(ends[1], at="numbers")
        app.fork(ends[0], at="doubled", changes=Changes(inputs={"doubled": {"number": 8}}))
        for job in (*jobs, lost):
            app.jobs.wait(job, 60)
        app.jobs.cancel(late, reason="no")
        app.dead_letters.requeue([lost])
        app.resume(forever, by="me")
        app.wait(fork, 60)
        app.cancel(forever, reason="enough")
        app.wait(forever, 60)
        app.schedules.delete("often")
    assert not watchman.is_alive()
    assert watchman.rounds >= LEAST_ROUNDS
    assert watchman.found == []
    assert list(app.upkeep.fsck()) == []
