"""One door to every kind of slot.

Rule 1: `submit`, `cancel`, `drain` and the counts belong to one thread, the owner loop's; so the counts need no lock.
Rule 2: the counts are of steps: how many jobs are in hand is the job desk's to know, so neither starves the other.
Rule 3: each submitted attempt comes out of `drain` exactly once, unless `stop` hands it back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, TypeAlias

from kronos.core.definition import StepDefinition
from kronos.core.events import Failure
from kronos.core.options import Executor
from kronos.engine.context import Services
from kronos.engine.execution import CANCELLED
from kronos.engine.slots.coroutines import CoroutineSlots
from kronos.engine.slots.mailbox import Mailbox
from kronos.engine.slots.processes import ProcessSlots
from kronos.engine.slots.threads import ThreadSlots
from kronos.engine.targets import refuse_while_loading
from kronos.engine.tasks import Outcome, Task
from kronos.kernel.ids import RunId, StepName

__all__ = ["COROUTINES_MAX", "AnySlots", "Slots"]

COROUTINES_MAX: Final = 1_000

Kind: TypeAlias = ThreadSlots | CoroutineSlots | ProcessSlots


class AnySlots(Protocol):
    """What the owner loop needs of slots, whatever executes in them."""

    def submit(self, tasks: Iterable[Task]) -> None:
        """Queue attempts; those beyond the number of slots wait in order."""
        ...

    def drain(self) -> list[tuple[Task, Outcome]]:
        """Return what ended since the last call."""
        ...

    def free(self, executor: Executor) -> int:
        """Return how many more attempts would start at once."""
        ...

    def running(self) -> dict[Task, int]:
        """Return the attempts under way, and when each began (ns)."""
        ...

    def cancel(self, run_id: RunId, step: StepName, attempt: int, failure: Failure = CANCELLED) -> bool:
        """Give up one attempt, which fails as `failure`; return whether it was here."""
        ...

    def stop(self, drain_s: float) -> list[Task]:
        """Start nothing more, wait up to `drain_s` for what runs; return what never started."""
        ...


class Slots:
    """Thread, process and async slots.

    `definitions` maps targets to steps and is read at each attempt, so workflows may be registered later; `wake` is
    called from other threads when `drain` has something to give.
    """

    def __init__(
        self,
        *,
        definitions: Mapping[str, StepDefinition[Any, Any]],
        services: Services,
        wake: Callable[[], None],
        threads: int,
        processes: int,
        coroutines: int = COROUTINES_MAX,
        stuck_max: int = 8,
        on_stuck_bound: Callable[[], None] = lambda: None,
    ) -> None:
        refuse_while_loading()
        self._mailbox = Mailbox(wake)
        self._services = services
        self._threads = ThreadSlots(
            threads,
            definitions=definitions,
            services=services,
            mailbox=self._mailbox,
            stuck_max=stuck_max,
            on_stuck_bound=on_stuck_bound,
        )
        self._coroutines = CoroutineSlots(coroutines, definitions=definitions, services=services, mailbox=self._mailbox)
        self._processes = ProcessSlots(processes, definitions=definitions, services=services, mailbox=self._mailbox)
        self._by_executor: Mapping[Executor, Kind] = {
            "thread": self._threads,
            "async": self._coroutines,
            "process": self._processes,
        }
        self._busy: dict[Executor, int] = dict.fromkeys(self._by_executor, 0)
        self._closed = False

    def submit(self, tasks: Iterable[Task]) -> None:
        """Queue attempts; those beyond the number of slots wait in order."""
        batches: dict[Executor, list[Task]] = {}
        for task in tasks:
            batches.setdefault(task.executor, []).append(task)
        for executor, batch in batches.items():
            self._busy[executor] += sum(not task.job for task in batch)
            self._by_executor[executor].submit(batch)

    def drain(self) -> list[tuple[Task, Outcome]]:
        """Return what ended since the last call."""
        ended = self._mailbox.drain()
        busy = self._busy
        for task, _ in ended:
            if not task.job:
                busy[task.executor] -= 1
        return ended

    def busy(self, executor: Executor) -> int:
        """Return how many submitted attempts of steps have not come out of `drain`, running or queued."""
        return self._busy[executor]

    def free(self, executor: Executor) -> int:
        """Return how many more attempts would start at once."""
        stuck = max(0, self._threads.stuck - self._threads.stuck_max) if executor == "thread" else 0
        return max(0, self._by_executor[executor].count - stuck - self._busy[executor])

    def running(self) -> dict[Task, int]:
        """Return the attempts that slots are at now, and when each began (ns)."""
        return {task: began for slots in self._by_executor.values() for task, began in slots.running().items()}

    @property
    def stuck(self) -> list[Task]:
        """Attempts that were given up, in threads which still run them."""
        return self._threads.stuck_tasks()

    def cancel(self, run_id: RunId, step: StepName, attempt: int, failure: Failure = CANCELLED) -> bool:
        """Give up one attempt, queued or running, which fails as `failure`; return whether it was here."""
        wanted = (run_id, step, attempt)
        for slots in self._by_executor.values():
            for task in [*slots.pending.copy(), *slots.running()]:
                if (task.run_id, task.step, task.attempt) == wanted:
                    return self._withdraw(slots, task) or slots.cancel(task, failure)
        return False

    def stop(self, drain_s: float) -> list[Task]:
        """Start nothing more, wait up to `drain_s` for what runs, end the rest where that can be done.

        Returns the attempts that never started; what ended meanwhile is in `drain`.
        """
        unstarted = [task for slots in self._by_executor.values() for task in _recall(slots)]
        for task in unstarted:
            self._busy[task.executor] -= not task.job
        deadline = time.monotonic() + drain_s
        while time.monotonic() < deadline and any(slots.running() for slots in self._by_executor.values()):
            time.sleep(0.005)
        for slots in self._by_executor.values():
            slots.close()
        return unstarted

    def _withdraw(self, slots: Kind, task: Task) -> bool:
        try:
            slots.pending.remove(task)
        except ValueError:
            return False  # it started meanwhile
        now = self._services.now_ns()
        self._mailbox.put(task, Outcome(None, CANCELLED, (), now, now))
        return True


def _recall(slots: Kind) -> list[Task]:
    recalled: list[Task] = []
    while slots.pending:
        try:
            recalled.append(slots.pending.popleft())
        except IndexError:
            break
    return recalled
