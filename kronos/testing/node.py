"""A worker's process in a simulation: one life after another, its parts as actors.

Rule: it is `engine.life.Life` that lives here; only who gives the turns differs from a real worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from kronos.engine.context import Services
from kronos.engine.gathering import FLUSHES_MAX
from kronos.engine.life import Life, Surroundings
from kronos.engine.tasks import Task
from kronos.engine.worker import REBIRTH_S
from kronos.errors import KronosError, Unavailable
from kronos.kernel.ids import IncarnationId
from kronos.testing.scheduling import Actor, Scheduler, current_actor
from kronos.testing.slots import InlineSlots

__all__ = ["Node"]


class Node:
    """One process.  `kill` ends it at once; a new one may take its name."""

    def __init__(
        self,
        name: str,
        *,
        scheduler: Scheduler,
        around: Callable[[Node], Surroundings],
        delays: Callable[[Task], tuple[float, float]] = lambda _task: (0.0, 0.0),
        slots: int = 2,
        on_execute: Callable[[Task, IncarnationId], None] = lambda _task, _incarnation: None,
        extras: Callable[[Node], Mapping[str, Callable[[], float]]] = lambda _node: {},
    ) -> None:
        """`delays` gives the seconds that an attempt takes before and after its code is called; `extras` what else the
        process does: turns by name, each of which returns the seconds until it wants another.
        """
        self.name: Final = name
        self.paused_until_ns = 0
        self.is_dead = False
        self.actors: list[Actor] = []
        self.life: Life | None = None
        self._scheduler = scheduler
        self._delays = delays
        self._count = slots
        self._on_execute = on_execute
        self._extras = extras
        self._around = around(self)
        self._reason: BaseException | None = None
        self._leaving = False

    def start(self) -> None:
        """Begin the first life."""
        self._spawn("main", self._supervise)
        for name, turn in self._extras(self).items():
            self._spawn(name, partial(self._keep_turning, turn))

    def leave(self) -> None:
        """Ask it to finish what it has in hand and go."""
        self._leaving = True

    def hint(self) -> None:
        """Say that there may be something to do."""
        if self.life is not None:
            self.life.intake.hint()

    def die(self) -> None:
        """Let none of its actors do anything any more; their connections are the network's business."""
        self.is_dead = True
        self.paused_until_ns = 0
        for actor in self.actors:
            actor.killed = True

    # ── lives ──

    def _supervise(self) -> None:
        actor = current_actor()
        assert actor is not None, "a node lives in an actor"
        while not self.is_dead:
            self._reason = None
            try:
                life = self.life = Life(self._around, self._lost)
            except Unavailable:
                actor.wait(REBIRTH_S)
                continue
            self._animate(life)
            actor.wait(None, lambda: self._reason is not None or self._leaving)
            if self._left_in_order():
                self._finish(life, actor)
                return
            life.loop.abandon()
            life.slots.stop(0.0)
            life.commits.leave()
            self.life = None
            life.retire()
            actor.wait(REBIRTH_S)

    def _keep_turning(self, turn: Callable[[], float]) -> None:
        while not self._leaving:
            try:
                wait_s = turn()
            except KronosError:
                wait_s = REBIRTH_S
            _me().wait(wait_s)

    def _left_in_order(self) -> bool:
        return self._reason is None

    def _finish(self, life: Life, actor: Actor) -> None:
        life.loop.hold()
        actor.wait(5.0, lambda: not life.slots.running())
        life.slots.stop(0.0)
        life.loop.stop()
        actor.wait(5.0, lambda: life.loop.turn() and not life.commits.waiting)
        self.life = None
        life.give_back()

    def _lost(self, life: Life, reason: BaseException) -> None:
        if life is self.life:
            self._reason = self._reason or reason

    def slots(
        self, services: Services, wake: Callable[[], None], _on_lost: Callable[[BaseException], None]
    ) -> InlineSlots:
        return InlineSlots(definitions=self._around.serving.targets, services=services, wake=wake, count=self._count)

    def _animate(self, life: Life) -> None:
        """Make actors of the parts that threads turn in a real worker."""
        lease = life.lease
        self._part(life, "owner", self._own)
        self._part(life, "intake", self._take_in)
        for number in range(FLUSHES_MAX):
            self._part(life, f"commit-{number}", self._commit)
        self._part(life, "renew", lambda life: _repeat(lambda: self._is_over(life), lease.renew, lease.renew_s))
        self._part(life, "watch", lambda life: _repeat(lambda: self._is_over(life), lease.watch, 0.01))
        self._part(life, "reap", lambda life: _repeat(lambda: self._is_over(life), lease.reap, lease.reap_s))
        if life.jobs is not None:
            self._part(life, "jobs", self._take_jobs)
        for number in range(self._count):
            self._part(life, f"slot-{number}", self._execute)

    def _part(self, life: Life, name: str, body: Callable[[Life], None]) -> None:
        def guarded() -> None:
            try:
                body(life)
            except Exception as error:
                life.lost(error)

        self._spawn(f"{name}.{life.incarnation}", guarded)

    def _spawn(self, name: str, body: Callable[[], None]) -> None:
        self.actors.append(self._scheduler.spawn(f"{self.name}.{name}", self, body))

    def _is_over(self, life: Life) -> bool:
        return self.is_dead or self.life is not life

    # ── turns ──

    def _own(self, life: Life) -> None:
        actor, wake = _me(), life.inbox.wake
        while not self._is_over(life):
            wake.clear()
            if life.loop.turn():
                return
            actor.wait(life.loop.wait_s(), lambda: wake.is_set() or self._is_over(life))

    def _take_in(self, life: Life) -> None:
        actor, wake = _me(), life.intake.wake
        while not self._is_over(life) and not self._leaving:
            wait_s = life.intake.turn()
            actor.wait(wait_s, lambda: wake.is_set() or self._is_over(life))
            wake.clear()

    def _take_jobs(self, life: Life) -> None:
        actor, desk = _me(), life.jobs
        assert desk is not None, "only a desk is turned"
        while not self._is_over(life) and not self._leaving:
            actor.wait(desk.turn(), lambda: desk.wake.is_set() or self._is_over(life))
            desk.wake.clear()

    def _commit(self, life: Life) -> None:
        actor = _me()
        while not self._is_over(life):
            life.commits.turn()
            actor.wait(None, lambda: life.commits.waiting or self._is_over(life))

    def _execute(self, life: Life) -> None:
        actor = _me()
        slots = life.slots
        assert isinstance(slots, InlineSlots)
        while not self._is_over(life):
            actor.wait(None, lambda: slots.waiting or self._is_over(life))
            if self._is_over(life):
                return
            task = slots.begin()
            before_s, after_s = self._delays(task)
            actor.wait(before_s)
            self._on_execute(task, life.incarnation)
            outcome = slots.execute(task)
            actor.wait(after_s)
            slots.finish(task, outcome)


def _repeat(is_over: Callable[[], bool], turn: Callable[[], float], wait_s: float) -> None:
    actor = _me()
    while True:
        actor.wait(wait_s, is_over)
        if is_over():
            return
        wait_s = turn()


def _me() -> Actor:
    actor = current_actor()
    assert actor is not None, "parts of a node are turned by actors"
    return actor
