"""The composition root: one process's access to a Kronos database, and the only place where its adapters are chosen.

Rule 1: nothing is done here; each topic has a room of its own (`starting`, `waiting`, `messages`, …, `app.jobs`, …).
Rule 2: what most commands do not touch (market data, the debugger, a worker) is imported when it is asked for: half of
        the time of a command was imports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from kronos.app.changes import Changes
from kronos.app.data_folder import checkpoint_key, dataset_cache
from kronos.app.doctor import Doctor, FullRights
from kronos.app.forks import Forks
from kronos.app.jobs import Jobs
from kronos.app.leading import Leading, node_name
from kronos.app.messages import Messages
from kronos.app.nodes import Nodes
from kronos.app.queries import Queries
from kronos.app.queues import DeadLetters, Queues
from kronos.app.registering import Step, Workflow
from kronos.app.schedules import Schedules
from kronos.app.starting import Starting
from kronos.app.upkeep import Upkeep
from kronos.app.waiting import News, Waiting
from kronos.app.workflows import Workflows
from kronos.engine.serving import Serving
from kronos.errors import InvalidInput
from kronos.kernel.ids import RunId
from kronos.ports.blobs import Blobs
from kronos.ports.leading import Presence
from kronos.settings import Settings, read_settings
from kronos.storage.blobs import PostgresBlobs
from kronos.storage.database import LINK, Link, Session
from kronos.storage.datasets import PostgresDatasets
from kronos.storage.embedded import EmbeddedPostgres
from kronos.storage.history import PostgresHistory
from kronos.storage.jobbook import JobBook
from kronos.storage.lineage import PostgresLineage
from kronos.storage.migrate import check_schema, migrate
from kronos.storage.quarantine import PostgresQuarantine
from kronos.storage.readers import Readers
from kronos.storage.recordings import PostgresRecordings
from kronos.storage.schedules import PostgresSchedules
from kronos.storage.submission import Submission

if TYPE_CHECKING:
    from kronos.app.working import WorkerProcess
    from kronos.debugger.machine import Machine
    from kronos.market.bringing import Importer
    from kronos.market.catalog import Catalog

__all__ = ["Kronos", "Step", "Workflow"]


class Kronos(Starting, Waiting, Messages, Queries):
    """One process's access to a Kronos database: submit, read, wait, and on demand work."""

    def __init__(
        self, settings: Settings, url: str, *, embedded: EmbeddedPostgres | None = None, link: Link = LINK
    ) -> None:
        self.settings: Final = settings
        self.url: Final = url
        self._embedded = embedded
        self._session = Session(url, purpose="client", link=link)
        self._readers = Readers(url, purpose="reader")
        self._submission = Submission(self._session)
        self.blobs: Final = PostgresBlobs(self._readers, kind="dataset", owner="catalog")
        self.datasets: Final = PostgresDatasets(self._readers)
        self.chunks: Final = _chunks(settings, self.blobs)
        self.history: PostgresHistory = PostgresHistory(self._readers, self.blobs)
        self.recordings: Final = PostgresRecordings(self._readers)
        self.forks: Final = Forks(self, PostgresLineage(self._session, self.history.head_at))
        self.doctor: Final = Doctor(url, FullRights(url), self.history, settings.data_dir)
        self.upkeep: Upkeep = Upkeep(url, self._session, self.history, self.chunks)
        self.definitions: Serving = Serving()
        self.schedules: Final = Schedules(PostgresSchedules(self._session), self._checked)
        self.nodes: Final = Nodes(self._session)
        self.workflows: Final = Workflows(self._session, self.history)
        self._news = News(url)
        self._book = JobBook(self._session)
        self.jobs: Final = Jobs(self._book, self.definitions, serve=self.serve, watch=self._news.watch)
        self.queues: Final = Queues(self._book)
        self.dead_letters: Final = DeadLetters(self._book)

    @classmethod
    def open(
        cls,
        settings: Settings | None = None,
        *,
        database_url: str | None = None,
        data_dir: Path | None = None,
        workflows: Sequence[Workflow | Step | str] = (),
    ) -> Self:
        """Connect, with the embedded server where no DATABASE_URL is given; bring the schema up to date.

        `workflows` are definitions, steps to be called as jobs, or names of modules that hold some.
        Raises `Unavailable`, `NotFound`, `WorkflowDefinitionError`.
        """
        if settings is not None and not isinstance(settings, Settings):
            raise InvalidInput(  # the value may hold a password
                f"settings is a {type(settings).__name__}: give Settings(…); an address goes as database_url=…",
                field="settings",
            )
        settings = settings or read_settings()
        if data_dir is not None:
            settings = replace(settings, data_dir=data_dir)
        url = database_url or settings.database_url
        embedded = None
        if url is None:
            embedded = EmbeddedPostgres(settings.data_dir)
            url = embedded.start()
        try:
            migrate(url)
            opened = cls(settings, url, embedded=embedded)
            opened.serve(*workflows)
        except BaseException:
            if embedded is not None:
                embedded.release()
            raise
        return opened

    def fork(
        self, run_id: RunId, *, at: str | None = None, at_seq: int | None = None, changes: Changes | None = None
    ) -> RunId:
        """Fork a run before the step `at` began, or after the fact at `at_seq`; see `Forks.fork`."""
        return self.forks.fork(run_id, at=at, at_seq=at_seq, changes=changes)

    @cached_property
    def catalog(self) -> Catalog:
        """The market data that is stored here."""
        from kronos.market.catalog import Catalog

        return Catalog(self.chunks, self.datasets, dataset_cache(self.settings))

    @cached_property
    def importer(self) -> Importer:
        """What brings market data in, and holds back what is wrong with it."""
        from kronos.market.bringing import Importer

        return Importer(self.catalog, PostgresQuarantine(self._session))

    def worker(self, *, name: str | None = None) -> WorkerProcess:
        """Return a worker over the workflows that are served here; `start()` it."""
        from kronos.app.working import WorkerProcess

        worker = WorkerProcess(
            self.url,
            settings=self.settings,
            serving=self.definitions,
            blobs=self.blobs,
            chunks=self.chunks,
            index=self.datasets,
            open_datasets=lambda: self.catalog,
            name=name or node_name(),
            heard=self._news.tell,
        )
        self._at_hand = worker.worker.start_run
        return worker

    def candidate(self) -> Leading:
        """Return this process as one that may lead without working: a server; `start()` it."""
        return Leading(
            self.url,
            kind="server",
            name=node_name(),
            lease_s=self.settings.lease,
            presence=lambda: Presence(None, ()),
        )

    def ready(self) -> dict[str, object]:
        """Return what readiness rests on; raise `Unavailable` naming what does not answer."""
        with self._session.connection() as connection:
            return {"database": "ok", "schema": check_schema(connection)}

    def machine(self) -> Machine:
        """Return a time machine over what is recorded here; `close()` it, and keep one where many questions come."""
        from kronos.debugger.machine import Machine

        return Machine(
            history=self.history,
            recordings=self.recordings,
            blobs=self.blobs,
            catalog=self.catalog,
            key=self.checkpoint_key,
            cache_dir=dataset_cache(self.settings).parent,
        )

    @property
    def checkpoint_key(self) -> bytes:
        """The secret that authenticates checkpoints made in this data folder; made on first use, mode 0600."""
        return checkpoint_key(self.settings)

    def close(self) -> None:
        """Leave: connections are closed, and the embedded server stops when nobody else uses it."""
        self._news.close()
        self._session.close()
        self._readers.close()
        if self._embedded is not None:
            self._embedded.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _chunks(settings: Settings, blobs: Blobs) -> Blobs:
    if settings.chunks is None:
        return blobs
    from kronos.market.chunks import FolderBlobs

    return FolderBlobs(settings.chunks, behind=blobs)
