"""A worker as a process runs it: the engine's worker with its adapters."""

from __future__ import annotations

import gc
import os
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from kronos.app.data_folder import checkpoint_key, dataset_cache
from kronos.app.leading import Leading
from kronos.engine.clock import RunClock
from kronos.engine.context import Services
from kronos.engine.serving import Serving
from kronos.engine.tasks import Task
from kronos.engine.worker import Worker, WorkerOptions
from kronos.kernel.ids import IncarnationId
from kronos.ports.blobs import Blobs
from kronos.ports.datasets import DatasetIndex
from kronos.ports.leading import Presence
from kronos.settings import Settings
from kronos.storage.database import Session
from kronos.storage.jobs import PostgresJobs
from kronos.storage.notices import Listener, Notifier
from kronos.storage.queue import PostgresQueue
from kronos.storage.recordings import PostgresRecorder
from kronos.storage.transactions import PostgresDatabaseSteps, TransactionPool

if TYPE_CHECKING:
    from kronos.market.catalog import Catalog

__all__ = ["WorkerProcess"]


class WorkerProcess:
    """A worker with its connections."""

    def __init__(
        self,
        url: str,
        *,
        settings: Settings,
        serving: Serving,
        blobs: Blobs,
        chunks: Blobs,
        index: DatasetIndex,
        open_datasets: Callable[[], Catalog],
        name: str,
        heard: Callable[[frozenset[str]], None],
    ) -> None:
        self._settings = settings
        self._chunks = chunks
        self._index = index
        self._open_datasets = open_datasets
        self._store = PostgresQueue(url)
        self._jobs = PostgresJobs(url)
        self._notifier = Notifier(url)
        self._session = Session(url, purpose="recorder")
        self._transactions = TransactionPool(url, lease_s=settings.lease)
        self.worker: Final = Worker(
            store=self._store,
            jobs=self._jobs,
            blobs=blobs,
            serving=serving,
            services=self._services,
            heard=heard,
            tell=self._notifier.runs_changed,
            options=WorkerOptions(
                name=name,
                threads=settings.worker_concurrency,
                processes=max(1, min(settings.worker_concurrency, os.cpu_count() or 1)),
                lease_s=settings.lease,
                poll_s=min(1.0, settings.scheduler_poll_interval),
                claim_max=settings.scheduler_batch_size,
            ),
        )
        serving.on_change(self._changed)
        self._leading = Leading(
            url,
            kind="worker",
            name=name,
            lease_s=settings.lease,
            presence=lambda: Presence(self.worker.incarnation, serving.ids),
        )
        self._listener = Listener(url, "kronos_work", self.worker.hint)

    def start(self) -> Self:
        """Begin to claim and execute; returns once the worker is registered."""
        self._leading.join()
        self.worker.start()
        self._leading.start()
        self._listener.start()
        # What was imported lives as long as the process: 300,000 objects that each full collection walked through,
        # 3 of 32 µs a step.
        gc.freeze()
        return self

    def stop(self, drain_s: float = 30.0) -> None:
        """Finish what runs within `drain_s`, give back the rest, leave."""
        self._listener.stop()
        self._leading.stop()
        self.worker.stop(drain_s)
        self._store.close()
        self._jobs.close()
        self._transactions.close()
        self._notifier.close()
        self._session.close()
        gc.unfreeze()

    def _changed(self) -> None:
        self.worker.hint()
        self._leading.candidate.hint()

    def _services(self, incarnation: IncarnationId, clock: RunClock) -> Services:
        def recorder(task: Task) -> PostgresRecorder:
            return PostgresRecorder(
                self._session, incarnation=incarnation, run_id=task.run_id, step=task.step, attempt=task.attempt
            )

        return Services(
            now_ns=clock.now_ns,
            entropy=secrets.token_bytes,
            recorder=recorder,
            blobs=self._chunks,
            index=self._index,
            open_datasets=self._open_datasets,
            checkpoint_key=checkpoint_key(self._settings),
            database_steps=PostgresDatabaseSteps(self._transactions, incarnation, self.worker.hint),
            datasets_in_child=(
                "kronos.market.catalog:Catalog",
                {"cache_dir": str(dataset_cache(self._settings))},
            ),
        )
