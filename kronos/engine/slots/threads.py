"""Thread slots: N threads that pull attempts from one shared deque.

Rule 1: an attempt costs one popleft and one append; a thread that has work never sleeps, an idle one never polls.
Rule 2: a thread cannot be killed.  Past its limit an attempt is reported as timed out and its thread is *stuck*: shown,
        replaced (at most `stuck_max` at a time), and its late result thrown away.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kronos.core.definition import StepDefinition
from kronos.engine.context import Services
from kronos.engine.execution import execute, timed_out, unknown_target
from kronos.engine.slots.mailbox import Mailbox
from kronos.engine.tasks import Outcome, Task

__all__ = ["ThreadSlots"]

_NEVER: Final = float("inf")


class _Slot:
    """One thread, what it is doing, and until when it may."""

    __slots__ = ("abandoned", "deadline", "lock", "started_ns", "task", "wake")

    def __init__(self) -> None:
        self.wake = threading.Lock()
        self.wake.acquire()
        self.lock = threading.Lock()
        self.task: Task | None = None
        self.started_ns = 0
        self.deadline = _NEVER
        self.abandoned = False


class ThreadSlots:
    """`submit` from one thread; results arrive in the mailbox."""

    def __init__(
        self,
        count: int,
        *,
        definitions: Mapping[str, StepDefinition[Any, Any]],
        services: Services,
        mailbox: Mailbox,
        stuck_max: int,
        on_stuck_bound: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.count: Final = count
        self._definitions = definitions
        self._services = services
        self._mailbox = mailbox
        self.stuck_max = stuck_max
        self._on_stuck_bound = on_stuck_bound
        self._monotonic = monotonic
        self.pending: deque[Task] = deque()
        self._idle: deque[_Slot] = deque()
        self._slots: list[_Slot] = []
        self._stuck: list[_Slot] = []
        self._stopping = False
        self._watch = threading.Event()
        self._next_look = _NEVER
        self._watchdog: threading.Thread | None = None
        self._guard = threading.Lock()

    @property
    def stuck(self) -> int:
        """Threads that still run an attempt which was given up."""
        return len(self._stuck)

    def stuck_tasks(self) -> list[Task]:
        return [slot.task for slot in list(self._stuck) if slot.task is not None]

    def submit(self, tasks: Iterable[Task]) -> None:
        """Queue `tasks` and wake as many idle threads as can be of use."""
        before = len(self.pending)
        self.pending.extend(tasks)
        for _ in range(len(self.pending) - before):
            if not self._idle and len(self._slots) >= self.count:
                return
            self._wake_one()

    def cancel(self, task: Task) -> bool:
        """Return False: a thread cannot be stopped from outside (a step may look at `ctx.cancelled`)."""
        return False

    def running(self) -> list[Task]:
        """Return the attempts that threads are at, without stuck ones."""
        return [task for slot in list(self._slots) if (task := slot.task) is not None]

    def close(self) -> None:
        """Take no more work; threads end when what they run ends."""
        self._stopping = True
        self.pending.clear()
        for slot in list(self._slots):
            _ring(slot)
        self._watch.set()

    def _wake_one(self) -> None:
        try:
            slot = self._idle.popleft()
        except IndexError:
            if len(self._slots) < self.count:
                self._start_thread()
        else:
            _ring(slot)

    def _start_thread(self) -> None:
        slot = _Slot()
        self._slots.append(slot)
        threading.Thread(target=self._work, args=(slot,), name=f"kronos-slot-{len(self._slots)}", daemon=True).start()

    def _work(self, slot: _Slot) -> None:
        take, idle = self.pending.popleft, self._idle
        definitions, services, put = self._definitions, self._services, self._mailbox.put
        while True:
            try:
                task = take()
            except IndexError:
                if self._stopping:
                    self._leave(slot)
                    return
                idle.append(slot)
                if self.pending or self._stopping:  # it came between the look and the queueing
                    try:
                        idle.remove(slot)
                    except ValueError:
                        slot.wake.acquire()
                    continue
                slot.wake.acquire()
                continue
            slot.task = task
            definition = definitions.get(task.target)
            if definition is None:
                put(task, unknown_target(task, services))
            elif task.timeout_s is None:
                put(task, execute(task, definition, services))
            elif not self._run_limited(slot, task, task.timeout_s, definition):
                return
            slot.task = None

    def _run_limited(self, slot: _Slot, task: Task, timeout_s: float, definition: StepDefinition[Any, Any]) -> bool:
        """Run under a limit; return False when this thread was given up meanwhile and must end."""
        deadline = self._monotonic() + timeout_s
        slot.started_ns = self._services.now_ns()
        slot.deadline = deadline
        if deadline < self._next_look:
            self._look_at(deadline)
        outcome = execute(task, definition, self._services)
        with slot.lock:
            slot.deadline = _NEVER
            given_up = slot.abandoned
        if given_up:
            slot.task = None
            with self._guard:
                self._stuck.remove(slot)
            return False
        self._mailbox.put(task, outcome)
        return True

    def _leave(self, slot: _Slot) -> None:
        with self._guard:
            self._slots.remove(slot)
        self._watch.set()

    def _look_at(self, deadline: float) -> None:
        with self._guard:
            self._next_look = min(self._next_look, deadline)
            if self._watchdog is None:
                self._watchdog = threading.Thread(target=self._watch_limits, name="kronos-limits", daemon=True)
                self._watchdog.start()
        self._watch.set()

    def _watch_limits(self) -> None:
        while True:
            wait_s = self._next_look - self._monotonic()
            if wait_s > 0:
                self._watch.wait(None if wait_s == _NEVER else wait_s)
                self._watch.clear()
            if self._stopping and not self.running():
                return
            self._next_look = _NEVER
            now = self._monotonic()
            for slot in list(self._slots):
                if slot.deadline <= now:
                    self._give_up(slot)
            earliest = min((slot.deadline for slot in list(self._slots)), default=_NEVER)
            self._next_look = min(self._next_look, earliest)

    def _give_up(self, slot: _Slot) -> None:
        with slot.lock:
            task = slot.task
            if slot.deadline > self._monotonic() or task is None:
                return
            slot.abandoned, slot.deadline = True, _NEVER
            with self._guard:
                self._slots.remove(slot)
                self._stuck.append(slot)
                stuck = len(self._stuck)
        self._mailbox.put(task, Outcome(None, timed_out(task), (), slot.started_ns, self._services.now_ns()))
        if stuck <= self.stuck_max:
            self._start_thread()
        else:
            self._on_stuck_bound()


def _ring(slot: _Slot) -> None:
    with contextlib.suppress(RuntimeError):  # already rung
        slot.wake.release()
