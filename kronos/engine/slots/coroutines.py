"""The async slot: one event loop in one thread runs every coroutine step.

Rule 1: past its limit, or on request, a coroutine is cancelled for real.
Rule 2: at most `count` run at once; the rest wait in order.  One that blocks holds up all of them: that is for threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from kronos.core.definition import StepDefinition
from kronos.core.events import Failure
from kronos.engine.context import Services
from kronos.engine.execution import CANCELLED, execute_async, unknown_target
from kronos.engine.slots.mailbox import Mailbox
from kronos.engine.tasks import Task

__all__ = ["CoroutineSlots"]


class CoroutineSlots:
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
        self._definitions = definitions
        self._services = services
        self._mailbox = mailbox
        self.pending: deque[Task] = deque()
        self._running: dict[Task, asyncio.Task[None]] = {}
        self._began: dict[Task, int] = {}
        self._why: dict[Task, Failure] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Lock()

    def submit(self, tasks: Iterable[Task]) -> None:
        self.pending.extend(tasks)
        self._thread_loop().call_soon_threadsafe(self._start_pending)

    def cancel(self, task: Task, failure: Failure = CANCELLED) -> bool:
        """Cancel a running attempt, which fails as `failure`; return whether it was running."""
        future = self._running.get(task)
        if future is None or self._loop is None:
            return False
        self._why[task] = failure
        self._loop.call_soon_threadsafe(future.cancel)
        return True

    def running(self) -> dict[Task, int]:
        """Return the attempts that are under way, and when each began (ns)."""
        return {task: self._began[task] for task in list(self._running) if task in self._began}

    def close(self) -> None:
        """Cancel what still runs and end the loop's thread."""
        self.pending.clear()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _thread_loop(self) -> asyncio.AbstractEventLoop:
        with self._started:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._serve, args=(self._loop,), name="kronos-async", daemon=True).start()
            return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
        for future in list(self._running.values()):
            future.cancel()
        loop.run_until_complete(asyncio.gather(*self._running.values(), return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    def _start_pending(self) -> None:
        assert self._loop is not None
        while len(self._running) < self.count:
            try:
                task = self.pending.popleft()
            except IndexError:
                return
            self._began[task] = self._services.now_ns()
            self._running[task] = self._loop.create_task(self._run(task), name=f"{task.step}#{task.attempt}")

    async def _run(self, task: Task) -> None:
        definition = self._definitions.get(task.target)
        try:
            if definition is None:
                outcome = unknown_target(task, self._services)
            else:
                outcome = await execute_async(task, definition, self._services)
            why = self._why.pop(task, CANCELLED)
            if outcome.failure is CANCELLED:
                outcome = msgspec.structs.replace(outcome, failure=why)
            self._mailbox.put(task, outcome)
        finally:
            del self._running[task], self._began[task]
            self._start_pending()
