"""Who goes on: actors take turns, and a seed decides whose turn it is.

Rule 1: one actor runs at a time.  It hands back the turn where it waits and at each boundary of the database.
Rule 2: an actor whose statement waits for a lock is found by `pg_blocking_pids` and set aside until it is free.
Rule 3: time moves here alone: a little with each turn, sometimes at random, else to the next thing that is due.
Rule 4: everything that is decided is drawn from one generator, so that an equal seed gives an equal history.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

from kronos.errors import KronosError
from kronos.testing.clock import FakeClock

__all__ = ["Actor", "Killed", "Scheduler", "StuckError", "TurnLock", "current_actor"]

LOCK_TIMEOUT_S: Final = 2.0
"""What `lock_timeout` is in storage/database.py where a statement does not set its own; it passes in our time."""
STEP_NS_MAX: Final = 400_000
"""How much time a turn costs, at most."""
PATIENCE_S: Final = 30.0
"""Real seconds after which an actor that does not hand back its turn is a fault of the simulation."""
LOOK_S: Final = 0.003
"""Real seconds after which it is asked whether a statement waits for a lock."""


class Killed(BaseException):
    """The process of this actor is dead."""


class StuckError(KronosError):
    """Nobody can go on."""

    code = "stuck"


class State(Enum):
    """Where an actor stands."""

    READY = "ready"
    WAITING = "waiting"
    BLOCKED = "blocked"
    DONE = "done"


class Backends(Protocol):
    """What the scheduler asks of the server, on a connection of its own."""

    def blockers(self, pid: int) -> list[int]:
        """Return who holds what this backend waits for."""
        ...

    def cancel(self, pid: int) -> None:
        """Cancel a backend's statement."""
        ...


class Process(Protocol):
    """What actors belong to: they pause and die together."""

    paused_until_ns: int


class Actor:
    """One thread of one simulated process.  Its attributes belong to whoever has the turn."""

    def __init__(self, scheduler: Scheduler, name: str, process: Process | None, body: Callable[[], None]) -> None:
        self.name: Final = name
        self.process: Final = process
        self.killed = False
        self.state = State.READY
        self.due_ns = 0
        self.is_ready: Callable[[], bool] | None = None
        self.executing: int | None = None
        """The backend whose answer is awaited."""
        self.lock_timeout_s = LOCK_TIMEOUT_S
        """How long its statement may wait for a lock."""
        self.timed_out = False
        self._scheduler = scheduler
        self._body = body
        self._go = threading.Lock()
        self._go.acquire()
        self._aside = False
        self._back = threading.Event()
        self._since_ns = 0
        self._thread = threading.Thread(target=self._run, name=f"actor {name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        _local.actor = self
        self._go.acquire()
        try:
            if not self.killed:
                self._body()
        except Killed:
            pass
        except BaseException as error:
            if not self.killed:
                self._scheduler.faults.append((self.name, error))
        self.state = State.DONE
        self._hand_back()

    # ── called by the actor itself ──

    def stand_back(self) -> None:
        """Let the scheduler choose who goes on; raise `Killed` when this process has died meanwhile."""
        self._wait(State.READY)

    def wait(self, seconds: float | None, is_ready: Callable[[], bool] | None = None) -> None:
        """Wait until `seconds` have passed (None: for ever) or `is_ready`."""
        self.due_ns = _NEVER if seconds is None else self._scheduler.clock.now_ns() + int(seconds * 1e9)
        self.is_ready = is_ready
        self._wait(State.WAITING)

    def answered(self) -> None:
        """Say that the server has answered; wait for a turn if the scheduler went on without this actor."""
        with self._scheduler.mutex:
            self.executing = None
            aside = self._aside
        if aside:
            self._wait(State.READY)

    def _wait(self, state: State) -> None:
        if self.killed:
            raise Killed
        self.state = state
        self._hand_back()
        self._go.acquire()
        if self.killed:
            raise Killed

    def _hand_back(self) -> None:
        with self._scheduler.mutex:
            self.executing = None
            if self._aside:
                self._back.set()
            else:
                self._scheduler.back.release()

    # ── called by the scheduler ──

    def go_on(self) -> None:
        """Give it the turn."""
        self._go.release()

    def set_aside(self, pid: int) -> bool:
        """Go on without this actor, whose backend waits; return whether it still does."""
        with self._scheduler.mutex:
            if self.executing != pid:
                return False
            self._aside = True
            self._back.clear()
            self.state = State.BLOCKED
            self._since_ns = self._scheduler.clock.now_ns()
        return True

    @property
    def has_returned(self) -> bool:
        """Whether an actor that was set aside waits for a turn."""
        return self._back.is_set()

    def take_back(self) -> None:
        """It is no longer aside."""
        self._aside = False

    @property
    def lock_due_ns(self) -> int:
        """When its wait for a lock runs out."""
        return self._since_ns + int(self.lock_timeout_s * 1e9)

    def can_go(self, now_ns: int) -> bool:
        """Whether it may be given the turn now."""
        if self._aside or (self.process is not None and self.process.paused_until_ns > now_ns):
            return False
        if self.state is State.READY:
            return True
        return self.state is State.WAITING and (
            self.due_ns <= now_ns or (self.is_ready is not None and self.is_ready())
        )

    def next_ns(self) -> int:
        """When it could go on if nothing else happens."""
        if self.state is State.DONE:
            return _NEVER
        if self.state is State.BLOCKED:
            return self.lock_due_ns
        awake = 0 if self.process is None else self.process.paused_until_ns
        if self.state is State.READY or (self.is_ready is not None and self.is_ready()):
            return awake
        return max(awake, self.due_ns)


_NEVER: Final = 1 << 62
_local = threading.local()


def current_actor() -> Actor | None:
    """Return the actor whose thread this is."""
    return getattr(_local, "actor", None)


class Scheduler:
    """Chooses, turn by turn."""

    def __init__(self, seed: int | str, *, clock: FakeClock, backends: Backends, calm: bool = False) -> None:
        self.rng: Final = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.clock: Final = clock
        self.mutex: Final = threading.Lock()
        self.back: Final = threading.Lock()
        self.back.acquire()
        self.actors: list[Actor] = []
        self.faults: list[tuple[str, BaseException]] = []
        """What escaped from actors: each is a fault of what is simulated."""
        self.calm = calm
        """In calm time moves only as far as it must, and who waits longest goes on."""
        self._backends = backends

    def spawn(self, name: str, process: Process | None, body: Callable[[], None]) -> Actor:
        """Begin an actor; it runs once it is chosen."""
        actor = Actor(self, name, process, body)
        self.actors.append(actor)
        return actor

    def turn(self) -> None:
        """Let one actor go on; raise `StuckError` when nobody ever can."""
        self.bury()
        able = self._able()
        if not able:
            self._move_on()
            self._look_after_blocked()
            able = self._able()
            if not able:
                return
        elif not self.calm:
            self._let_time_pass()
        self._run(able[0] if self.calm else self.rng.choice(able))

    def end(self) -> None:
        """Kill every actor."""
        self.doom()
        self.bury()

    def doom(self) -> None:
        """Let nobody do anything any more; whoever waits for a server must be freed from it before the burial."""
        for actor in self.actors:
            actor.killed = True

    def bury(self) -> None:
        """Let the killed run to their end."""
        self._look_after_blocked()
        for actor in [each for each in self.actors if each.killed and each.state is not State.DONE]:
            if actor.state is not State.BLOCKED:
                self._run(actor)
        self.actors = [actor for actor in self.actors if actor.state is not State.DONE]

    @property
    def is_able(self) -> bool:
        """Whether somebody can go on without any time passing."""
        return bool(self._able())

    def next_ns(self) -> int:
        """When somebody could go on if nothing else happens (ns)."""
        return min((actor.next_ns() for actor in self.actors), default=_NEVER)

    def _able(self) -> list[Actor]:
        now = self.clock.now_ns()
        return [actor for actor in self.actors if actor.can_go(now)]

    def _let_time_pass(self) -> None:
        drawn = self.rng.random()
        self.clock.advance(drawn * STEP_NS_MAX / 1e9)
        if drawn > 0.97:  # a slow turn
            self.clock.advance(self.rng.choice((0.01, 0.06, 0.3)))

    def _move_on(self) -> None:
        due = self.next_ns()
        if due == _NEVER:
            waiting = ", ".join(f"{actor.name} ({actor.state.value})" for actor in self.actors)
            raise StuckError(f"nobody can go on: {waiting or 'no actor is left'}")
        self.clock.advance_to(due)
        if not self.calm and self.rng.random() < 0.1:  # nobody wakes on the dot
            self.clock.advance(self.rng.choice((0.001, 0.05, 0.5)))

    def _run(self, actor: Actor) -> None:
        actor.go_on()
        waited_s = LOOK_S
        began = time.monotonic()
        while not self.back.acquire(timeout=waited_s):
            pid = actor.executing
            if pid is not None and self._backends.blockers(pid) and actor.set_aside(pid):
                return
            if time.monotonic() - began > PATIENCE_S:
                raise StuckError(f"{actor.name} does not hand back its turn (backend {pid})")
        if actor.state is State.DONE:
            self.actors.remove(actor)

    def _look_after_blocked(self) -> None:
        for actor in [each for each in self.actors if each.state is State.BLOCKED or each.has_returned]:
            self._look_after(actor)

    def _look_after(self, actor: Actor) -> None:
        began = time.monotonic()
        while not actor.has_returned:
            pid = actor.executing
            if pid is not None and not actor.timed_out and not actor.killed and self._backends.blockers(pid):
                if actor.lock_due_ns > self.clock.now_ns():
                    return
                actor.timed_out = True  # only who still waits: who has just been let through is not raced
                self._backends.cancel(pid)
            if time.monotonic() - began > PATIENCE_S:
                raise StuckError(f"{actor.name} does not come back (backend {pid})")
            time.sleep(0.0003)
        actor.take_back()
        if actor.state is State.DONE:
            self.actors.remove(actor)


class TurnLock:
    """A lock between actors of one process; re-entrant, as `Session` needs it.  Outside of actors it does nothing."""

    def __init__(self) -> None:
        self._holder: Actor | None = None
        self._depth = 0

    def __enter__(self) -> None:
        actor = current_actor()
        if actor is None:
            return
        while self._holder is not None and self._holder is not actor:
            actor.wait(None, lambda: self._holder is None)
        self._holder = actor
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        if current_actor() is not None:
            self._depth -= 1
            if not self._depth:
                self._holder = None
