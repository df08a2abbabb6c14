"""One engine for the whole module, and steps that tell what they did."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kronos.app import Engine, Kronos
from kronos.kernel.ids import IncarnationId
from kronos.ports.jobs import ClaimedJob, Claims, Ended, FailedJob, FinishedJob, Room
from kronos.settings import Settings
from kronos.storage.jobs import PostgresJobs
from kronos.storage.queue import PostgresQueue
from tests.jobs import work

_names = itertools.count()


@pytest.fixture(scope="module")
def engine(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("jobs"), worker_concurrency=8)
    served = [each for each in vars(work).values() if isinstance(each, work.STEP)]
    with Engine(workflows=served, database_url=module_database_url, settings=settings) as opened:
        yield opened


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[Kronos]:
    """An access without a worker: the desks below claim."""
    with Kronos.open(database_url=database_url, data_dir=tmp_path, workflows=[work.echo, work.other]) as opened:
        yield opened


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    work.GATE.clear()
    yield work.GATE
    work.GATE.set()


class Desk:
    """One incarnation that claims and ends jobs as it is told."""

    def __init__(self, url: str) -> None:
        self.queue = PostgresQueue(url)
        self.store = PostgresJobs(url)
        self.incarnation: IncarnationId = self.queue.register(name=f"desk-{next(_names)}", lease_s=60)

    def claim(self, limit: int = 1_000, targets: list[str] | None = None) -> list[ClaimedJob]:
        return self.turn(limit, targets).jobs

    def turn(self, limit: int = 1_000, targets: list[str] | None = None) -> Claims:
        targets = targets or [work.echo.target, work.other.target]
        return self.store.turn(self.incarnation, Ended(), [Room(targets, limit)])

    def finish(self, *jobs: ClaimedJob) -> None:
        now = time.time_ns()
        done = [FinishedJob(job.id, job.attempt, b"null", now - 1_000, now) for job in jobs]
        self.store.turn(self.incarnation, Ended(finished=done), [])

    def fail(self, job: ClaimedJob, state: str = "dead", due_ns: int | None = None) -> None:
        failed = FailedJob(job.id, job.attempt, state, due_ns, 1, b'{"type":"Boom","message":"bad"}', 1, 2)
        self.store.turn(self.incarnation, Ended(failed=[failed]), [])

    def set_clock(self, moment: str) -> None:
        set_clock(moment, self.store._session)

    def die(self, why: str = "killed") -> None:
        self.queue.retire(self.incarnation, why)
        self.queue.reap()

    def close(self) -> None:
        self.store.close()
        self.queue.close()


@pytest.fixture
def make_desk(app: Kronos) -> Iterator[Callable[[], Desk]]:
    made: list[Desk] = []

    def make() -> Desk:
        made.append(Desk(app.url))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def desk(make_desk: Callable[[], Desk]) -> Desk:
    return make_desk()


def set_clock(moment: str, *sessions: Any) -> None:
    """Set the clock of these connections' statements."""
    for session in sessions:
        with session.connection() as connection:
            connection.execute("SELECT set_config('kronos.now', %s, false)", (moment,))
