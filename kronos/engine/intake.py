"""What comes in from the store: runs to own, and commands for the runs that are owned.

Rule 1: a claimed run reaches the loop complete: its history is loaded and folded, its takeover is counted durably.
Rule 2: where the answer to a claim was lost, runs are ours and in nobody's hands: they are found and given back, else
        they would wait for the end of this incarnation.
Rule 3: it claims when the loop wants runs, at each notice, and every `poll_s` in any case; it looks for commands at
        each notice and every COMMANDS_S: a command becomes an event at most that late.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from kronos.core.events import Event, Failure, Kind
from kronos.core.families import decode_child_ended, encode_child_ended
from kronos.core.options import Executor
from kronos.core.state import Run, StepStatus, fold
from kronos.engine.clock import RunClock
from kronos.engine.commands import COMMANDS, UNREADABLE
from kronos.engine.forked import ForkedRun
from kronos.engine.forking import Ground
from kronos.engine.inbox import Inbox
from kronos.engine.owned import DEATHS_MAX, OwnedRun
from kronos.engine.reports import Reports
from kronos.engine.serving import Served, Serving
from kronos.engine.tasks import Task
from kronos.errors import CorruptHistory, NotFound, Unavailable
from kronos.kernel.ids import BlobHash, IncarnationId, RunId
from kronos.ports.blobs import Blobs
from kronos.ports.queue import ClaimedRun, Command, LoadedRun, Progress, Queue, Takeover

__all__ = ["COMMANDS_S", "Intake"]

COMMANDS_S: Final = 0.25
CHECK_S: Final = 5.0
"""How often, and after each loss of the connection, the store's word on what is ours is held against what is."""
_FIRST: Final = frozenset({"adopt", "outcome", "outcomes"})
"""Commands that are obeyed before a run that was taken over goes on."""
_OUTCOMES: Final = frozenset({Kind.STEP_COMPLETED, Kind.STEP_FAILED, Kind.STEP_RETRIED})


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
        self._blobs = blobs
        self._serving = serving
        self._incarnation = incarnation
        self._clock = clock
        self._inbox = inbox
        self._poll_s = poll_s
        self._held = held
        self._reports = reports
        self._on_lost = on_lost
        self._around: Any = {"worker": incarnation, "now_ns": clock.now_ns, "chance": chance, "room": room}
        self._wanted = 0
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
                return
            self.wake.wait(wait_s)
            self.wake.clear()

    def turn(self) -> float:
        """Do what is due; return the seconds until the next turn is, unless `wake` is set before."""
        now = self._clock.monotonic_s()
        try:
            self._do(now)
        except Unavailable:
            self._next_check = 0.0
            self.wake.clear()
            return COMMANDS_S
        if self._wanted and not self._claimed_all:
            return 0.0
        return max(0.0, self._next_commands - self._clock.monotonic_s())

    def _do(self, now: float) -> None:
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
            self._inbox.put_commands(list(map(self._whole, self._queue.commands(self._incarnation))))
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

    def _claim(self) -> bool:
        """Claim what is wanted; return whether there may be more."""
        wanted, self._wanted = self._wanted, 0
        claimed = self._queue.claim(self._incarnation, self._serving.ids, wanted)
        fresh = [run for run in claimed if run.claims == 1 and run.changes is None]
        late = [run for run in claimed if run.claims > 1 or run.changes is not None]
        if late:  # before the inboxes are read: what was spread out then comes no more
            self._queue.recall(self._incarnation, [run.id for run in late])
        waiting = self._commands_of(claimed)
        for run in fresh:
            owned = self._own(run)
            self._hand_over(owned, owned.begin(), waiting)
        self._inbox.wake.set()
        if late:
            self._take_over(late, waiting)
            self._inbox.wake.set()
        if len(claimed) < wanted:
            self._wanted = self._wanted or wanted - len(claimed)
            return False
        return True

    def _own(self, claimed: ClaimedRun) -> OwnedRun:
        served = self._serving.get(claimed.definition)
        if claimed.changes is None:
            return OwnedRun(claimed, served, **self._around)
        return ForkedRun(claimed, served, self._ground(claimed, served, claimed.changes), **self._around)

    def _ground(self, claimed: ClaimedRun, served: Served, changes: bytes) -> Ground:
        """Return what a fork stands on."""
        ground = Ground(served, changes)
        if ground.fork.reuse != "none" and claimed.parent is not None:
            ground.add(self._queue.past_outcomes(claimed.parent, claimed.parent_seq), self._payload)
        return ground

    def _commands_of(self, claimed: list[ClaimedRun]) -> dict[RunId, list[Command]]:
        """Return what the inboxes of `claimed` hold already: a run that was cancelled must not begin to execute, nor
        one that was taken over do again what came in since it was claimed.
        """
        waiting: dict[RunId, list[Command]] = {run.id: [] for run in claimed if run.has_commands or run.claims > 1}
        for command in self._queue.commands_of(self._incarnation, list(waiting)) if waiting else ():
            waiting[command.run_id].append(self._whole(command))
        return waiting

    def _whole(self, command: Command) -> Command:
        """Return a command with the values that it names: the loop never waits for the store."""
        if command.kind != "child_ended" or b'"$blob"' not in command.body:
            return command
        try:
            ended = decode_child_ended(command.body)
            output = msgspec.Raw(self._payload(bytes(ended.output)))
        except (NotFound, CorruptHistory, *UNREADABLE) as error:
            return command._replace(trouble=str(error))
        return command._replace(body=encode_child_ended(msgspec.structs.replace(ended, output=output)))

    def _hand_over(self, run: OwnedRun, tasks: list[Task], waiting: dict[RunId, list[Command]]) -> None:
        for command in waiting.get(run.id, ()):
            if command.kind in COMMANDS:
                run.obey(command)
        self._inbox.put_claimed(run, [] if run.is_over else run.hold_back(tasks))

    def _take_over(self, claimed: list[ClaimedRun], waiting: dict[RunId, list[Command]]) -> None:
        loaded = self._queue.load(claimed)
        states = {run.id: fold(run.id, loaded[run.id].events) for run in claimed}
        counts = {run.id: _takeovers(run, states[run.id], loaded[run.id]) for run in claimed}
        self._queue.record_takeovers(
            self._incarnation,
            [Takeover(uuid.UUID(run.id), counts[run.id], _last_outcome(loaded[run.id])) for run in claimed],
        )
        for run in claimed:
            owned = self._own(run)
            state, takeovers = states[run.id], counts[run.id]
            tasks: list[Task] = []
            if not loaded[run.id].events and run.changes is None:
                tasks = owned.begin(takeovers=takeovers, probation=run.lost_owner is not None or takeovers > 0)
            elif takeovers >= DEATHS_MAX:
                owned.give_up(loaded[run.id], takeovers=takeovers)
            else:
                commands = waiting.pop(run.id, [])
                waiting[run.id] = [command for command in commands if command.kind not in _FIRST]
                tasks = owned.take_over(
                    loaded[run.id],
                    self._outputs(state),
                    takeovers=takeovers,
                    probation=run.lost_owner is not None or takeovers > 0,
                    outcomes=[command for command in commands if command.kind in _FIRST],
                    state=state,
                )
            self._hand_over(owned, tasks, waiting)

    def _reload(self, run: OwnedRun, reason: str) -> None:
        loaded = self._queue.load([run.claimed])[run.id]
        again = self._own(run.claimed)
        again.log.inbox_seen = run.log.inbox_seen
        again.refuse(loaded, Failure(type="ValueRefused", message=reason, retryable=False))
        self._inbox.put_claimed(again, [])
        self._inbox.wake.set()

    def _outputs(self, state: Run) -> dict[str, bytes]:
        return {
            step: self._payload(bytes(known.facts.output))
            for step, known in state.steps.items()
            if known.status is StepStatus.COMPLETED and known.facts.output is not msgspec.UNSET
        }

    def _payload(self, value: bytes) -> bytes:
        if not value.startswith(b'{"$blob":"'):
            return value
        return self._blobs.get(BlobHash(value[10:74].decode()))


def _last_outcome(loaded: LoadedRun) -> int:
    return max((event.seq for event in loaded.events if _is_outcome(event)), default=0)


def _is_outcome(event: Event) -> bool:
    """Whether an attempt came to an end of its own: a lost one is no progress."""
    failure = event.facts.failure
    return event.kind in _OUTCOMES and (failure is None or failure.cause != "lost")


def _takeovers(claimed: ClaimedRun, state: Run, loaded: LoadedRun) -> int:
    """Return how often in a row this run was taken over with an attempt on record as under way, and no progress since.

    After the first takeover a run is on probation: its attempts are on record before they run.  So a run that merely
    waited beside the guilty one is innocent, and one that dies at once is found out by its second death.
    """
    progress = _last_outcome(loaded) > claimed.takeover_seq
    if claimed.lost_owner is None:  # given back in order: that is no death, and no progress either
        return 0 if progress else claimed.takeovers
    under_way = any(
        step.status is StepStatus.RUNNING and step.facts.wait is None and step.facts.worker == claimed.lost_owner
        for step in state.steps.values()
    )
    return (0 if progress else claimed.takeovers) + under_way
