"""A set of slots, and a way to run attempts through them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kronos.core.definition import StepDefinition
from kronos.engine.context import Services
from kronos.engine.slots.slots import Slots
from kronos.engine.tasks import Outcome, Task
from kronos.kernel.ids import RunId, StepName


class Bench:
    """Slots, and the owner loop that they report to."""

    def __init__(self, *, threads: int = 2, processes: int = 1, **options: Any) -> None:
        self.definitions: dict[str, StepDefinition] = {}
        self.woken = threading.Event()
        self.bound = threading.Event()
        services = self.services = Services(
            now_ns=time.time_ns,
            entropy=os.urandom,
            **{key: options.pop(key) for key in list(options) if key in Services.__dataclass_fields__},
        )
        self.slots = Slots(
            definitions=self.definitions,
            services=services,
            wake=self.woken.set,
            threads=threads,
            processes=processes,
            on_stuck_bound=self.bound.set,
            **options,
        )
        self._attempts = 0

    def task(self, step: StepDefinition, data: bytes = b"{}", timeout_s: float | None = None) -> Task:
        self.definitions[step.target] = step
        self._attempts += 1
        name = StepName(f"{step.name}-{self._attempts}")
        return Task(RunId("run"), name, 1, step.target, data, timeout_s, step.options.executor)

    def collect(self, count: int, within_s: float = 30) -> list[tuple[Task, Outcome]]:
        ended: list[tuple[Task, Outcome]] = []
        deadline = time.monotonic() + within_s
        while len(ended) < count:
            left = deadline - time.monotonic()
            assert left > 0, f"{len(ended)} of {count} attempts ended within {within_s} s"
            self.woken.wait(left)
            self.woken.clear()
            ended += self.slots.drain()
        return ended

    def run(self, step: StepDefinition, data: bytes = b"{}", timeout_s: float | None = None) -> Outcome:
        self.slots.submit([self.task(step, data, timeout_s)])
        ((_, outcome),) = self.collect(1)
        return outcome


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield make
    for bench in made:
        bench.slots.stop(0)


@pytest.fixture
def bench(make_bench) -> Bench:
    return make_bench()
