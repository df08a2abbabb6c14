"""A database with a registered workflow, and hands that write histories into it."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from kronos import step, workflow
from kronos.app import Kronos
from kronos.core.chaining import head_after_body
from kronos.core.events import Event, Kind, RunFacts, StepFacts, encode_facts
from kronos.kernel.hashing import GENESIS
from kronos.kernel.ids import IncarnationId, RunId
from kronos.ports.queue import ClaimedRun, EventRow, Flush, Head
from kronos.storage.queue import PostgresQueue

_names = itertools.count()


@step
def double(number: int) -> int:
    return 2 * number


@workflow(version="1")
def doubled(number: int) -> int:
    return double(number)


@workflow(version="1")
def doubled_twice(number: int) -> int:
    return double.named("again")(double(number))


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[Kronos]:
    with Kronos.open(database_url=database_url, data_dir=tmp_path, workflows=[doubled]) as opened:
        yield opened


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection with the full rights of the schema's owner."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Makes databases without a schema."""
    made: list[str] = []

    def make() -> str:
        name = f"kronos_empty_{uuid.uuid4().hex[:12]}"
        _administer(postgres_url, "CREATE DATABASE {}", name)
        made.append(name)
        head, mark, query = postgres_url.partition("?")
        return f"{head.rpartition('/')[0]}/{name}{mark}{query}"

    yield make
    for name in made:
        _administer(postgres_url, "DROP DATABASE {} WITH (FORCE)", name)


def _administer(url: str, statement: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


class Desk:
    """One incarnation that writes what it is told to."""

    def __init__(self, app: Kronos, *, lease_s: float = 60.0) -> None:
        self.app = app
        self.queue = PostgresQueue(app.url)
        self.incarnation: IncarnationId = self.queue.register(name=f"desk-{next(_names)}", lease_s=lease_s)
        self._flushes = itertools.count(1)

    def definition(self, of: Any = doubled) -> Any:
        served = self.app.definitions.holds(of)
        assert served is not None
        return served.definition.id

    def claim(self, limit: int = 10, of: Any = doubled) -> list[ClaimedRun]:
        return self.queue.claim(self.incarnation, [self.definition(of)], limit)

    def one(self, run_input: Any = None) -> ClaimedRun:
        self.app.start(doubled, run_input or {"number": 21})
        (run,) = self.claim(1)
        return run

    def flush(self, **parts: Any) -> Any:
        return self.queue.flush(self.incarnation, Flush(next(self._flushes), **parts))

    def write(self, run: ClaimedRun, events: list[Event], *, head: bytes = GENESIS, **parts: Any) -> Any:
        rows = rows_of(run, events, head=head)
        return self.flush(rows=rows, **parts)

    def close(self) -> None:
        self.queue.close()


@pytest.fixture
def make_desk(app: Kronos) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**options: Any) -> Desk:
        made.append(Desk(app, **options))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()


def rows_of(run: ClaimedRun, events: list[Event], *, head: bytes = GENESIS) -> list[EventRow]:
    rows = []
    for event in events:
        body = encode_facts(event.facts)
        head = head_after_body(head, event, body)
        rows.append(
            EventRow(
                run.retention_class,
                uuid.UUID(run.id),
                event.seq,
                event.count,
                event.kind,
                event.step,
                event.attempt,
                event.at,
                body,
                head,
            )
        )
    return rows


def begun(at: int = 1) -> Event:
    return Event(seq=1, kind=Kind.RUN_STARTED, at=at, facts=RunFacts(workflow="doubled"))


def scheduled(seq: int, step_name: str = "double") -> Event:
    return Event(seq=seq, kind=Kind.STEP_SCHEDULED, at=seq, facts=StepFacts(scheduled=seq), step=step_name, attempt=1)


def completed(seq: int) -> Event:
    return Event(seq=seq, kind=Kind.RUN_COMPLETED, at=seq, facts=RunFacts())


def end(run: ClaimedRun, row: EventRow, *, seen: int = 0, phase: str = "completed") -> Head:
    return Head(uuid.UUID(run.id), row.seq, row.hash, seen, row.at_ns, phase, b"42")


@pytest.fixture
def finished_run(app: Kronos) -> RunId:
    """A run that a real worker has executed to its end."""
    app.serve(doubled_twice)
    worker = app.worker().start()
    try:
        run = app.wait(app.start(doubled_twice, {"number": 3}), 30)
    finally:
        worker.stop()
    assert run.output == b"12"
    return run.id
