"""The committers: threads that carry flushes to the store, and tell whoever waits once they are durable."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection
from typing import Final

from kronos.engine.gathering import FLUSHES_MAX
from kronos.engine.inbox import Inbox
from kronos.engine.owned import OwnedRun
from kronos.engine.runlog import Buffer
from kronos.errors import Unavailable
from kronos.kernel.ids import IncarnationId
from kronos.ports.queue import Flush, Queue

__all__ = ["Commits"]


class Commits:
    """FLUSHES_MAX committers and one crier."""

    def __init__(
        self,
        *,
        store: Queue,
        incarnation: IncarnationId,
        inbox: Inbox,
        heard: Callable[[frozenset[str]], None],
        tell: Callable[[Collection[str]], None],
        on_lost: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._incarnation = incarnation
        self._inbox = inbox
        self._heard = heard
        self._tell = tell
        self._on_lost = on_lost
        self._flushes: queue.SimpleQueue[tuple[Flush, list[tuple[OwnedRun, Buffer]]] | None] = queue.SimpleQueue()
        self._changed: set[str] = set()
        self._news = threading.Event()
        self._stopping = False
        self._threads: Final = [
            *(
                threading.Thread(target=self._commit, name=f"kronos-commit-{number}", daemon=True)
                for number in range(FLUSHES_MAX)
            ),
            threading.Thread(target=self._cry, name="kronos-crier", daemon=True),
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        """End after what was handed over, without waiting: the database may be away."""
        self._stopping = True
        for _ in range(FLUSHES_MAX):
            self._flushes.put(None)
        self._news.set()

    def stop(self) -> None:
        """End after what was handed over, and wait for it."""
        self.leave()
        for thread in self._threads[:FLUSHES_MAX]:
            thread.join(timeout=10)
        self._news.set()
        self._threads[-1].join(timeout=5)

    def put(self, flush: Flush, members: list[tuple[OwnedRun, Buffer]]) -> None:
        """Hand over a flush; the loop never has more than FLUSHES_MAX under way."""
        self._flushes.put((flush, members))

    def spread(self, changed: Collection[str]) -> None:
        """Tell whoever waits for these: at once who waits in this process, the others through the store."""
        self._heard(frozenset(changed))
        self._changed.update(changed)
        self._news.set()

    def _commit(self) -> None:
        while (handed := self._flushes.get()) is not None:
            try:
                self._carry(*handed)
            except BaseException as error:
                self._on_lost(error)
                return

    @property
    def waiting(self) -> bool:
        """Whether a flush waits for a committer."""
        return not self._flushes.empty()

    def turn(self) -> None:
        """Carry one flush, if one waits, to the store and its answer back."""
        if self.waiting and (handed := self._flushes.get()) is not None:
            self._carry(*handed)

    def _carry(self, flush: Flush, members: list[tuple[OwnedRun, Buffer]]) -> None:
        verdict = self._store.flush(self._incarnation, flush)
        self._inbox.put_committed(flush, members, verdict)
        self.spread([run.id for run, _ in members])

    def _cry(self) -> None:
        while not self._stopping:
            self._news.wait()
            self._news.clear()
            changed: list[str] = []
            while self._changed:
                changed.append(self._changed.pop())
            try:
                if changed:
                    self._tell(changed)
            except Unavailable:
                continue  # waiters poll as well; the next news is told on a new connection
