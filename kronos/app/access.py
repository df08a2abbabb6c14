"""One process's access to a Kronos database: submit, read, wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from kronos.app.changes import Changes
from kronos.app.doctor import Doctor, FullRights
from kronos.app.forks import Forks
from kronos.app.jobs import Jobs
from kronos.app.leading import Leading, node_name
from kronos.app.messages import Messages
from kronos.app.nodes import Nodes
from kronos.app.queries import Queries
from kronos.app.queues import DeadLetters, Queues
from kronos.app.schedules import Schedules
from kronos.app.upkeep import Upkeep
from kronos.app.workflows import Workflows
from kronos.app.working import WorkerProcess, checkpoint_key, dataset_cache
from kronos.core.attributes import checked_attributes
from kronos.core.definition import StepDefinition, WorkflowDefinition
from kronos.core.events import Attribute, Event
from kronos.debugger.machine import Machine
from kronos.engine.execution import invocation_of
from kronos.engine.news import RunNews, Watch
from kronos.engine.registration import define, served_in
from kronos.engine.serving import Serving
from kronos.errors import InvalidInput, NotFound, Unavailable
from kronos.kernel import canonical
from kronos.kernel.ids import RunId
from kronos.kernel.schema import check_against
from kronos.market.bringing import Importer
from kronos.market.catalog import Catalog
from kronos.ports.history import Definition, RunSummary
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
from kronos.storage.notices import Listener
from kronos.storage.quarantine import PostgresQuarantine
from kronos.storage.readers import Readers
from kronos.storage.recordings import PostgresRecordings
from kronos.storage.schedules import PostgresSchedules
from kronos.storage.submission import Submission

__all__ = ["Kronos", "Step", "Workflow"]

R = TypeVar("R")
Workflow = WorkflowDefinition[Any, Any]
Step = StepDefinition[Any, Any]

WAIT_FOREVER_S: Final = 365 * 86_400.0
PATIENCE_S: Final = 60.0
"""How long a waiter bears a database that does not answer."""


class Kronos(Messages, Queries):
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
        self.catalog: Final = Catalog(self.blobs, self.datasets, dataset_cache(settings))
        self.importer: Final = Importer(self.catalog, PostgresQuarantine(self._session))
        self.history: PostgresHistory = PostgresHistory(self._readers, self.blobs)
        self.recordings: Final = PostgresRecordings(self._readers)
        self.forks: Final = Forks(self, PostgresLineage(self._session, self.history.head_at))
        self.doctor: Final = Doctor(url, FullRights(url), self.history, settings.data_dir)
        self.upkeep: Final = Upkeep(url, self._session, self.history, self.blobs)
        self.definitions: Serving = Serving()
        self.schedules: Final = Schedules(PostgresSchedules(self._session), self._checked_name)
        self.nodes: Final = Nodes(self._session)
        self.workflows: Final = Workflows(self._session, self.history)
        self._news = RunNews()
        self._listener: Listener | None = None
        self._guard = threading.Lock()
        self._book: Final = JobBook(self._session)
        self.jobs: Final = Jobs(self._book, self.definitions, serve=self.serve, watch=self._watch)
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

    def serve(self, *served: Workflow | Step | str) -> None:
        """Register workflows, steps, or all of the modules named, for runs and jobs to be started and executed here."""
        for each in served:
            for found in served_in(each) if isinstance(each, str) else [each]:
                if isinstance(found, StepDefinition):
                    self._serve_steps([found])
                elif self.definitions.holds(found) is None:
                    self.serve(*found.children.values())
                    definition, sources = define(found)
                    self.upkeep.retention.check(definition.graph.retention)
                    self._submission.register(definition, sources)
                    self._serve_steps(found.steps.values())
                    self.definitions.add(found, definition)

    def _serve_steps(self, steps: Iterable[Step]) -> None:
        schemas = {step.target: invocation_of(step).schema() for step in self.definitions.add_steps(steps)}
        if schemas:
            self._book.register(schemas)

    # ── asking for something ──

    def start(
        self,
        workflow: Workflow | str,
        run_input: object = msgspec.UNSET,
        *,
        version: str | None = None,
        timeout_s: float | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        retention: str | None = None,
        conn: object | None = None,
    ) -> RunId:
        """Start a run and return its id; it is durable when this returns.

        `retention` is the class that says how long it is kept after its end; by default, as its workflow says.
        With `conn`, a psycopg connection, it is part of your own transaction there: it starts when that commits.
        Raises `NotFound` for an unknown workflow, `InvalidInput` whose `facts["field"]` is the path of a wrong value.
        """
        return self.start_json(
            workflow,
            canonical.encode({} if run_input is msgspec.UNSET else run_input),
            version=version,
            timeout_s=timeout_s,
            attributes=attributes,
            retention=retention,
            conn=conn,
        )

    def start_json(
        self,
        workflow: Workflow | str,
        run_input: bytes | str,
        *,
        version: str | None = None,
        timeout_s: float | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        retention: str | None = None,
        conn: object | None = None,
    ) -> RunId:
        """`start` with an input that is JSON text already."""
        data = run_input.encode() if isinstance(run_input, str) else run_input
        definition, checked = self._checked(workflow, data, version)
        if timeout_s is None:
            timeout_s = definition.graph.timeout_s
        if timeout_s is not None and timeout_s <= 0:
            raise InvalidInput(f"timeout {timeout_s} is not positive", field="timeout", value=timeout_s)
        if retention is not None:
            self.upkeep.retention.check(retention)
        given = msgspec.json.encode(checked_attributes(attributes)) if attributes else None
        return self._submission.start(
            definition.id, checked, timeout_s=timeout_s, attributes=given, retention=retention, conn=conn
        )

    def start_many(self, workflow: Workflow | str, inputs: Sequence[object]) -> list[RunId]:
        """Start one run of `workflow` for each of `inputs`, in one transaction; return their ids in that order."""
        if not inputs:
            return []
        definition, check = self._meant(workflow, None)
        checked = [check(canonical.encode(each)) for each in inputs]
        return self._submission.start_many(definition.id, checked, timeout_s=definition.graph.timeout_s)

    def fork(
        self, run_id: RunId, *, at: str | None = None, at_seq: int | None = None, changes: Changes | None = None
    ) -> RunId:
        """Fork a run before the step `at` began, or after the fact at `at_seq`; see `Forks.fork`."""
        return self.forks.fork(run_id, at=at, at_seq=at_seq, changes=changes)

    def _checked(self, workflow: Workflow | str, data: bytes, version: str | None) -> tuple[Definition, bytes]:
        definition, check = self._meant(workflow, version)
        return definition, check(data)

    def _meant(self, workflow: Workflow | str, version: str | None) -> tuple[Definition, Callable[[bytes], bytes]]:
        """Return the definition that runs would refer to, and what checks their input."""
        if isinstance(workflow, WorkflowDefinition):
            self.serve(workflow)
        name = workflow if isinstance(workflow, str) else workflow.name
        served = self.definitions.named(name) if isinstance(workflow, str) else self.definitions.holds(workflow)
        if served is not None and version in (None, served.definition.version):
            return served.definition, served.workflow.check_input
        definition = self.registered(name, version)
        return definition, partial(check_against, definition.input_schema)

    def _checked_name(self, workflow: Workflow | str, data: bytes, version: str | None) -> tuple[str, bytes]:
        definition, checked = self._checked(workflow, data, version)
        return definition.workflow, checked

    def registered(self, name: str, version: str | None) -> Definition:
        """Return the newest definition of a workflow, or of one version; raise `NotFound` naming what is known."""
        found = self.history.definitions(name)
        if not found:
            known = sorted({each.workflow for each in self.history.definitions()})
            raise NotFound(
                f"workflow {name!r} is not registered; known: {', '.join(known) or 'none'}. "
                "A worker registers the workflows of its modules when it starts",
                field="workflow_name",
                value=name,
            )
        for each in found:
            if version in (None, each.version):
                return each
        versions = ", ".join(dict.fromkeys(each.version for each in found))
        raise NotFound(
            f"workflow {name!r} has no version {version!r}; known: {versions}", field="version", value=version
        )

    # ── waiting ──

    def wait(self, run_id: RunId, timeout_s: float | None = None) -> RunSummary:
        """Return the run once it has ended; raise `TimeoutError` after `timeout_s`.

        A database that restarts meanwhile is waited for, PATIENCE_S at most; then `Unavailable`.
        """
        until = time.monotonic() + (WAIT_FOREVER_S if timeout_s is None else timeout_s)
        self._listen()
        answered = time.monotonic()
        with self._news.watch(run_id) as watch:
            while True:
                try:
                    phase = self.history.phase(run_id)
                    if phase.is_final:
                        return self.history.run(run_id)
                    answered = time.monotonic()
                except Unavailable:
                    if time.monotonic() > min(until, answered + PATIENCE_S):
                        raise
                    watch.wait(until)
                    continue
                if time.monotonic() >= until:
                    raise TimeoutError(f"run {run_id} is {phase} after {timeout_s:g} s")
                watch.wait(until)

    def events_since(self, run_id: RunId, after: int, *, wait_s: float = 0.0) -> list[Event]:
        """Return stored events after `after`; when there are none, wait up to `wait_s` for some."""
        until = time.monotonic() + wait_s
        self._listen()
        with self._news.watch(run_id) as watch:
            while True:
                events = self.history.events(run_id, after=after)
                if events or time.monotonic() >= until:
                    return events
                watch.wait(until)

    def _watch(self, run_or_job: str) -> Watch:
        self._listen()
        return self._news.watch(run_or_job)

    def _listen(self) -> None:
        with self._guard:
            if self._listener is None:
                self._listener = Listener(self.url, "kronos_runs", self._news.tell)
                self._listener.start()

    # ── working ──

    def worker(self, *, name: str | None = None) -> WorkerProcess:
        """Return a worker over the workflows that are served here; `start()` it."""
        return WorkerProcess(
            self.url,
            settings=self.settings,
            serving=self.definitions,
            blobs=self.blobs,
            index=self.datasets,
            catalog=self.catalog,
            name=name or node_name(),
            heard=self._news.tell,
        )

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
        if self._listener is not None:
            self._listener.stop()
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
