"""Jobs in a worker: claimed, executed in the same slots as steps, ended in group commits.

Rule 1: a turn is one transaction: what has ended is recorded, and as much is claimed as the slots will soon be through
        with; so nothing is kept from other workers for long.
Rule 2: a turn that met a broken link is repeated as it was: each line of it names (job, worker, attempt).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from kronos.core.definition import StepDefinition
from kronos.core.jobs import APART_LOSSES, after_failure
from kronos.core.options import Executor
from kronos.engine.appetite import Appetite
from kronos.engine.clock import RunClock
from kronos.engine.inbox import Inbox
from kronos.engine.offers import Hand, tasks_of, unreadable_offer
from kronos.engine.serving import Serving
from kronos.engine.slots.processes import PROCESS_DIED
from kronos.engine.tasks import Outcome, Task
from kronos.errors import Unavailable
from kronos.kernel.ids import DefinitionId, IncarnationId, JobId, RunId, StepName
from kronos.ports.jobs import ClaimedJob, Claims, Ended, FailedJob, FinishedJob, JobStore, Room

__all__ = ["JobDesk"]

log: Final = logging.getLogger("kronos.jobs")

CHECK_S: Final = 5.0
"""How often what is ours and in nobody's hands is given back: the answer to a claim may have been lost."""
CHORES_S: Final = 1.0
HELD_BACK_S: Final = 0.05
"""How soon is asked again where limits, or runs of our own, held something back."""
RECONNECT_S: Final = 0.25


class JobDesk:
    """One thread; `capacity` says how many slots there are of each kind, `is_idle` whether this worker's runs leave any
    free: only then does it take steps that wide runs, perhaps its own, offer to all.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        serving: Serving,
        incarnation: IncarnationId,
        inbox: Inbox,
        capacity: Mapping[Executor, int],
        is_idle: Callable[[], bool],
        poll_s: float,
        clock: RunClock,
        chance: Callable[[], float],
        tell: Callable[[Collection[str]], None],
        on_lost: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._serving = serving
        self._incarnation = incarnation
        self._inbox = inbox
        self._appetite = Appetite(serving, capacity, is_idle, clock.monotonic_s())
        self._poll_s = poll_s
        self._clock = clock
        self._chance = chance
        self._tell = tell
        self._on_lost = on_lost
        self._in_hand: dict[JobId, Hand] = {}
        self.peers: dict[DefinitionId, int] = {}
        """By how many other workers each definition is served, as of late."""
        self._ended: deque[tuple[Task, Outcome]] = deque()
        self._unsent = Ended()
        self._cancelling: set[JobId] = set()
        self._next_claim = self._next_chores = 0.0
        self._next_check = self._clock.monotonic_s() + CHECK_S
        self._hinted = True
        self._holding = self._stopping = False
        self.wake: Final = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kronos-jobs", daemon=True)

    # ── from outside ──

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hint(self) -> None:
        """Say that there may be something new."""
        self._hinted = True
        self.wake.set()

    def put_ended(self, task: Task, outcome: Outcome) -> None:
        """Hand over an attempt that has ended."""
        self._ended.append((task, outcome))
        self.wake.set()

    def hold(self) -> None:
        """Claim nothing more; what runs may end and is recorded."""
        self._holding = True

    def stop(self) -> None:
        """End, and wait for it."""
        self._holding = self._stopping = True
        self.wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)

    def give_back(self, running: Iterable[Task]) -> None:
        """Record what has ended meanwhile, and give back the rest, which `running` began; the thread has ended."""
        self._take_ended()
        self._record()
        self._store.release(self._incarnation, kept=[], begun=[task.job for task in running if task.job])

    # ── one turn ──

    def _run(self) -> None:
        while not self._stopping:
            try:
                wait_s = self.turn()
            except BaseException as error:
                self._on_lost(error)
                return
            if wait_s > 0:
                self.wake.wait(wait_s)
            self.wake.clear()

    def turn(self) -> float:
        """Do what is due; return the seconds until the next turn is, unless something arrives."""
        try:
            return self._turn()
        except Unavailable:
            self._next_check = 0.0
            self.wake.clear()
            return RECONNECT_S

    def _turn(self) -> float:
        now = self._clock.monotonic_s()
        self._do_chores(now)
        hinted, self._hinted = self._hinted, False
        self._take_ended()
        may_claim = not self._holding and (hinted or now >= self._next_claim)
        rooms = self._appetite.rooms(now) if may_claim else []
        claims = self._record(rooms)
        if rooms:
            self._plan(now, rooms, claims)
        if self._ended:
            return 0.0
        is_sated = self._holding or (may_claim and not rooms)  # an end makes room, and wakes this thread
        due = self._next_chores if is_sated else min(self._next_claim, self._next_chores)
        return max(0.0, due - now)

    def _record(self, rooms: Collection[Room] = ()) -> Claims:
        """Send what has ended, and claim what there is room for."""
        ended = self._unsent
        if not rooms and not ended:
            return Claims()
        began = self._clock.monotonic_s()
        claims = self._store.turn(self._incarnation, ended, list(rooms))
        self._appetite.note_turn(self._clock.monotonic_s() - began)
        self._unsent = Ended()
        self._forget(ended.ids)
        tasks = [task for job in claims.jobs for task in self._take(job)]
        if tasks:
            self._inbox.put_jobs(tasks)
        if ended.finished or ended.failed:
            self._tell(ended.ids)
        for job in ended.failed:
            if job.due_ns is not None:
                self._next_claim = 0.0
        return claims

    def _plan(self, now: float, rooms: Collection[Room], claims: Claims) -> None:
        """Say when to claim again."""
        if len(claims.jobs) >= min(room.limit for room in rooms):
            self._next_claim = 0.0
        elif claims.held_back:
            self._next_claim = now + HELD_BACK_S
        elif claims.jobs:
            self._next_claim = now
        else:
            due_s = self._poll_s if claims.next_due_s is None else max(0.001, claims.next_due_s)
            self._next_claim = now + min(self._poll_s, due_s)
        self._next_claim = min(self._next_claim, self._appetite.again_at)

    def _do_chores(self, now: float) -> None:
        if now >= self._next_check:
            self._store.release(self._incarnation, kept=list(self._in_hand), begun=[])
            self._next_check = now + CHECK_S
        if self._in_hand and (self._hinted or now >= self._next_chores):
            gone = self._store.cancelled(self._incarnation, list(self._in_hand))
            asked = [job for job in gone if job not in self._cancelling]
            self._cancelling.update(asked)
            if asked:
                self._inbox.put_cancelled([task for job in asked for task in self._in_hand[job].tasks])
        if now >= self._next_chores:
            self._next_chores = now + CHORES_S
            self._store.maintain()
            self.peers = self._store.shared(self._incarnation)

    # ── what comes ──

    def _take(self, job: ClaimedJob) -> tuple[Task, ...]:
        try:
            hand = Hand(job, tasks_of(job, self._serving) if job.run_id is not None else [self._task(job)])
        except Exception as error:
            log.exception("the steps that job %s offers cannot be read", job.id)
            self._unsent.sent.append(unreadable_offer(job, error))
            self._in_hand[job.id] = Hand(job, ())
            self.wake.set()
            return ()
        self._in_hand[job.id] = hand
        for task in hand.tasks:
            self._appetite.begin(task.executor)
        return hand.tasks

    def _task(self, job: ClaimedJob) -> Task:
        step = self._serving.targets[job.target]
        executor = "process" if job.losses >= APART_LOSSES else step.options.executor
        name, timeout_s, silence_s = StepName(step.name), step.options.timeout_s, step.options.heartbeat_timeout_s
        return Task(RunId(job.id), name, job.attempt, job.target, job.input, timeout_s, executor, job.id, silence_s)

    # ── what leaves ──

    def _take_ended(self) -> None:
        take = self._ended.popleft
        for _ in range(len(self._ended)):
            task, outcome = take()
            hand = self._in_hand.get(task.job)
            if hand is None or (hand.job.attempt != task.attempt and hand.job.run_id is None):
                continue
            self._appetite.end(task.executor)
            self._note_ended(hand, task, outcome)
        self._appetite.note_pace(self._clock.monotonic_s())

    def _note_ended(self, hand: Hand, task: Task, outcome: Outcome) -> None:
        job, unsent = hand.job, self._unsent
        was_left = outcome.failure is not None and outcome.failure.cause == "cancelled" and self._holding
        if was_left and job.id not in self._cancelling:
            return  # it was ended by our leaving: the job is given back
        if job.run_id is not None:
            sent = hand.take(task, outcome, self._incarnation)
            if sent is not None:
                unsent.sent.append(sent)
        elif outcome.failure is None:
            assert outcome.output is not None, "an outcome has an output or a failure"
            at = (outcome.started_ns, outcome.finished_ns)
            unsent.finished.append(FinishedJob(job.id, job.attempt, outcome.output, *at))
        else:
            unsent.failed.append(self._failed(job, outcome))

    def _failed(self, job: ClaimedJob, outcome: Outcome) -> FailedJob:
        step: StepDefinition[Any, Any] = self._serving.targets[job.target]
        failure = outcome.failure
        assert failure is not None, "only failed attempts come here"
        after = after_failure(
            step.options,
            failure,
            failures=job.failures,
            finished_ns=outcome.finished_ns,
            chance=self._chance(),
            is_apart=job.losses >= APART_LOSSES and failure.type == PROCESS_DIED,
        )
        why = msgspec.json.encode(failure)
        return FailedJob(
            job.id,
            job.attempt,
            after.state.value,
            after.due_ns,
            after.failures,
            why,
            outcome.started_ns,
            outcome.finished_ns,
        )

    def _forget(self, jobs: Iterable[JobId]) -> None:
        for job in jobs:
            del self._in_hand[job]
            self._cancelling.discard(job)
