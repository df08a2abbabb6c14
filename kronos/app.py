"""The composition root: the only place where adapters are chosen.

Rule: everything above asks a `Kronos`; everything below is given what it needs.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from kronos.core.definition import WorkflowDefinition
from kronos.core.events import Event
from kronos.core.state import Phase
from kronos.engine.clock import RunClock
from kronos.engine.context import Services
from kronos.engine.news import RunNews
from kronos.engine.registration import define, workflows_in
from kronos.engine.serving import Serving
from kronos.engine.tasks import Task
from kronos.engine.worker import Worker, WorkerOptions
from kronos.errors import Conflict, InvalidInput, KronosError, NotFound
from kronos.kernel import canonical
from kronos.kernel.ids import IncarnationId, RunId
from kronos.kernel.schema import check_against
from kronos.market.catalog import Catalog
from kronos.ports.history import Definition, RunSummary
from kronos.settings import Settings, read_settings
from kronos.storage.blobs import PostgresBlobs
from kronos.storage.database import Session
from kronos.storage.datasets import PostgresDatasets
from kronos.storage.embedded import EmbeddedPostgres
from kronos.storage.history import PostgresHistory
from kronos.storage.migrate import check_schema, migrate
from kronos.storage.notices import Listener, Notifier
from kronos.storage.queue import PostgresQueue
from kronos.storage.recordings import PostgresRecorder, PostgresRecordings
from kronos.storage.submission import Submission

__all__ = ["Engine", "Handle", "Kronos"]

R = TypeVar("R")
Workflow = WorkflowDefinition[Any, Any]

WAIT_FOREVER_S: Final = 365 * 86_400.0


class Kronos:
    """One process's access to a Kronos database: submit, read, wait, and on demand work."""

    def __init__(self, settings: Settings, url: str, *, embedded: EmbeddedPostgres | None = None) -> None:
        self.settings: Final = settings
        self.url: Final = url
        self._embedded = embedded
        self._session = Session(url, purpose="client")
        self._submission = Submission(self._session)
        self.blobs: Final = PostgresBlobs(self._session, kind="dataset", owner="catalog")
        self.datasets: Final = PostgresDatasets(self._session)
        self.catalog: Final = Catalog(self.blobs, self.datasets, settings.data_dir / "cache" / "datasets")
        self.history: Final = PostgresHistory(self._session, self.blobs)
        self.recordings: Final = PostgresRecordings(self._session)
        self.definitions: Final = Serving()
        self._news = RunNews()
        self._listener: Listener | None = None
        self._guard = threading.Lock()

    @classmethod
    def open(
        cls,
        settings: Settings | None = None,
        *,
        database_url: str | None = None,
        data_dir: Path | None = None,
        workflows: Sequence[Workflow | str] = (),
    ) -> Self:
        """Connect, with the embedded server where no DATABASE_URL is given; bring the schema up to date.

        `workflows` are definitions, or names of modules that hold some.  Raises `Unavailable`, `NotFound`,
        `WorkflowDefinitionError`.
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

    def serve(self, *workflows: Workflow | str) -> None:
        """Register workflows, or every workflow of the modules named, for runs to be started and executed here."""
        for each in workflows:
            found = workflows_in(each) if isinstance(each, str) else [each]
            for workflow in found:
                if self.definitions.holds(workflow) is None:
                    definition, sources = define(workflow)
                    self._submission.register(definition, sources)
                    self.definitions.add(workflow, definition)

    # ── asking for something ──

    def start(
        self,
        workflow: Workflow | str,
        run_input: object = None,
        *,
        version: str | None = None,
        timeout_s: float | None = None,
    ) -> RunId:
        """Start a run and return its id; it is durable when this returns.

        Raises `NotFound` for an unknown workflow, `InvalidInput` whose `facts["field"]` is the path of a wrong value.
        """
        return self.start_json(workflow, canonical.encode(run_input), version=version, timeout_s=timeout_s)

    def start_json(
        self,
        workflow: Workflow | str,
        run_input: bytes | str,
        *,
        version: str | None = None,
        timeout_s: float | None = None,
    ) -> RunId:
        """`start` with an input that is JSON text already."""
        data = run_input.encode() if isinstance(run_input, str) else run_input
        definition, checked = self._checked(workflow, data, version)
        if timeout_s is None:
            timeout_s = definition.graph.timeout_s
        if timeout_s is not None and timeout_s <= 0:
            raise InvalidInput(f"timeout {timeout_s} is not positive", field="timeout", value=timeout_s)
        return self._submission.start(definition.id, checked, timeout_s=timeout_s)

    def start_many(self, workflow: Workflow | str, inputs: Sequence[object]) -> list[RunId]:
        """Start one run of `workflow` for each of `inputs`, in one transaction; return their ids in that order."""
        checked = [self._checked(workflow, canonical.encode(each), None) for each in inputs]
        if not checked:
            return []
        return self._submission.start_many(checked[0][0].id, [data for _, data in checked])

    def cancel(self, run_id: RunId, *, reason: str = "", by: str = "") -> None:
        """Ask for the end of a run; raise `Conflict` when it has ended already."""
        wish = msgspec.json.encode({"reason": reason, "by": by})
        if not self._submission.send(run_id, "cancel", wish):
            raise Conflict(f"run {run_id} is {self.history.run(run_id).phase} already", run_id=run_id)

    def _checked(self, workflow: Workflow | str, data: bytes, version: str | None) -> tuple[Definition, bytes]:
        if isinstance(workflow, WorkflowDefinition):
            self.serve(workflow)
        name = workflow if isinstance(workflow, str) else workflow.name
        served = self.definitions.named(name) if isinstance(workflow, str) else self.definitions.holds(workflow)
        if served is not None and version in (None, served.definition.version):
            return served.definition, served.workflow.check_input(data)
        definition = self._registered(name, version)
        return definition, check_against(definition.input_schema, data)

    def _registered(self, name: str, version: str | None) -> Definition:
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
        """Return the run once it has ended; raise `TimeoutError` after `timeout_s`."""
        until = time.monotonic() + (WAIT_FOREVER_S if timeout_s is None else timeout_s)
        self._listen()
        with self._news.watch(run_id) as watch:
            while True:
                run = self.history.run(run_id)
                if run.phase.is_final:
                    return run
                if time.monotonic() >= until:
                    raise TimeoutError(f"run {run_id} is {run.phase} after {timeout_s:g} s")
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

    def _listen(self) -> None:
        with self._guard:
            if self._listener is None:
                self._listener = Listener(self.url, "kronos_runs", self._news.tell)
                self._listener.start()

    # ── working ──

    def worker(self, *, name: str | None = None) -> WorkerProcess:
        """Return a worker over the workflows that are served here; `start()` it."""
        return WorkerProcess(self, name or f"{self.settings.data_dir.name}-{os.getpid()}")

    def ready(self) -> dict[str, object]:
        """Return what readiness rests on; raise `Unavailable` naming what does not answer."""
        with self._session.connection() as connection:
            return {"database": "ok", "schema": check_schema(connection)}

    @property
    def checkpoint_key(self) -> bytes:
        """The secret that authenticates checkpoints made in this data folder; made on first use, mode 0600."""
        return _secret(self.settings.data_dir / "checkpoint.key")

    def close(self) -> None:
        """Leave: connections are closed, and the embedded server stops when nobody else uses it."""
        if self._listener is not None:
            self._listener.stop()
        self._session.close()
        if self._embedded is not None:
            self._embedded.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WorkerProcess:
    """A worker with its connections."""

    def __init__(self, app: Kronos, name: str) -> None:
        self._app = app
        self._store = PostgresQueue(app.url)
        self._notifier = Notifier(app.url)
        self._session = Session(app.url, purpose="recorder")
        self.worker: Final = Worker(
            store=self._store,
            blobs=app.blobs,
            serving=app.definitions,
            services=self._services,
            tell=self._notifier.runs_changed,
            options=WorkerOptions(
                name=name,
                threads=app.settings.worker_concurrency,
                processes=max(1, min(app.settings.worker_concurrency, os.cpu_count() or 1)),
                lease_s=app.settings.lease,
                poll_s=min(1.0, app.settings.scheduler_poll_interval),
            ),
        )
        app.definitions.on_change(self.worker.hint)
        self._listener = Listener(app.url, "kronos_work", lambda _ids: self.worker.hint())

    def start(self) -> Self:
        """Begin to claim and execute; returns once the worker is registered."""
        self.worker.start()
        self._listener.start()
        return self

    def stop(self, drain_s: float = 30.0) -> None:
        """Finish what runs within `drain_s`, give back the rest, leave."""
        self._listener.stop()
        self.worker.stop(drain_s)
        self._store.close()
        self._notifier.close()
        self._session.close()

    def _services(self, incarnation: IncarnationId, clock: RunClock) -> Services:
        app = self._app

        def recorder(task: Task) -> PostgresRecorder:
            return PostgresRecorder(
                self._session, incarnation=incarnation, run_id=task.run_id, step=task.step, attempt=task.attempt
            )

        return Services(
            now_ns=clock.now_ns,
            entropy=secrets.token_bytes,
            recorder=recorder,
            blobs=app.blobs,
            index=app.datasets,
            open_datasets=lambda: app.catalog,
            datasets_in_child=(
                "kronos.market.catalog:Catalog",
                {"cache_dir": str(app.settings.data_dir / "cache" / "datasets")},
            ),
        )


class Handle:
    """A run that was started here."""

    def __init__(self, app: Kronos, run_id: RunId, workflow: Workflow) -> None:
        self._app = app
        self.run_id: Final = run_id
        self._workflow = workflow

    def result(self, timeout: float | None = None) -> Any:
        """Return the run's typed result; raise `RunFailedError` or, after `timeout` s, `TimeoutError`."""
        run = self._app.wait(self.run_id, timeout)
        if run.phase is not Phase.COMPLETED:
            raise RunFailedError(run)
        assert run.output is not None, "a completed run has an output"
        return canonical.decode(self._app.history.payload(run.output), self._workflow.output_type)

    @property
    def status(self) -> RunSummary:
        """The run's line as of now."""
        return self._app.history.run(self.run_id)


class RunFailedError(KronosError):
    """A run that was waited for ended otherwise than completed; `run` is its line."""

    code = "run_failed"

    def __init__(self, run: RunSummary) -> None:
        why = "" if run.failure is None else f": {run.failure.type}: {run.failure.message}"
        where = f" at step {run.failed_step!r}" if run.failed_step else ""
        super().__init__(f"run {run.id} is {run.phase}{where}{why}", run_id=run.id, phase=run.phase)
        self.run = run


class Engine:
    """Library mode: engine, worker and submit inside one Python process, no server.

    ```python
    with Engine(workflows=[sma_research]) as engine:
        report = engine.start(sma_research, Request(...)).result(timeout=60)
    ```
    """

    def __init__(
        self,
        *,
        workflows: Sequence[Workflow | str] = (),
        database_url: str | None = None,
        data_dir: Path | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.app: Final = Kronos.open(settings, database_url=database_url, data_dir=data_dir, workflows=workflows)
        self._worker = self.app.worker().start()

    def start(self, workflow: Workflow, run_input: object = None, *, timeout_s: float | None = None) -> Handle:
        """Start a run; it is durable when this returns."""
        return Handle(self.app, self.app.start(workflow, run_input, timeout_s=timeout_s), workflow)

    def start_many(self, workflow: Workflow, inputs: Sequence[object]) -> list[Handle]:
        """Start one run for each of `inputs`, in one transaction."""
        return [Handle(self.app, run_id, workflow) for run_id in self.app.start_many(workflow, inputs)]

    def close(self, drain_s: float = 30.0) -> None:
        """Finish what runs within `drain_s` and leave."""
        self._worker.stop(drain_s)
        self.app.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _secret(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))
    return path.read_bytes()
