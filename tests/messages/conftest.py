"""One database and one engine for the tests of a module; each test has a workflow of its own kind of run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from kronos.app import Engine, Kronos
from kronos.core.events import Event, expand
from kronos.core.state import Run
from kronos.settings import Settings

PATIENCE_S = 15.0


@pytest.fixture(scope="module")
def module_url(postgres_url: str, template_database: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of this module alone."""
    name = f"kronos_{request.module.__name__.rpartition('.')[2]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        for text in ("DROP DATABASE IF EXISTS {} WITH (FORCE)",):
            connection.execute(sql.SQL(text).format(sql.Identifier(name)))
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template_database)
            )
        )
    head, mark, query = postgres_url.partition("?")
    yield f"{head.rpartition('/')[0]}/{name}{mark}{query}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def engine(module_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), worker_concurrency=4)
    with Engine(database_url=module_url, settings=settings) as engine:
        yield engine


@dataclass
class Talk:
    """What the tests of messages do all the time."""

    engine: Engine
    url: str

    @property
    def app(self) -> Kronos:
        return self.engine.app

    def start(self, workflow: Any, run_input: Any = None, **options: Any) -> str:
        return self.app.start(workflow, run_input or {}, **options)

    def result(self, run_id: str) -> Any:
        run = self.app.wait(run_id, PATIENCE_S)
        assert run.phase == "completed", (run.phase, run.failure)
        assert run.output is not None
        self.app.history.verify(run_id)
        from kronos.kernel import canonical

        return canonical.decode(self.app.history.payload(run.output))

    def end(self, run_id: str) -> Any:
        run = self.app.wait(run_id, PATIENCE_S)
        self.app.history.verify(run_id)
        return run

    def facts(self, run_id: str) -> list[Event]:
        return [single for event in self.app.history.events(run_id) for single in expand(event)]

    def kinds(self, run_id: str, step: str = "") -> list[str]:
        return [str(event.kind) for event in self.facts(run_id) if event.step == step]

    def until(self, run_id: str, holds: Callable[[Run], Any]) -> Any:
        """Wait until something holds of the run, and return what."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := holds(self.app.history.state_at(run_id))):
            assert time.monotonic() < deadline, self.app.history.state_at(run_id)
            time.sleep(0.005)
        return found

    def row(self, run_id: str) -> dict[str, Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(
                "SELECT phase::text, owner, takeovers, claims, inbox_n, inbox_seen, head_seq,"
                " extract(epoch FROM wake_at - kronos.now())::float8 AS sleep_s FROM kronos.runs WHERE id = %s",
                (run_id,),
            )
            assert cursor.description is not None
            row = cursor.fetchone()
            assert row is not None
            return dict(zip([column.name for column in cursor.description], row, strict=True))

    def parked(self, run_id: str) -> dict[str, Any]:
        """Wait until nobody has the run in hand."""
        deadline = time.monotonic() + PATIENCE_S
        while (row := self.row(run_id))["phase"] != "waiting":
            assert time.monotonic() < deadline, row
            time.sleep(0.005)
        return row


@pytest.fixture
def talk(engine: Engine, module_url: str) -> Talk:
    return Talk(engine, module_url)
