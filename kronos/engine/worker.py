"""A worker: one process life after another, each with its own incarnation, lease, slots and loop.

Rule 1: whatever fails (the lease, the loop, the store's word that we are dead) ends the life, never the worker:
        nothing that was in hand counts, a new incarnation begins, and takes over like anybody else.
Rule 2: `stop` finishes what runs within the grace, gives the rest back in order, and loses nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from kronos.engine.clock import RunClock
from kronos.engine.context import Services
from kronos.engine.inbox import Stats
from kronos.engine.life import EVERYTHING, Life, Surroundings
from kronos.engine.serving import Serving
from kronos.engine.slots.slots import COROUTINES_MAX, Slots
from kronos.errors import KronosError, LeaseLost, Unavailable
from kronos.kernel.ids import IncarnationId, RunId
from kronos.ports.blobs import Blobs
from kronos.ports.jobs import JobStore
from kronos.ports.queue import Queue, RunRequest

__all__ = ["Worker", "WorkerOptions"]

log: Final = logging.getLogger("kronos.worker")

REBIRTH_S: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """`threads` and `processes` are slots; `lease_s` how long a silent worker keeps its runs; `poll_s` how long an idle
    one waits for a notice before it looks; `claim_max` runs are claimed at once, at most;
    `stuck_max` timed-out threads that may linger before a new life begins.
    """

    name: str
    threads: int = 8
    processes: int = 2
    lease_s: float = 10.0
    poll_s: float = 1.0
    claim_max: int = 1_000
    stuck_max: int = 8


class Worker:
    """Claims and executes runs until `stop`."""

    def __init__(
        self,
        *,
        store: Queue,
        jobs: JobStore,
        blobs: Blobs,
        serving: Serving,
        services: Callable[[IncarnationId, RunClock], Services],
        heard: Callable[[frozenset[str]], None],
        tell: Callable[[Collection[str]], None],
        options: WorkerOptions,
    ) -> None:
        self.options: Final = options
        self.stats: Final = Stats()
        self._around = Surroundings(
            name=options.name,
            store=store,
            blobs=blobs,
            serving=serving,
            services=services,
            jobs=jobs,
            capacity={"thread": options.threads, "process": options.processes, "async": COROUTINES_MAX},
            slots=lambda services, wake, on_lost: _slots(options, serving, services, wake, on_lost),
            heard=heard,
            tell=tell,
            lease_s=options.lease_s,
            poll_s=options.poll_s,
            claim_max=options.claim_max,
            stats=self.stats,
        )
        self._life: Life | None = None
        self._ended = threading.Event()
        self._reason: BaseException | None = None
        self._stopping = threading.Event()
        self._born = threading.Event()
        self._grace_s = 30.0
        self._thread = threading.Thread(target=self._supervise, name="kronos-worker", daemon=True)

    def start(self) -> None:
        """Begin; returns once the first incarnation is registered, or raises what keeps it from being."""
        self._thread.start()
        self._born.wait()
        if self._life is None and self._reason is not None:
            raise self._reason

    def stop(self, drain_s: float = 30.0) -> None:
        """Finish what runs, at most `drain_s`, give back the rest, and leave."""
        self._grace_s = drain_s
        self._stopping.set()
        self._ended.set()
        self._thread.join(timeout=drain_s + 30)

    def hint(self, topics: frozenset[str] = EVERYTHING) -> None:
        """Say that there may be something to claim or a command to read: `topics` of EVERYTHING."""
        life = self._life
        if life is not None:
            life.hint(topics)

    def start_run(self, request: RunRequest) -> RunId | None:
        """Start a run and claim it at once, a COMMIT and a notice sooner; None where this worker has no hand free."""
        life = self._life
        return None if life is None else life.intake.ask(request).result()

    @property
    def incarnation(self) -> IncarnationId | None:
        """The present incarnation."""
        life = self._life
        return None if life is None else life.incarnation

    @property
    def is_alive(self) -> bool:
        """Whether the worker holds a lease now."""
        return self._life is not None and not self._ended.is_set()

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            self._ended.clear()
            self._reason = None
            if self._stopping.is_set():
                return
            try:
                life = self._life = Life(self._around, self._lost)
            except Unavailable as error:
                log.warning("waiting for the database: %s", error)
                self._stopping.wait(REBIRTH_S)
                continue
            except BaseException as error:
                self._reason = error
                self._born.set()
                log.exception("the worker cannot begin")
                return
            life.start()
            self._born.set()
            self._ended.wait()
            reason = self._why_it_ended()
            if reason is None:
                life.finish(self._grace_s)
            else:
                log.warning("incarnation %s is over: %s", life.incarnation, reason, exc_info=_unexpected(reason))
                life.abandon()
                self._stopping.wait(REBIRTH_S)
            self._life = None

    def _why_it_ended(self) -> BaseException | None:
        return self._reason

    def _lost(self, life: Life, reason: BaseException) -> None:
        if life is self._life:  # a committer of a former life may still learn that it is over
            self._reason = self._reason or reason
            self._ended.set()


def _unexpected(reason: BaseException) -> BaseException | None:
    return None if isinstance(reason, KronosError) else reason


def _slots(
    options: WorkerOptions,
    serving: Serving,
    services: Services,
    wake: Callable[[], None],
    on_lost: Callable[[BaseException], None],
) -> Slots:
    return Slots(
        definitions=serving.targets,
        services=services,
        wake=wake,
        threads=options.threads,
        processes=options.processes,
        stuck_max=options.stuck_max,
        on_stuck_bound=lambda: on_lost(LeaseLost("too many timed-out threads linger: a new life begins")),
    )
