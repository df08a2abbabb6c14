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
from kronos.engine.commits import Commits
from kronos.engine.context import Services
from kronos.engine.inbox import Inbox, Stats
from kronos.engine.intake import Intake
from kronos.engine.lease import Lease
from kronos.engine.owned import OwnedRun
from kronos.engine.owner import OwnerLoop
from kronos.engine.runlog import Buffer
from kronos.engine.serving import Serving
from kronos.engine.slots.slots import Slots
from kronos.errors import KronosError, LeaseLost, Unavailable
from kronos.kernel.ids import IncarnationId
from kronos.ports.blobs import Blobs
from kronos.ports.queue import Flush, Queue

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
        blobs: Blobs,
        serving: Serving,
        services: Callable[[IncarnationId, RunClock], Services],
        tell: Callable[[Collection[str]], None],
        options: WorkerOptions,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._serving = serving
        self._services = services
        self._tell = tell
        self.options: Final = options
        self.stats: Final = Stats()
        self._life: _Life | None = None
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

    def hint(self) -> None:
        """Say that there may be something to claim or a command to read."""
        life = self._life
        if life is not None:
            life.intake.hint()

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
                life = self._life = _Life(self)
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

    def _lost(self, life: _Life, reason: BaseException) -> None:
        if life is self._life:  # a committer of a former life may still learn that it is over
            self._reason = self._reason or reason
            self._ended.set()


def _unexpected(reason: BaseException) -> BaseException | None:
    return None if isinstance(reason, KronosError) else reason


class _Life:
    """One incarnation and its threads."""

    def __init__(self, worker: Worker) -> None:
        options, store = worker.options, worker._store  # noqa: SLF001 - one room, two classes
        self.incarnation: Final = store.register(name=options.name, lease_s=options.lease_s)
        clock = RunClock(store.clock_ns)
        self._worker = worker
        self._store = store
        self._inbox = Inbox()
        self.slots: Final = Slots(
            definitions=worker._serving.targets,  # noqa: SLF001
            services=worker._services(self.incarnation, clock),  # noqa: SLF001
            wake=self._inbox.wake.set,
            threads=options.threads,
            processes=options.processes,
            stuck_max=options.stuck_max,
            on_stuck_bound=lambda: self._lost(LeaseLost("too many timed-out threads linger: a new life begins")),
        )
        self.intake: Final = Intake(
            queue=store,
            blobs=worker._blobs,  # noqa: SLF001
            serving=worker._serving,  # noqa: SLF001
            incarnation=self.incarnation,
            clock=clock,
            inbox=self._inbox,
            poll_s=options.poll_s,
            held=lambda: self.loop.held(),  # noqa: PLW0108 - the loop comes after the intake
            on_lost=self._lost,
        )
        self._commits = Commits(
            store=store,
            incarnation=self.incarnation,
            inbox=self._inbox,
            tell=worker._tell,  # noqa: SLF001
            on_lost=self._lost,
        )
        self._lease = Lease(
            store=store,
            incarnation=self.incarnation,
            lease_s=options.lease_s,
            clock=clock,
            on_lost=self._lost,
            on_reaped=self.intake.hint,
        )
        self.loop: Final = OwnerLoop(
            inbox=self._inbox,
            slots=self.slots,
            ports=self,
            clock=clock,
            stats=worker.stats,
            claim_max=options.claim_max,
        )
        self._thread = threading.Thread(target=self._turn, name="kronos-owner", daemon=True)

    # ── what the loop hands over ──

    def want(self, runs: int) -> None:
        self.intake.want(runs)

    def flush(self, flush: Flush, members: list[tuple[OwnedRun, Buffer]]) -> None:
        self._commits.put(flush, members)

    def reload(self, run: OwnedRun, reason: str) -> None:
        self.intake.reload(run, reason)

    # ── life ──

    def start(self) -> None:
        for part in (self._lease, self._commits, self._thread, self.intake):
            part.start()

    def finish(self, grace_s: float) -> None:
        """Leave in order."""
        self.intake.stop()
        self.loop.hold()
        self.slots.stop(grace_s)
        self.loop.stop()
        self._thread.join(timeout=grace_s + 10)
        self._commits.stop()
        try:
            self._store.release(self.incarnation, [run.log.head_now() for run in self.loop.in_hand()])
            self._store.retire(self.incarnation, "stopped")
        except (Unavailable, LeaseLost) as error:
            log.warning("left without a word: %s; the lease will run out", error)
        self._lease.stop()

    def abandon(self) -> None:
        """Leave at once; the reaper gives the runs back."""
        self.loop.abandon()
        self.slots.stop(0.0)
        self.intake.stop()
        self._commits.leave()
        self._lease.stop()
        try:
            # say so, instead of letting the lease run out: the runs can be taken over at once
            self._store.retire(self.incarnation, "abandoned")
        except Unavailable:
            log.warning("incarnation %s could not be retired; its lease will run out", self.incarnation)

    def _lost(self, reason: BaseException) -> None:
        self._worker._lost(self, reason)  # noqa: SLF001

    def _turn(self) -> None:
        try:
            self.loop.run()
        except BaseException as error:
            self._lost(error)
