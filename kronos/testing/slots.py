"""Slots that execute in the caller's own thread, one attempt at a time, when they are told to.

Rule: they keep what `AnySlots` promises: each submitted attempt comes out of `drain` once, unless `stop` hands it back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kronos.core.definition import StepDefinition
from kronos.core.events import Failure
from kronos.core.options import Executor
from kronos.engine.context import Services
from kronos.engine.execution import CANCELLED, execute, timed_out, unknown_target
from kronos.engine.tasks import Outcome, Task
from kronos.kernel.ids import RunId, StepName

__all__ = ["InlineSlots"]


class InlineSlots:
    """`begin` takes an attempt, `finish` executes it; between the two it counts as running.

    `count` attempts may be under way at once.  `definitions` maps targets to steps; `wake` is called when `drain` has
    something to give.
    """

    def __init__(
        self,
        *,
        definitions: Mapping[str, StepDefinition[Any, Any]],
        services: Services,
        wake: Callable[[], None],
        count: int = 4,
    ) -> None:
        self._definitions = definitions
        self._services = services
        self._wake = wake
        self._count: Final = count
        self._pending: deque[Task] = deque()
        self._running: dict[Task, int] = {}
        self._ended: list[tuple[Task, Outcome]] = []

    def submit(self, tasks: Iterable[Task]) -> None:
        """Queue attempts."""
        self._pending.extend(tasks)

    def drain(self) -> list[tuple[Task, Outcome]]:
        """Return what ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def free(self, executor: Executor) -> int:
        """Return how many more attempts would start at once."""
        return max(0, self._count - len(self._pending) - len(self._running))

    def running(self) -> dict[Task, int]:
        """Return the attempts under way, and when each began (ns)."""
        return dict(self._running)

    def cancel(self, run_id: RunId, step: StepName, attempt: int, failure: Failure = CANCELLED) -> bool:
        """Give up one attempt; return whether it was here.  One that runs goes on, and its outcome is dropped."""
        for task in [*self._pending, *self._running]:
            if (task.run_id, task.step, task.attempt) == (run_id, step, attempt):
                now = self._services.now_ns()
                began = self._running.pop(task, None)
                if began is None:
                    self._pending.remove(task)
                else:
                    self._services.given_up.add(task)
                self._put(task, Outcome(None, failure, (), now if began is None else began, now))
                return True
        return False

    def stop(self, drain_s: float) -> list[Task]:
        """Start nothing more; return what never started."""
        unstarted = list(self._pending)
        self._pending.clear()
        return unstarted

    # ── for whoever drives them ──

    @property
    def waiting(self) -> bool:
        """Whether an attempt could begin."""
        return bool(self._pending)

    def begin(self) -> Task:
        """Take the next attempt."""
        task = self._pending.popleft()
        self._running[task] = self._services.now_ns()
        return task

    def execute(self, task: Task) -> Outcome:
        """Call the attempt's code."""
        definition = self._definitions.get(task.target)
        return unknown_target(task, self._services) if definition is None else execute(task, definition, self._services)

    def finish(self, task: Task, outcome: Outcome) -> None:
        """Report how it ended; an attempt that was given up meanwhile is reported already."""
        began = self._running.pop(task, None)
        self._services.given_up.discard(task)
        if began is None:
            return
        now = self._services.now_ns()
        if outcome.is_sent:  # a database step's is on record with its rows, however late it is told here
            self._put(task, outcome)
            return
        if task.timeout_s is not None and now - began > task.timeout_s * 1e9:
            outcome = Outcome(None, timed_out(task), (), began, now)
        self._put(task, Outcome(outcome.output, outcome.failure, outcome.effects, began, now))

    def _put(self, task: Task, outcome: Outcome) -> None:
        self._ended.append((task, outcome))
        self._wake()
