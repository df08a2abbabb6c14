"""Thread slots: N threads that pull attempts from one shared deque.

Rule 1: an attempt costs one popleft and one append; a thread that has work never sleeps, an idle one never polls.
Rule 2: one thread is woken at a time: who takes an attempt and leaves others behind wakes the next.  Attempts that
        block spread over all threads at once; of a thousand that do not, one or two threads do all, and the others
        do not queue for the interpreter.
Rule 3: a thread cannot be killed.  Past its limit, or on request, an attempt is reported as failed and its thread is
        *stuck*: shown, replaced (at most `stuck_max` at a time), and its late result thrown away.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kronos.core.definition import StepDefinition
from kronos.core.events import Failure
from kronos.engine.context import Services
from kronos.engine.execution import CANCELLED, execute, timed_out, unknown_target
from kronos.engine.slots.mailbox import Mailbox
from kronos.engine.tasks import Outcome, Task

__all__ = ["ThreadSlots"]

CANCEL_GRACE_S: Final = 5.0
"""A cancelled attempt that looks (`ctx.cancelled`) ends within this; only then does its thread count as stuck.  A
hundred runs cancelled at once must not end the life of their worker.
"""
_NEVER: Final = float("inf")
COMMIT_S: Final = 0.1
"""How soon an attempt past its limit is looked at again when it is just being committed."""


class _Slot:
    """One thread, what it is doing, and until when it may."""

    __slots__ = ("abandoned", "deadline", "leaves_by", "lock", "started_ns", "task", "wake")

    def __init__(self) -> None:
        self.wake = threading.Lock()
        self.wake.acquire()
        self.lock = threading.Lock()
        self.task: Task | None = None
        self.started_ns = 0
        self.deadline = _NEVER
        self.abandoned = False
        self.leaves_by = 0.0


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
        self._waking = False
        """Whether a thread was woken and has not looked for work yet."""
        self._stopping = False
        self._watch = threading.Event()
        self._next_look = _NEVER
        self._watchdog: threading.Thread | None = None
        self._guard = threading.Lock()

    @property
    def stuck(self) -> int:
        """Threads that still run an attempt which was given up."""
        now = self._monotonic()
        return sum(slot.leaves_by <= now for slot in list(self._stuck))

    def stuck_tasks(self) -> list[Task]:
        return [slot.task for slot in list(self._stuck) if slot.task is not None]

    def submit(self, tasks: Iterable[Task]) -> None:
        """Queue `tasks` and see to it that a thread looks."""
        self.pending.extend(tasks)
        self._pass_on()

    def _pass_on(self) -> None:
        """Wake a thread for what is pending, unless one that was woken has not looked yet."""
        if self.pending and not self._waking:
            self._wake_one()

    def cancel(self, task: Task, failure: Failure = CANCELLED) -> bool:
        """Give up a running attempt: it is reported as failed, and its thread is stuck until it ends."""
        slots = [slot for slot in list(self._slots) if slot.task == task]
        return any(self._give_up(slot, slot.task, failure) for slot in slots if slot.task is not None)

    def running(self) -> dict[Task, int]:
        """Return the attempts that threads are at, without stuck ones, and when each began (ns)."""
        return {task: slot.started_ns for slot in list(self._slots) if (task := slot.task) is not None}

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
                self._waking = True
                self._start_thread()
        else:
            self._waking = True
            _ring(slot)

    def _start_thread(self) -> None:
        slot = _Slot()
        self._slots.append(slot)
        threading.Thread(target=self._work, args=(slot,), name=f"kronos-slot-{len(self._slots)}", daemon=True).start()

    def _work(self, slot: _Slot) -> None:
        take, idle = self.pending.popleft, self._idle
        definitions, services, put = self._definitions, self._services, self._mailbox.put
        now_ns = services.now_ns
        self._waking = False
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
                        self._waking = False
                    continue
                slot.wake.acquire()
                self._waking = False  # before it looks: who submits afterwards wakes another
                continue
            if self.pending and not self._waking:
                self._wake_one()
            slot.started_ns = now_ns()
            slot.task = task
            if task.timeout_s is not None:
                self._limit(slot, task.timeout_s)
            definition = definitions.get(task.target)
            outcome = unknown_target(task, services) if definition is None else execute(task, definition, services)
            with slot.lock:
                slot.task, slot.deadline = None, _NEVER
                given_up = slot.abandoned
            if given_up:
                self._forget(slot, task)
                return
            put(task, outcome)

    def _limit(self, slot: _Slot, timeout_s: float) -> None:
        deadline = slot.deadline = self._monotonic() + timeout_s
        if deadline < self._next_look:
            self._look_at(deadline)

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
                task = slot.task
                if task is not None and slot.deadline <= now:
                    self._give_up(slot, task, timed_out(task))
            earliest = min((slot.deadline for slot in list(self._slots)), default=_NEVER)
            self._next_look = min(self._next_look, earliest)

    def _give_up(self, slot: _Slot, task: Task, failure: Failure) -> bool:
        """Report `task` as failed and count its thread as stuck, unless it ended just now."""
        with slot.lock:
            if slot.task is not task:
                return False
            if not self._services.give_up(task):
                slot.deadline = self._monotonic() + COMMIT_S
                return False
            slot.abandoned, slot.deadline = True, _NEVER
            with self._guard:
                self._slots.remove(slot)
                self._stuck.append(slot)
                if failure.cause == "cancelled":
                    slot.leaves_by = self._monotonic() + CANCEL_GRACE_S
                is_replaced = self.stuck <= self.stuck_max
        self._mailbox.put(task, Outcome(None, failure, (), slot.started_ns, self._services.now_ns()))
        if is_replaced:
            self._start_thread()
        else:
            self._on_stuck_bound()
        return True

    def _forget(self, slot: _Slot, task: Task) -> None:
        """Let a thread go that was given up and has come to its end after all."""
        with self._guard:
            self._stuck.remove(slot)
            self._services.given_up.discard(task)


def _ring(slot: _Slot) -> None:
    with contextlib.suppress(RuntimeError):  # already rung
        slot.wake.release()
