"""One engine for the whole suite, and what a test wants to know of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kronos.app import Engine, Kronos
from kronos.core.events import Event, expand
from kronos.settings import Settings


@pytest.fixture(scope="module")
def engine(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that every test of a module shares."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), worker_concurrency=4)
    with Engine(database_url=module_database_url, settings=settings) as shared:
        yield shared


class Told:
    """What is on record of one run."""

    def __init__(self, engine: Engine | Kronos, run_id: Any) -> None:
        self.history = (engine.app if isinstance(engine, Engine) else engine).history
        self.run_id = run_id

    @property
    def facts(self) -> list[Event]:
        stored, after = [], 0
        while page := self.history.events(self.run_id, after=after):
            stored += page
            after = page[-1].seq
        return [single for event in stored for single in expand(event)]

    def kinds(self, step: str = "") -> list[str]:
        """Return what happened to a step, or to the run, without the word before the underscore."""
        return [event.kind.partition("_")[2] for event in self.facts if event.step == step]

    @property
    def steps(self) -> dict[str, str]:
        """Where each step stands."""
        return {name: str(step.status) for name, step in self.history.state_at(self.run_id).steps.items()}

    def began(self) -> list[str]:
        """Return the steps in the order in which they began."""
        return [event.step for event in self.facts if event.kind == "step_started"]


def told(engine: Engine | Kronos, handle: Any) -> Told:
    return Told(engine, getattr(handle, "run_id", handle))


def until(asked: Callable[[], Any], limit_s: float = 10.0) -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + limit_s
    while not (answer := asked()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)
    return answer
