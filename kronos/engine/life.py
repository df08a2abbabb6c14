"""One incarnation and its parts: what a worker is between its birth and its loss.

Rule: each part has a turn of its own (`loop.turn`, `intake.turn`, `commits.turn`, `lease.renew`, `lease.watch`,
      `lease.reap`): threads repeat them here, a simulation takes them one by one.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from kronos.core.options import Executor
from kronos.engine.clock import RunClock
from kronos.engine.commits import Commits
from kronos.engine.context import Services
from kronos.engine.inbox import Inbox, Stats
from kronos.engine.intake import Intake
from kronos.engine.jobs import JobDesk
from kronos.engine.lease import Lease
from kronos.engine.owned import OwnedRun
from kronos.engine.owner import OwnerLoop
from kronos.engine.runlog import Buffer
from kronos.engine.serving import Serving
from kronos.engine.slots.slots import AnySlots
from kronos.engine.tasks import Outcome, Task
from kronos.errors import LeaseLost, Unavailable
from kronos.kernel.ids import DefinitionId, IncarnationId
from kronos.ports.blobs import Blobs
from kronos.ports.jobs import JobStore
from kronos.ports.queue import Flush, Queue

__all__ = ["EVERYTHING", "Life", "Surroundings"]

EVERYTHING: Final = frozenset({"runs", "inbox", "jobs"})
"""What may be new: runs to claim, inbox rows (whose run may have to be claimed), jobs."""

IDLE_S: Final = 0.1
"""A worker whose runs have left its slots free for this long takes steps that wide runs offer to all."""
log: Final = logging.getLogger("kronos.worker")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What every life of a worker is given.

    `services` and `slots` are made anew for each life; `clock` makes its run clock from the store's time; `lease_s`,
    `poll_s` and `claim_max` are those of `WorkerOptions`.
    """

    name: str
    store: Queue
    blobs: Blobs
    serving: Serving
    services: Callable[[IncarnationId, RunClock], Services]
    slots: Callable[[Services, Callable[[], None], Callable[[BaseException], None]], AnySlots]
    """Makes slots from (services, wake, on_lost)."""
    tell: Callable[[Collection[str]], None]
    """Says through the store which runs and jobs have news; may take its time."""
    lease_s: float
    poll_s: float
    claim_max: int
    jobs: JobStore | None = None
    """Without a store, no jobs are taken."""
    capacity: Mapping[Executor, int] = field(default_factory=dict)
    """How many slots there are of each kind."""
    clock: Callable[[Callable[[], int]], RunClock] = RunClock
    heard: Callable[[frozenset[str]], None] = lambda _ids: None
    """Says so in this process."""
    chance: Callable[[], float] = random.random
    stats: Stats = field(default_factory=Stats)


class Life:
    """One incarnation; `on_lost` is told, once or more, why it is over."""

    def __init__(self, around: Surroundings, on_lost: Callable[[Life, BaseException], None]) -> None:
        store = around.store
        self._store = store
        self._on_lost = on_lost
        self.incarnation: Final = store.register(name=around.name, lease_s=around.lease_s)
        clock = around.clock(store.clock_ns)
        self.inbox: Final = Inbox()
        services = around.services(self.incarnation, clock)
        self.slots: Final = around.slots(services, self.inbox.wake.set, self.lost)
        self.intake: Final = Intake(
            queue=store,
            blobs=around.blobs,
            serving=around.serving,
            incarnation=self.incarnation,
            clock=clock,
            inbox=self.inbox,
            poll_s=around.poll_s,
            room=around.capacity,
            chance=around.chance,
            reports=services.reports,
            held=lambda: self.loop.held(),  # noqa: PLW0108 - the loop comes after the intake
            on_lost=self.lost,
        )
        self.commits: Final = Commits(
            store=store,
            incarnation=self.incarnation,
            inbox=self.inbox,
            heard=around.heard,
            tell=around.tell,
            on_lost=self.lost,
        )
        self.lease: Final = Lease(
            store=store,
            incarnation=self.incarnation,
            lease_s=around.lease_s,
            clock=clock,
            on_lost=self.lost,
            on_reaped=self.hint,
        )
        self.loop: Final = OwnerLoop(
            inbox=self.inbox,
            slots=self.slots,
            reports=services.reports,
            ports=self,
            clock=clock,
            stats=around.stats,
            claim_max=around.claim_max,
        )
        self.jobs: Final = self._desk(around, clock)
        self._thread = threading.Thread(target=self._turn, name="kronos-owner", daemon=True)

    def _desk(self, around: Surroundings, clock: RunClock) -> JobDesk | None:
        if around.jobs is None:
            return None
        return JobDesk(
            store=around.jobs,
            serving=around.serving,
            incarnation=self.incarnation,
            inbox=self.inbox,
            capacity=around.capacity,
            is_idle=lambda: self.loop.idle_s > IDLE_S,
            poll_s=around.poll_s,
            clock=clock,
            chance=around.chance,
            tell=self.commits.spread,
            on_lost=self.lost,
        )

    def hint(self, topics: frozenset[str] = EVERYTHING) -> None:
        """Let those look who can take what was announced; where that is unknown, all: each look costs a transaction."""
        if not topics or not topics <= EVERYTHING:
            topics = EVERYTHING
        if "inbox" in topics:
            self.intake.hint()
        elif "runs" in topics:
            self.intake.hint_of_runs()
        if "jobs" in topics and self.jobs is not None:
            self.jobs.hint()

    # ── what the loop hands over ──

    def want(self, runs: int) -> None:
        self.intake.want(runs)

    def flush(self, flush: Flush, members: list[tuple[OwnedRun, Buffer]]) -> None:
        self.commits.put(flush, members)

    def job_ended(self, task: Task, outcome: Outcome) -> None:
        if self.jobs is not None:
            self.jobs.put_ended(task, outcome)

    @property
    def has_peers(self) -> bool:
        return self.jobs is not None and bool(self.jobs.peers)

    def peers(self, definition: DefinitionId) -> int:
        return 0 if self.jobs is None else self.jobs.peers.get(definition, 0)

    def reload(self, run: OwnedRun, reason: str) -> None:
        self.intake.reload(run, reason)

    # ── life ──

    def start(self) -> None:
        for part in (self.lease, self.commits, self._thread, self.intake):
            part.start()
        if self.jobs is not None:
            self.jobs.start()

    def finish(self, grace_s: float) -> None:
        """Leave in order."""
        self.intake.stop()
        if self.jobs is not None:
            self.jobs.hold()
        self.loop.hold()
        self.slots.stop(grace_s)
        self.loop.stop()
        self._thread.join(timeout=grace_s + 10)
        self.commits.stop()
        if self.jobs is not None:
            self.jobs.stop()
        self.give_back()
        self.lease.stop()

    def give_back(self) -> None:
        """Hand over what is still in hand, and say that this incarnation leaves."""
        try:
            if self.jobs is not None:
                self.jobs.give_back(self.slots.running())
            self._store.release(self.incarnation, [run.log.head_now() for run in self.loop.in_hand()])
            self._store.retire(self.incarnation, "stopped")
        except (Unavailable, LeaseLost) as error:
            log.warning("left without a word: %s; the lease will run out", error)

    def abandon(self) -> None:
        """Leave at once; the reaper gives the runs back."""
        self.loop.abandon()
        self.slots.stop(0.0)
        self.intake.stop()
        if self.jobs is not None:
            self.jobs.stop()
        self.commits.leave()
        self.lease.stop()
        self.retire()

    def retire(self) -> None:
        """Say that this incarnation is over, unless the database is away."""
        try:
            # say so, instead of letting the lease run out: the runs can be taken over at once
            self._store.retire(self.incarnation, "abandoned")
        except Unavailable:
            log.warning("incarnation %s could not be retired; its lease will run out", self.incarnation)

    def lost(self, reason: BaseException) -> None:
        """Say that this incarnation is over, and why."""
        self._on_lost(self, reason)

    def _turn(self) -> None:
        try:
            self.loop.run()
        except BaseException as error:
            self.lost(error)
