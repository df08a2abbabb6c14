"""The program of a process slot: `python -P -m kronos.engine.slots.child FD`.

Rule 1: one attempt at a time, in the main thread, through the same `execute` as everywhere.
Rule 2: it ends with its worker: by signal where Linux gives one, and by end of file anywhere.
Rule 3: it has no database; recorder, blobs and the dataset index are the worker's, asked over the socket.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec

from kronos import errors
from kronos.core.costs import Costs
from kronos.core.definition import StepDefinition
from kronos.core.events import Attribute
from kronos.engine.context import Services
from kronos.engine.effects import Effects, LiveEffects, RecordedEffects
from kronos.engine.execution import execute, failure_of
from kronos.engine.reports import Reports
from kronos.engine.slots import wire
from kronos.engine.targets import load_object, load_step
from kronos.engine.tasks import Task
from kronos.kernel.ids import BlobHash
from kronos.ports import DatasetRow

__all__ = ["main"]

_PR_SET_PDEATHSIG: Final = 1


class Worker:
    """The other end of the socket, as seen from a step."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._replies: queue.SimpleQueue[wire.Reply] = queue.SimpleQueue()
        self._one_question = threading.Lock()
        self._one_writer = threading.Lock()
        self.runs: Final[queue.SimpleQueue[wire.Run]] = queue.SimpleQueue()

    def listen(self) -> None:
        """Sort what arrives; end the process when the worker is gone, whatever the step is doing."""
        while True:
            try:
                message = wire.receive_from_worker(self._connection)
            except (EOFError, OSError):
                os._exit(0)
            if isinstance(message, wire.Run):
                self.runs.put(message)
            elif isinstance(message, wire.Reply):
                self._replies.put(message)

    def say(self, message: wire.FromChild) -> None:
        with self._one_writer:
            wire.send(self._connection, message)

    def ask(self, method: str, **arguments: Any) -> Any:
        """Return the worker's answer; raise what it raised, as far as we know the type."""
        with self._one_question:
            self.say(wire.Ask(method, arguments))
            reply = self._replies.get()
        if reply.error is not None:
            name, message = reply.error
            kind = getattr(errors, name, None)
            if isinstance(kind, type) and issubclass(kind, errors.KronosError):
                raise kind(message)
            raise RuntimeError(f"{name}: {message}")
        return reply.value

    def tell(self, method: str, **arguments: Any) -> None:
        self.say(wire.Tell(method, arguments))


class AskedBlobs:
    """`ports.Blobs`, answered by the worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def put(self, data: bytes) -> BlobHash:
        return BlobHash(self._worker.ask("blob_put", data=data))

    def get(self, blob: BlobHash) -> bytes:
        return bytes(self._worker.ask("blob_get", blob=blob))


class AskedIndex:
    """`ports.DatasetIndex`, answered by the worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def add(self, row: DatasetRow) -> None:
        self._worker.ask("index_add", row=row)

    def find(self, name_or_id: str) -> DatasetRow:
        return msgspec.convert(self._worker.ask("index_find", name_or_id=name_or_id), DatasetRow)

    def all(self) -> list[DatasetRow]:
        return msgspec.convert(self._worker.ask("index_all"), list[DatasetRow])


class AskedRecorder:
    """`ports.Recorder`, answered by the worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def segment(self, *, first_row: int, last_row: int, core_chain: bytes, user_chain: bytes, data: bytes) -> None:
        self._worker.ask(
            "segment", first_row=first_row, last_row=last_row, core_chain=core_chain, user_chain=user_chain, data=data
        )

    def checkpoint(self, *, row: int, data: bytes) -> None:
        self._worker.ask("checkpoint", row=row, data=data)


class ToldReports(Reports):
    """What an attempt reports, told to the worker at once: it counts even where this process is killed."""

    def __init__(self, now_ns: Callable[[], int], worker: Worker) -> None:
        super().__init__(now_ns)
        self._worker = worker

    def cost(self, task: Task, costs: Costs) -> None:
        self._worker.tell("cost", costs=msgspec.to_builtins(costs))

    def attribute(self, task: Task, name: str, value: Attribute | None) -> None:
        self._worker.tell("attribute", name=name, value=value)

    def beat(self, task: Task, progress: bytes) -> None:
        self._worker.tell("beat", progress=progress)


def main(descriptor: int) -> None:
    """Serve attempts until the worker goes away."""
    os.set_inheritable(descriptor, False)
    connection = socket.socket(fileno=descriptor)
    hello = wire.receive_from_worker(connection)
    assert isinstance(hello, wire.Hello)
    _die_with(hello.worker_pid)
    sys.path[:] = hello.sys_path
    worker = Worker(connection)
    threading.Thread(target=worker.listen, name="kronos-worker-link", daemon=True).start()
    datasets = _Datasets(worker, hello.datasets, hello.checkpoint_key)
    while True:
        worker.say(_run(worker.runs.get(), worker, datasets))


class _Datasets:
    """Makes `ctx.datasets` when the first step asks for it."""

    def __init__(self, worker: Worker, recipe: tuple[str, dict[str, Any]] | None, key: bytes | None) -> None:
        self._worker = worker
        self._recipe = recipe
        self.checkpoint_key = key

    @lru_cache(maxsize=1)  # noqa: B019 - one object for the life of the process
    def open(self) -> Any:
        if self._recipe is None:
            return None
        target, arguments = self._recipe
        return load_object(target)(blobs=AskedBlobs(self._worker), index=AskedIndex(self._worker), **arguments)


def _run(run: wire.Run, worker: Worker, datasets: _Datasets) -> wire.Done:
    task = run.task
    try:
        definition: StepDefinition[Any, Any] = load_step(task.target, run.file)
        services = _services(run, worker, datasets)
    except BaseException as error:
        return wire.Done(None, failure_of(error), [])
    worker.say(wire.Loaded())
    outcome = execute(task, definition, services)
    return wire.Done(outcome.output, outcome.failure, wire.Answer.of(outcome.effects))


def _services(run: wire.Run, worker: Worker, datasets: _Datasets) -> Services:
    offset_ns = run.now_ns - time.monotonic_ns()
    recorded = None if run.recorded is None else [answer.effect() for answer in run.recorded]

    def effects(_task: Task) -> Effects:
        return LiveEffects() if recorded is None else RecordedEffects(recorded)

    services = Services(
        now_ns=lambda: time.monotonic_ns() + offset_ns,
        entropy=os.urandom,
        effects=effects,
        recorder=lambda _task: AskedRecorder(worker),
        blobs=AskedBlobs(worker),
        index=AskedIndex(worker),
        open_datasets=datasets.open,
        checkpoint_key=datasets.checkpoint_key,
        on_log=lambda _task, message, fields: worker.tell("log", message=message, fields=_sayable(fields)),
    )
    object.__setattr__(services, "reports", ToldReports(services.now_ns, worker))
    return services


def _sayable(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value if isinstance(value, str | int | float | None) else str(value) for key, value in fields.items()}


def _die_with(worker_pid: int) -> None:
    """Ask Linux for SIGKILL when the worker's thread that started us ends; leave if it already has."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != worker_pid:
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
