"""Process slots: children of our own, each behind one thread of the worker.

Rule 1: a child is started when there is work for it, kept warm, and killed alone: past its limit or on
        request.
Rule 2: a child that dies takes only its own attempt with it, and how it died is that attempt's failure.
Rule 3: a child inherits no database: `DATABASE_URL` and libpq's variables are taken out of its environment.
Trap: Linux kills a child when the *thread* that started it ends, so the thread that starts one outlives it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from kronos.core.definition import StepDefinition
from kronos.core.events import Failure
from kronos.engine.context import Services
from kronos.engine.effects import RecordedEffects
from kronos.engine.execution import CANCELLED, timed_out, unknown_target
from kronos.engine.slots import wire
from kronos.engine.slots.mailbox import Mailbox
from kronos.engine.slots.service import Desk
from kronos.engine.targets import file_of
from kronos.engine.tasks import Outcome, Task

__all__ = ["PROCESS_DIED", "ProcessSlots"]

LOAD_S_MAX: Final = 300.0
"""How long starting a child and importing a step's module may take; the step's own limit starts afterwards."""

PROCESS_DIED: Final = "ProcessDied"
"""The type of the failure of an attempt whose process died."""
UNLIMITED_S: Final = 366 * 86_400.0


class ProcessSlots:
    """`submit` and `cancel` from any thread; results arrive in the mailbox."""

    def __init__(
        self,
        count: int,
        *,
        definitions: Mapping[str, StepDefinition[Any, Any]],
        services: Services,
        mailbox: Mailbox,
    ) -> None:
        self.count: Final = count
        self.pending: deque[Task] = deque()
        self._definitions = definitions
        self._services = services
        self._mailbox = mailbox
        self._changed = threading.Condition()
        self._slots: list[_Slot] = []
        self._idle = 0
        self._closed = False

    def submit(self, tasks: Iterable[Task]) -> None:
        with self._changed:
            before = len(self.pending)
            self.pending.extend(tasks)
            wanted = min(len(self.pending) - self._idle, self.count - len(self._slots))
            for _ in range(wanted):
                self._start_slot()
            self._changed.notify(len(self.pending) - before)

    def cancel(self, task: Task, failure: Failure = CANCELLED) -> bool:
        """Kill the child that is at `task`, which fails as `failure`; return whether one was."""
        return any(slot.kill(task, failure) for slot in list(self._slots))

    def running(self) -> dict[Task, int]:
        """Return the attempts that children are at, and when each began (ns)."""
        return {task: slot.started_ns for slot in list(self._slots) if (task := slot.task) is not None}

    def close(self) -> None:
        """Kill every child and wait until it is gone."""
        with self._changed:
            self._closed = True
            self.pending.clear()
            self._changed.notify_all()
        for slot in list(self._slots):
            slot.kill(slot.task)
        for slot in list(self._slots):
            slot.thread.join(timeout=5)

    def _start_slot(self) -> None:
        slot = _Slot(self._services)
        slot.thread = threading.Thread(target=self._work, args=(slot,), name="kronos-process-slot", daemon=True)
        self._slots.append(slot)
        slot.thread.start()

    def _work(self, slot: _Slot) -> None:
        while (task := self._next(slot)) is not None:
            definition = self._definitions.get(task.target)
            outcome = unknown_target(task, self._services) if definition is None else slot.run(task, definition)
            self._mailbox.put(task, outcome)
        slot.end_child()

    def _next(self, slot: _Slot) -> Task | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self.pending or self._closed)
            self._idle -= 1
            if self._closed:
                return None
            task = self.pending.popleft()
            slot.take(task)
            return task


class _Slot:
    """One thread's child, and the attempt that it is at."""

    def __init__(self, services: Services) -> None:
        self.thread: threading.Thread
        self.task: Task | None = None
        self._services = services
        self._guard = threading.Lock()
        self._cancelled = False
        self._why = CANCELLED
        self._loaded = False
        self.started_ns = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None

    def take(self, task: Task) -> None:
        """Begin with `task`."""
        with self._guard:
            self.started_ns = self._services.now_ns()
            self.task, self._cancelled, self._loaded = task, False, False

    def kill(self, task: Task | None, failure: Failure = CANCELLED) -> bool:
        """End the child at once if it is at `task`."""
        with self._guard:
            if task is None or self.task != task:
                return False
            self._cancelled, self._why = True, failure
            _kill(self._child)
            return True

    def run(self, task: Task, definition: StepDefinition[Any, Any]) -> Outcome:
        """Run one attempt in the child, which is started or replaced where there is none."""
        try:
            return self._try_run(task, definition)
        finally:
            with self._guard:
                self.task = None
            if self._cancelled:  # it may have finished just before it was killed
                self.end_child()

    def _try_run(self, task: Task, definition: StepDefinition[Any, Any]) -> Outcome:
        is_warm = self._child is not None
        try:
            self.started_ns = self._services.now_ns()
            return self._converse(self._connected(), task, definition)
        except TimeoutError:
            self.end_child()
            return self._failed(timed_out(task) if self._loaded else _slow_to_load(task))
        except (EOFError, OSError) as error:
            code = self.end_child(patience_s=1.0)
            if self._cancelled:
                return self._failed(self._why)
            if is_warm and not self._loaded:  # it died between two attempts: that is not this one's failure
                return self._try_run(task, definition)
            return self._failed(_died(task, code, error))

    def _converse(self, connection: socket.socket, task: Task, definition: StepDefinition[Any, Any]) -> Outcome:
        source = self._services.effects(task)
        recorded = wire.Answer.of(source.recorded) if isinstance(source, RecordedEffects) else None
        wire.send(connection, wire.Run(task, file_of(definition), self.started_ns, recorded))
        deadline = time.monotonic() + LOAD_S_MAX
        desk = Desk(task, self._services)
        while True:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            message = wire.receive_from_child(connection)
            connection.settimeout(None)
            match message:
                case wire.Loaded():
                    self._loaded, self.started_ns = True, self._services.now_ns()
                    deadline = time.monotonic() + (UNLIMITED_S if task.timeout_s is None else task.timeout_s)
                case wire.Ask():
                    wire.send(connection, desk.answer(message))
                case wire.Tell():
                    desk.note(message)
                case wire.Done(output=output, failure=failure, effects=effects):
                    learned = tuple(answer.effect() for answer in effects)
                    return Outcome(output, failure, learned, self.started_ns, self._services.now_ns())

    def end_child(self, *, patience_s: float = 0.0) -> int | None:
        """End the child, killing it after `patience_s`; return how it ended (negative: by which signal)."""
        with self._guard:
            child, self._child = self._child, None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if child is None:
            return None
        try:
            return child.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            _kill(child)
            return child.wait()

    def _connected(self) -> socket.socket:
        if self._connection is not None and self._child is not None and self._child.poll() is None:
            return self._connection
        self.end_child()
        ours, theirs = socket.socketpair()
        with theirs, self._guard:
            if self._cancelled:
                ours.close()
                raise EOFError
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "kronos.engine.slots.child", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
                start_new_session=True,
            )
        self._connection = ours
        given = self._services
        wire.send(ours, wire.Hello(list(sys.path), os.getpid(), given.datasets_in_child, given.checkpoint_key))
        return ours

    def _failed(self, failure: Failure) -> Outcome:
        return Outcome(None, failure, (), self.started_ns, self._services.now_ns())


def _kill(child: subprocess.Popen[bytes] | None) -> None:
    """Kill a child and what it started (it leads a session of its own)."""
    if child is None or child.returncode is not None:
        return
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        child.kill()


def _slow_to_load(task: Task) -> Failure:
    message = f"the module of {task.target} was not imported within {LOAD_S_MAX:g} s"
    return Failure(type="StepTimeout", message=message, cause="timeout")


def _died(task: Task, code: int | None, error: BaseException) -> Failure:
    if code is None:
        how = f"could not be started: {error}"
    elif code < 0:
        name = signal.Signals(-code).name if -code in signal.valid_signals() else "?"
        how = f"was killed by signal {-code} ({name})"
    else:
        how = f"ended with exit code {code}"
    return Failure(type=PROCESS_DIED, message=f"the process of step {task.step!r} {how}")


def _environment() -> dict[str, str]:
    """Return the worker's environment without the database, and with a path to this package where it needs one."""
    kept = {key: value for key, value in os.environ.items() if key != "DATABASE_URL" and not key.startswith("PG")}
    root = str(Path(__file__).resolve().parents[3])
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        kept["PYTHONPATH"] = os.pathsep.join([root, kept["PYTHONPATH"]] if kept.get("PYTHONPATH") else [root])
    return kept
