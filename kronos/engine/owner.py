"""The owner loop: the one thread that turns outcomes and commands into events.

Rule 1: it never waits for the database; claims arrive from the intake, acknowledgements from the committers.
Rule 2: what it keeps is bounded: OWNED_MAX runs in hand, FLUSHES_MAX flushes under way (`gathering`).
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

from kronos.engine.clock import RunClock
from kronos.engine.commands import COMMANDS
from kronos.engine.gathering import Gathering
from kronos.engine.inbox import Inbox, Stats
from kronos.engine.owned import OwnedRun
from kronos.engine.reports import Reports
from kronos.engine.runlog import Buffer
from kronos.engine.slots.slots import AnySlots
from kronos.engine.spreading import Spreading
from kronos.engine.taken import TakenCommands
from kronos.engine.tasks import Outcome, Task
from kronos.engine.trial import Trial
from kronos.engine.vigil import Vigil
from kronos.kernel.ids import DefinitionId, RunId
from kronos.ports.queue import Command, Flush, Verdict

__all__ = ["OwnerLoop"]

log: Final = logging.getLogger("kronos.owner")

OWNED_MAX: Final = 4_000


class Ports(Protocol):
    """What the loop hands work to; both return at once."""

    def want(self, runs: int) -> None:
        """Ask the intake for up to `runs` more runs, 0 for none."""
        ...

    def flush(self, flush: Flush, members: list[tuple[OwnedRun, Buffer]]) -> None:
        """Hand a flush to a committer."""
        ...

    def job_ended(self, task: Task, outcome: Outcome) -> None:
        """Hand over an attempt of a job."""
        ...

    @property
    def has_peers(self) -> bool:
        """Whether any other worker serves any definition of ours."""
        ...

    def peers(self, definition: DefinitionId) -> int:
        """Return how many other workers serve a definition."""
        ...

    def reload(self, run: OwnedRun, reason: str) -> None:
        """Ask the intake to read a run again whose values the store does not take."""
        ...


class OwnerLoop:
    """`run()` in a thread of its own until `stop()`; `drained` tells when nothing is left in hand."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        slots: AnySlots,
        reports: Reports,
        ports: Ports,
        clock: RunClock,
        stats: Stats,
        claim_max: int,
    ) -> None:
        self._inbox = inbox
        self._slots = slots
        self._ports = ports
        self._clock = clock
        self._stats = stats
        self._claim_max = claim_max
        self._runs: dict[RunId, OwnedRun] = {}
        self._gathering = Gathering(clock.monotonic_s)
        self._reports = reports
        self._vigil: Final = Vigil(
            runs=self._runs, slots=slots, reports=reports, clock=clock, touch=self._touch, resume=self._resume
        )
        self._trial: Final = Trial(slots)
        self._spreading: Final = Spreading(ports.peers)
        self._refused: dict[OwnedRun, None] = {}
        self._rejected: set[RunId] = set()
        self._condemned: dict[OwnedRun, str] = {}
        self._taken: Final = TakenCommands()
        self._worked_s = 0.0
        self._holding = False
        self._stopping = False
        self._abandoned = False

    # ── from outside ──

    @property
    def owned(self) -> int:
        """How many runs are in hand."""
        return len(self._runs)

    def held(self) -> set[RunId]:
        """Return the ids of the runs in hand or on their way here; may be called from the intake."""
        waiting = {run.id for run, _ in self._inbox.claimed.copy()}
        return waiting | set(self._runs)

    @property
    def idle_s(self) -> float:
        """For how long no attempt of a run has begun or ended here; 0 while the slots have no room."""
        return self._clock.monotonic_s() - self._worked_s if self._slots.free("thread") else 0.0

    def in_hand(self) -> list[OwnedRun]:
        """Return the runs in hand; call after the loop has ended."""
        return list(self._runs.values())

    def hold(self) -> None:
        """Hand out nothing more; what runs may end and is recorded."""
        self._holding = True

    def stop(self) -> None:
        """End the loop once everything buffered is durable; start nothing new."""
        self._holding = self._stopping = True
        self._inbox.wake.set()

    def abandon(self) -> None:
        """End the loop at once: the incarnation is lost, and nothing that is in hand counts any more."""
        self._abandoned = True
        self._inbox.wake.set()

    def run(self) -> None:
        """Turn until stopped."""
        wake = self._inbox.wake
        while True:
            wake.wait(self.wait_s())
            wake.clear()
            if self.turn():
                return

    def turn(self) -> bool:
        """Take what has arrived, do what is due, hand over what leaves; never waits; return whether all is done."""
        if self._abandoned:
            return True
        stopping = self._stopping  # asked before: what arrived before the stop is taken below
        self._take_committed()
        self._take_claimed()
        self._take_jobs()
        self._take_outcomes()
        self._take_commands()
        self._vigil.turn()
        self._begin_suspects()
        self._offer()
        self._flush()
        self._ask_for_more()
        return stopping and self._gathering.is_empty

    @property
    def next_due_ns(self) -> int | None:
        """When the next backoff or limit is over (ns); None when nothing is timed."""
        return self._vigil.timers.next_ns

    def wait_s(self) -> float:
        """Return the seconds until a turn is due even when nothing arrives."""
        return self._gathering.wait_s(self._vigil.wait_s())

    # ── what arrives ──

    def _take_claimed(self) -> None:
        claimed = self._inbox.claimed
        tasks: list[Task] = []
        for _ in range(len(claimed)):
            run, ready = claimed[0]
            self._runs[run.id] = run
            claimed.popleft()  # only now: `held` sees a run here or there, never in neither place
            self._stats.runs_claimed += 1
            self._taken.add(run.log.buffer.all_drained)
            tasks += self._kept(run, ready) if self._vigil.limit(run) else []
            self._touch(run)
        self._hand_out(tasks)

    def _take_jobs(self) -> None:
        jobs, cancelled = self._inbox.jobs, self._inbox.cancelled
        while jobs and not self._holding:
            tasks = jobs.popleft()
            self._vigil.watch(tasks)
            self._slots.submit(tasks)
        while cancelled:
            for task in cancelled.popleft():
                self._slots.cancel(task.run_id, task.step, task.attempt)

    def _take_outcomes(self) -> None:
        ended = self._reports.completed(self._slots.drain())
        failed = spent_ns = of_jobs = 0
        for task, outcome in ended:
            spent_ns += outcome.finished_ns - outcome.started_ns
            failed += outcome.failure is not None
            if task.job:
                of_jobs += 1
                if task.heartbeat_s is not None:
                    self._vigil.ended(task)
                self._ports.job_ended(task, outcome)
                continue
            run = None if outcome.is_sent else self._runs.get(task.run_id)
            if run is not None and run not in self._condemned:
                try:
                    run.record(task, outcome)
                except Exception as error:
                    log.exception("run %s: the outcome of %s cannot be recorded", run.id, task.step)
                    self._doom(run, f"the outcome of {task.step!r} cannot be recorded: {type(error).__name__}")
                else:
                    self._touch(run)
        if of_jobs < len(ended):
            self._worked_s = self._clock.monotonic_s()
        self._stats.steps_ended += len(ended)
        self._stats.steps_failed += failed
        self._stats.step_seconds += spent_ns / 1e9

    def _take_committed(self) -> None:
        committed = self._inbox.committed
        tasks: list[Task] = []
        for _ in range(len(committed)):
            flush, members, verdict = committed.popleft()
            self._gathering.settled(flush)
            self._stats.flushes += 1
            self._stats.rows += len(flush.rows)
            for run, buffer in members:
                run.flushing = run.parking = False
                tasks += self._kept(run, self._settle(run, buffer, verdict))
                run.log.settled(buffer)
        self._hand_out(tasks)

    def _settle(self, run: OwnedRun, buffer: Buffer, verdict: Verdict) -> list[Task]:
        """Take the store's word on what a run had in a flush; return the attempts that may begin now."""
        refused = bool(verdict.refused) and run.log.uuid in verdict.refused  # hashing a UUID costs more than asking
        rejected = verdict.rejected.get(run.log.uuid) if verdict.rejected else None
        if buffer.drained or buffer.drained_by_end:
            drained = [*buffer.drained] if refused else buffer.all_drained
            if rejected is not None:
                run.log.inbox_seen -= len(drained)  # these commands are still there
                self._taken.read_again(drained)
            elif drained:
                self._taken.deleted(drained, waiting=len(self._inbox.commands))
        if rejected is not None:
            self._condemn(run, f"the database refused: {rejected}")
        elif run in self._condemned and buffer.ended is None:
            self._condemn(run, self._condemned.pop(run))
        elif refused:
            run.log.reopen()
            run.log.buffer.drain_by_end(buffer.drained_by_end)
            self._refused[run] = None
        elif buffer.ended is not None:
            self._condemned.pop(run, None)
            self._finished(run)
        elif buffer.parked and run.log.uuid in verdict.kept:
            self._refused[run] = None
        elif buffer.parked:
            self._forget(run)
        else:
            self._gathering.add(run)
            return [] if run.is_over else buffer.after_commit
        return []

    def _doom(self, run: OwnedRun, reason: str) -> None:
        """Condemn a run, once a flush of its that is under way is settled."""
        if run.flushing:
            self._condemned[run] = reason
        else:
            self._condemn(run, reason)

    def _condemn(self, run: OwnedRun, reason: str) -> None:
        """Read a run again as it is on record, to end it as failed: what is in hand of it cannot be recorded."""
        log.error("run %s: %s", run.id, reason)
        self._forget(run)
        run.active.clear()
        if run.id not in self._rejected:  # a run whose very failure is refused is left alone, and logged
            self._rejected.add(run.id)
            self._ports.reload(run, reason)

    def _finished(self, run: OwnedRun) -> None:
        self._stats.runs_ended += 1
        self._forget(run)
        for step, attempt in run.active.items():
            self._slots.cancel(run.id, step, attempt)  # type: ignore[arg-type]

    def _forget(self, run: OwnedRun) -> None:
        """Let go of a run; one that was parked may be back already, as another object."""
        if self._runs.get(run.id) is run:
            del self._runs[run.id]
        self._gathering.discard(run)
        self._vigil.timers.forget(run)

    def _take_commands(self) -> None:
        commands = self._inbox.commands
        polled = bool(commands)
        for _ in range(len(commands)):
            for command in commands.popleft():
                run = self._runs.get(command.run_id)
                if run is None or run.log.is_ending or run.parking or command.id in self._taken:
                    continue  # it is read again should the end, or the rest, which is under way, be refused
                if command.kind not in COMMANDS:
                    continue
                if run in self._condemned:
                    continue
                self._taken.add((command.id,))
                self._obey(run, command)
            self._taken.took_batch()
        if polled and self._refused:
            for run in self._refused:
                run.end_if_due()
                self._touch(run)
            self._refused.clear()

    def _obey(self, run: OwnedRun, command: Command) -> None:
        try:
            run.obey(command)
        except Exception as error:
            log.exception("run %s: the %s command %s cannot be obeyed", run.id, command.kind, command.id)
            self._doom(run, f"the {command.kind} command {command.id} cannot be obeyed: {type(error).__name__}")
        else:
            self._touch(run)

    # ── what leaves ──

    def _touch(self, run: OwnedRun) -> None:
        if run.retries:
            for due, step in run.retries:
                self._vigil.retry(run, step, due)
            run.retries.clear()
        if run.suspects:
            self._trial.add(run)
        if run.unwanted:
            for step, attempt in run.unwanted:
                self._slots.cancel(run.id, step, attempt)  # type: ignore[arg-type]
            run.unwanted.clear()
        self._gathering.add(run)

    def _begin_suspects(self) -> None:
        if not self._holding:
            for run, task in self._trial.admit():
                run.begin_on_record(task)
                self._touch(run)

    def _hand_out(self, tasks: list[Task]) -> None:
        if not tasks or self._holding:
            return
        self._trial.forget(tasks)
        self._worked_s = self._clock.monotonic_s()
        self._vigil.add(tasks, self._worked_s)
        self._slots.submit(tasks)

    def _resume(self, run: OwnedRun, step: str) -> None:
        if not self._holding:
            self._hand_out(self._kept(run, run.retry(step)))
            self._touch(run)

    def _kept(self, run: OwnedRun, tasks: list[Task]) -> list[Task]:
        """Put aside what other workers are offered of a wide run; return what is executed here."""
        if self._holding or not self._ports.has_peers:
            return tasks
        return self._spreading.share(run, tasks, self._clock.monotonic_s())

    def _offer(self) -> None:
        for run in self._spreading.leaving(self._clock.monotonic_s()):
            self._touch(run)

    def _flush(self) -> None:
        while (gathered := self._gathering.next()) is not None:
            self._ports.flush(*gathered)

    def _ask_for_more(self) -> None:
        """Claim when slots would idle: the more runs are waiting for a commit, the larger the next claim."""
        room = min(OWNED_MAX - len(self._runs), self._claim_max)
        idle = self._slots.free("thread")
        busy = self._holding or room <= 0 or not idle or not self._slots.free("process") or self._trial.waiting
        self._ports.want(0 if busy else min(room, max(idle, len(self._runs))))
