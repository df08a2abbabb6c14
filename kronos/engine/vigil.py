"""What time does to runs in hand: limits pass, backoffs end, attempts run long, wait long or fall silent.

Rule 1: it only tells: a run records what its time brought it (`fail`, `note_started`, `note_waiting`), and `touch`
        says that it did; what begins anew goes through `resume`.
Rule 2: attempts are looked at every TICK_S, and only while some are in hand: a turn that looks at none costs a
        comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from kronos.core.events import Failure
from kronos.engine.clock import RunClock
from kronos.engine.handed import Handed
from kronos.engine.owned import OwnedRun
from kronos.engine.reports import Reports
from kronos.engine.slots.slots import AnySlots
from kronos.engine.tasks import Task
from kronos.engine.timers import Timers
from kronos.kernel.ids import RunId

__all__ = ["TICK_S", "Vigil"]

TICK_S: Final = 0.05
AGAIN_NS: Final = 50_000_000
"""How soon a timer that comes due while its run is being parked looks again."""


class Vigil:
    """Belongs to the owner loop; `runs` are those in hand, `resume` begins a step's next attempt."""

    def __init__(
        self,
        *,
        runs: Mapping[RunId, OwnedRun],
        slots: AnySlots,
        reports: Reports,
        clock: RunClock,
        touch: Callable[[OwnedRun], None],
        resume: Callable[[OwnedRun, str], None],
    ) -> None:
        self._runs = runs
        self._slots = slots
        self._reports = reports
        self._clock = clock
        self._touch = touch
        self._resume = resume
        self.timers: Final = Timers(clock.now_ns)
        self._handed: Final = Handed(self._is_open)
        self._beating: set[Task] = set()
        """Attempts that must show signs of life."""
        self._next_tick = 0.0

    # ── what it is told of ──

    def limit(self, run: OwnedRun) -> bool:
        """Set the limit of a claimed run; return whether it may go on: it may have slept past its limit."""
        if run.ends_by is None:
            return True
        if run.ends_by <= self._clock.now_ns():
            self._run_timed_out(run)
            return False
        self.timers.at(run.ends_by, run, lambda: self._run_timed_out(run))
        return True

    def retry(self, run: OwnedRun, step: str, due_ns: int) -> None:
        """Begin a step's next attempt once it is due."""
        self.timers.at(due_ns, run, lambda: self._retry(run, step))

    def add(self, tasks: list[Task], now_s: float) -> None:
        """Note that `tasks` were handed to slots."""
        self._handed.add(tasks, now_s)
        for task in tasks:
            if task.heartbeat_s is not None:
                self._beating.add(task)

    def watch(self, tasks: list[Task]) -> None:
        """Give up those of `tasks` that fall silent; a job's is no attempt of a run in hand."""
        for task in tasks:
            if task.heartbeat_s is not None:
                self._beating.add(task)

    def ended(self, task: Task) -> None:
        """Forget an attempt of a job."""
        self._beating.discard(task)

    # ── what it does ──

    def turn(self) -> None:
        """Do what is due."""
        self.timers.fire()
        now = self._clock.monotonic_s()
        if now >= self._next_tick:
            self._next_tick = now + TICK_S
            self._look(now)

    def wait_s(self) -> float:
        """Return the seconds until something is due, at most a second."""
        busy = self._handed or self._beating
        return self.timers.wait_s(max(0.0, self._next_tick - self._clock.monotonic_s()) if busy else 1.0)

    def _retry(self, run: OwnedRun, step: str) -> None:
        if run.parking:
            self.retry(run, step, self._clock.now_ns() + AGAIN_NS)
        elif self._runs.get(run.id) is run:
            self._resume(run, step)

    def _run_timed_out(self, run: OwnedRun) -> None:
        if self._runs.get(run.id) is run:
            limit_s = (run.claimed.timeout_ms or 0) / 1000
            run.fail(Failure(type="RunTimeout", message=f"the run passed its limit of {limit_s:g} s", cause="timeout"))
            self._touch(run)

    def _look(self, now: float) -> None:
        if self._beating:
            self._give_up_silent()
        if not self._handed.has_late(now):
            return
        for task, began_ns in self._slots.running().items():
            if self._handed.began(task):
                self._runs[task.run_id].note_started(task, began_ns)
                self._touch(self._runs[task.run_id])
        for task in self._handed.queued(now):
            self._runs[task.run_id].note_waiting(task)
            self._touch(self._runs[task.run_id])

    def _give_up_silent(self) -> None:
        now, running = self._clock.now_ns(), self._slots.running()
        for task in list(self._beating):
            if not task.job and not self._is_open(task):
                self._beating.discard(task)
            elif task in running and task.heartbeat_s is not None:
                silent_ns = now - max(running[task], self._reports.last_ns(task))
                if silent_ns > task.heartbeat_s * 1e9:
                    self._beating.discard(task)
                    message = f"step {task.step!r} showed no sign of life for {task.heartbeat_s:g} s"
                    failure = Failure(type="HeartbeatTimeout", message=message, cause="timeout")
                    self._slots.cancel(task.run_id, task.step, task.attempt, failure)

    def _is_open(self, task: Task) -> bool:
        run = self._runs.get(task.run_id)
        return run is not None and run.awaits(task)
