"""Engines that are closed again, and what a test wants to know of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kronos.app import Engine, Kronos
from kronos.core.events import Event, expand
from kronos.settings import Settings


@pytest.fixture
def make_engine(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Makes engines over one database; options are settings."""
    made: list[Engine] = []

    def make(*workflows: Any, **options: Any) -> Engine:
        settings = Settings(data_dir=tmp_path, **{"worker_concurrency": 4, **options})
        made.append(Engine(workflows=workflows, database_url=database_url, settings=settings))
        return made[-1]

    yield make
    for engine in made:
        engine.close(1)


@pytest.fixture
def make_app(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Kronos]]:
    """Makes accesses to the database without a worker."""
    made: list[Kronos] = []

    def make(*workflows: Any) -> Kronos:
        made.append(Kronos.open(database_url=database_url, data_dir=tmp_path, workflows=workflows))
        return made[-1]

    yield make
    for app in made:
        app.close()


def facts(app: Kronos, run_id: Any) -> list[Event]:
    """Return the single facts of a run, in order."""
    return [single for event in app.history.events(run_id) for single in expand(event)]


def kinds(app: Kronos, run_id: Any, step: str = "") -> list[str]:
    return [str(event.kind) for event in facts(app, run_id) if event.step == step]
