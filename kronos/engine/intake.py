"""What comes in from the store: runs to own, and commands for the runs that are owned.

Rule 1: a claimed run reaches the loop complete: its history is loaded and folded, its takeover is counted durably.
Rule 2: where the answer to a claim was lost, runs are ours and in nobody's hands: they are found and given back, else
        they would wait for the end of this incarnation.
Rule 3: it claims when the loop wants runs, at each notice, and every `poll_s` in any case; it looks for commands at
        each notice and every COMMANDS_S: a command becomes an event at most that late.
Rule 4: what cannot be read of one run costs that run alone: it is given up on record, and where not even its history
        can be read, put aside.
"""

from __future__ import annotations

import logging
import random
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from kronos.core.events import Failure
from kronos.core.options import Executor
from kronos.engine.clock import RunClock
from kronos.engine.commands import COMMANDS
from kronos.engine.fetching import Fetching, Record
from kronos.engine.inbox import Inbox
from kronos.engine.owned import DEATHS_MAX, OwnedRun
from kronos.engine.reports import Reports
from kronos.engine.requests import Answer, Requests
from kronos.engine.serving import Serving
from kronos.engine.tasks import Task
from kronos.errors import LeaseLost, Unavailable
from kronos.kernel.hashing import GENESIS
from kronos.kernel.ids import IncarnationId, RunId
from kronos.kernel.unreadable import DAMAGE, OURS
from kronos.ports.blobs import Blobs
from kronos.ports.queue import ClaimedRun, Command, LoadedRun, Progress, Queue, RunRequest, Takeover

__all__ = ["COMMANDS_S", "Intake"]

log: Final = logging.getLogger("kronos.worker")

COMMANDS_S: Final = 0.25
ASIDE_S: Final = 600.0
"""For how long a run is let alone whose history cannot be read; a command to it makes it be tried at once."""
CHECK_S: Final = 5.0
"""How often, and after each loss of the connection, the store's word on what is ours is held against what is."""
_FIRST: Final = frozenset({"adopt", "outcome", "outcomes"})
"""Commands that are obeyed before a run that was taken over goes on."""


class Intake:
    """One thread."""

    def __init__(
        self,
        *,
        queue: Queue,
        blobs: Blobs,
        serving: Serving,
        incarnation: IncarnationId,
        clock: RunClock,
        inbox: Inbox,
        poll_s: float,
        reports: Reports,
        held: Callable[[], set[RunId]],
        on_lost: Callable[[BaseException], None],
        room: Mapping[Executor, int],
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`room` counts slots; `chance` draws from [0, 1): jitter only, it keeps a crowd from coming back together."""
        self._queue = queue
        self._serving = serving
        self._incarnation = incarnation
        self._clock = clock
        self._inbox = inbox
        self._poll_s = poll_s
        self._held = held
        self._reports = reports
        self._on_lost = on_lost
        self._around: Any = {"worker": incarnation, "now_ns": clock.now_ns, "chance": chance, "room": room}
        self._fetching = Fetching(queue, blobs, serving, self._around)
        self._wanted = 0
        self._requests = Requests()
        self._rests = False
        self._reloads: deque[tuple[OwnedRun, str]] = deque()
        self.wake: Final = threading.Event()
        """Set when a turn is due at once."""
        self._stopping = False
        self._hinted = self._commanded = True
        self._next_check = self._next_claim = self._next_commands = 0.0
        self._claimed_all = False
        self._thread = threading.Thread(target=self._run, name="kronos-intake", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._stopping = True
        self.wake.set()
        self._thread.join(timeout=10)

    def want(self, runs: int) -> None:
        """Say how many runs the loop could use."""
        hungry = runs > 0 and self._wanted == 0
        self._wanted = runs
        if hungry:
            self.wake.set()

    def ask(self, request: RunRequest) -> Answer:
        """Return the answer to come: the run, started and claimed at once, or None where somebody else has to."""
        answer = self._requests.put(request, taken=self._rests and self._wanted > 0)
        self.wake.set()
        return answer

    def hint(self) -> None:
        """Say that there may be something new."""
        self._commanded = self._hinted = True
        self.wake.set()

    def hint_of_runs(self) -> None:
        """Say that there may be runs to claim, and no command."""
        self._hinted = True
        self.wake.set()

    def reload(self, run: OwnedRun, reason: str) -> None:
        """Read a run again whose values the store does not take, to end it as failed."""
        self._reloads.append((run, reason))
        self.wake.set()

    def _run(self) -> None:
        while not self._stopping:
            try:
                wait_s = self.turn()
            except BaseException as error:
                self._on_lost(error)
                break
            self.wake.wait(wait_s)
            self.wake.clear()
        self._requests.close()

    def turn(self) -> float:
        """Do what is due; return the seconds until the next turn is, unless `wake` is set before."""
        now = self._clock.monotonic_s()
        self._rests = False
        try:
            self._do(now)
        except Unavailable:
            self._next_check = 0.0
            self.wake.clear()
            return COMMANDS_S
        self._rests = True
        if self._wanted and not self._claimed_all:
            return 0.0
        return max(0.0, self._next_commands - self._clock.monotonic_s())

    def _do(self, now: float) -> None:
        while (asked := self._requests.next()) is not None:
            self._start(*asked)
        while self._reloads:
            self._reload(*self._reloads.popleft())
        if now >= self._next_check:
            self._give_back_unknown()
            self._next_check = now + CHECK_S
        hinted, self._hinted = self._hinted, False
        commanded, self._commanded = self._commanded, False
        self._claimed_all = self._claimed_all and not hinted
        if self._wanted and (not self._claimed_all or now >= self._next_claim):  # first: a new run waits for nothing
            self._claimed_all = not self._claim()
            self._next_claim = now + self._poll_s
        if commanded or now >= self._next_commands:
            self._inbox.put_commands(list(map(self._fetching.whole, self._queue.commands(self._incarnation))))
            self._next_commands = now + COMMANDS_S
            self._show_progress()

    def _show_progress(self) -> None:
        beats, over = self._reports.news()
        if over:
            self._queue.forget_progress([(uuid.UUID(task.run_id), task.step, task.attempt) for task in over])
        if beats:
            shown = [
                Progress(uuid.UUID(task.run_id), task.step, task.attempt, beat.at_ns, beat.progress)
                for task, beat in beats.items()
            ]
            self._queue.show_progress(shown)

    def _give_back_unknown(self) -> None:
        """Give back what is ours and in nobody's hands.  Not only once after a lost answer: the old connection's COMMIT
        may yet happen, after we have looked.
        """
        kept = self._held() | {run.id for run, _ in self._reloads.copy()}
        self._queue.disown(self._incarnation, [uuid.UUID(run) for run in kept])

    def _start(self, request: RunRequest, answer: Answer) -> None:
        """Start a run that was asked for here, and claim what is wanted in the same transaction."""
        wanted, self._wanted = self._wanted, 0
        if not wanted:
            answer.set_result(None)
            return
        try:
            run, claimed = self._queue.start(self._incarnation, request, self._serving.ids, wanted)
        except LeaseLost:
            answer.set_result(None)  # nothing was written
            raise
        except Exception as error:
            answer.set_exception(error)
            if isinstance(error, Unavailable):
                raise
            self._wanted = self._wanted or wanted
            return
        try:
            self._claimed_all = not self._take(claimed, wanted)
        finally:
            answer.set_result(run)

    def _claim(self) -> bool:
        """Claim what is wanted; return whether there may be more."""
        wanted, self._wanted = self._wanted, 0
        return self._take(self._queue.claim(self._incarnation, self._serving.ids, wanted), wanted)

    def _take(self, claimed: list[ClaimedRun], wanted: int) -> bool:
        """Hand over what was claimed; return whether there may be more."""
        fresh = [run for run in claimed if run.claims == 1 and run.changes is None]
        late = [run for run in claimed if run.claims > 1 or run.changes is not None]
        if late:  # before the inboxes are read: what was spread out then comes no more
            self._queue.recall(self._incarnation, [run.id for run in late])
        waiting = self._commands_of(claimed)
        for run in fresh:
            self._bring(run, None, waiting)
        self._inbox.wake.set()
        if late:
            self._take_over(late, waiting)
            self._inbox.wake.set()
        if len(claimed) < wanted:
            self._wanted = self._wanted or wanted - len(claimed)
            return False
        return True

    def _commands_of(self, claimed: list[ClaimedRun]) -> dict[RunId, list[Command]]:
        """Return what the inboxes of `claimed` hold already: a run that was cancelled must not begin to execute, nor
        one that was taken over do again what came in since it was claimed.
        """
        waiting: dict[RunId, list[Command]] = {run.id: [] for run in claimed if run.has_commands or run.claims > 1}
        for command in self._queue.commands_of(self._incarnation, list(waiting)) if waiting else ():
            waiting[command.run_id].append(self._fetching.whole(command))
        return waiting

    def _hand_over(self, run: OwnedRun, tasks: list[Task], waiting: dict[RunId, list[Command]]) -> None:
        for command in waiting.get(run.id, ()):
            if command.kind in COMMANDS:
                run.obey(command)
        self._inbox.put_claimed(run, [] if run.is_over else run.hold_back(tasks))

    def _take_over(self, claimed: list[ClaimedRun], waiting: dict[RunId, list[Command]]) -> None:
        records, unread = self._fetching.records(claimed)
        counts = {run.id: records[run.id].takeovers_of(run) for run in claimed if run.id in records}
        self._queue.record_takeovers(
            self._incarnation,
            [Takeover(uuid.UUID(run), count, records[run].last_outcome) for run, count in counts.items()],
        )
        for run in claimed:
            if run.id in unread:
                self._put_aside(run.id, unread[run.id])
            else:
                self._bring(run, records[run.id], waiting, takeovers=counts[run.id])

    def _bring(
        self, run: ClaimedRun, record: Record | None, waiting: dict[RunId, list[Command]], *, takeovers: int = 0
    ) -> None:
        """Hand a run over as it stands on record; one that cannot go on from there is given up, alone."""
        owned: OwnedRun | None = None
        try:
            owned = self._fetching.own(run)
            self._hand_over(owned, self._tasks(owned, record, waiting, takeovers), waiting)
        except OURS:
            raise
        except DAMAGE as error:
            log.exception("run %s cannot go on from its record", run.id)
            self._give_up(run, record, owned, f"the run cannot go on from its record: {_named(error)}")

    def _tasks(
        self, owned: OwnedRun, record: Record | None, waiting: dict[RunId, list[Command]], takeovers: int
    ) -> list[Task]:
        if record is None:
            return owned.begin()
        run, (loaded, state) = owned.claimed, record
        probation = run.lost_owner is not None or takeovers > 0
        if not loaded.events and run.changes is None:
            return owned.begin(takeovers=takeovers, probation=probation)
        if takeovers >= DEATHS_MAX:
            owned.give_up(loaded, takeovers=takeovers)
            return []
        commands = waiting.pop(run.id, [])
        waiting[run.id] = [command for command in commands if command.kind not in _FIRST]
        return owned.take_over(
            loaded,
            self._fetching.outputs(state),
            takeovers=takeovers,
            probation=probation,
            outcomes=[command for command in commands if command.kind in _FIRST],
            state=state,
        )

    def _reload(self, run: OwnedRun, reason: str) -> None:
        records, unread = self._fetching.records([run.claimed])
        if unread:
            self._put_aside(run.id, unread[run.id])
        else:
            self._give_up(run.claimed, records[run.id], run, reason)

    def _give_up(self, claimed: ClaimedRun, record: Record | None, before: OwnedRun | None, reason: str) -> None:
        """End a run as failed; `before` is the same run as it was in hand, and has counted commands."""
        again = self._fetching.own_plainly(claimed)
        if before is not None:
            again.log.inbox_seen = before.log.inbox_seen
            again.log.buffer.beside.drained += before.log.buffer.all_drained
        again.refuse(
            LoadedRun([], GENESIS) if record is None else record.loaded,
            Failure(type="ValueRefused", message=reason, retryable=False),
        )
        self._inbox.put_claimed(again, [])
        self._inbox.wake.set()

    def _put_aside(self, run: RunId, error: Exception) -> None:
        """Let go of a run whose history cannot be read, for a while: nothing can be added to it, not even an end."""
        log.error("run %s is put aside for %s s: its history cannot be read: %s", run, ASIDE_S, _named(error))
        self._queue.put_aside(self._incarnation, uuid.UUID(run), ASIDE_S)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
