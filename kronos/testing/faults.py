"""What goes wrong, where and when, drawn from a seed.

Rule 1: a fault strikes at a boundary: before a statement is sent, or after the server has answered.
Rule 2: the first fault of a plan aims at one statement by its name, so that over many seeds each one is struck; the
        others come at random.
Rule 3: once `disarm` was called nothing strikes any more: what is left must come to its end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, cast

from kronos.testing.connecting import COMMIT, CONNECT, SimulatedConnection, Watched
from kronos.testing.network import Network
from kronos.testing.scheduling import Scheduler, current_actor

__all__ = ["KINDS", "FaultPlan", "Mortal"]

KINDS: Final = ("kill", "drop", "pause", "hang", "late", "kill_late", "kill_after", "drop_after")
"""kill: the process dies before the statement is sent; kill_after: after it was done, before the answer came.
drop, drop_after: the same for the connection alone.  hang: the connection breaks on this side only, and the server
holds on to what it did until it learns of it.  late: a COMMIT that was sent happens later, the answer never comes;
kill_late: the same, and the process is dead.  pause: the process stands still, beyond its lease perhaps, and goes on
as if nothing had happened.
"""
_AFTER: Final = frozenset({"kill_after", "drop_after"})
HANG_S: Final = (0.2, 1.0, 2.2)
PAUSE_S: Final = (0.1, 0.8, 1.6, 3.0)
"""Shorter and longer than a lease; still longer ones show nothing more: meanwhile the others only beat."""


class Mortal(Protocol):
    """A process that faults may strike."""

    name: str
    paused_until_ns: int

    def die(self) -> None:
        """Let none of its actors do anything any more."""
        ...


class FaultPlan(Watched):
    """Strikes at most `most` times.  `on_death` is told which process died.

    `aims` are names of statements, or "COMMIT" with the purpose of a connection, as in "COMMIT flush"; `prelude` is a
    (statement, kind of fault) that strikes first, without which the aim would not be reached; a third element says at
    which time it is sent.  One fault is kept for the aim.
    """

    def __init__(
        self,
        seed: str,
        *,
        aims: Sequence[str],
        most: int,
        chance: float = 0.012,
        kinds: Sequence[str] = KINDS,
        prelude: tuple[str, str] | tuple[str, str, int] | None = None,
        on_death: Callable[[Any], None],
    ) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.aim: Final = self._rng.choice(aims) if aims else None
        self._aim_at = 1 if prelude else self._rng.choice((1, 1, 1, 1, 2))
        self._aim_kind = self._rng.choice(kinds)
        self._left = most + (prelude is not None)
        self._prelude = prelude[:2] if prelude else None
        self._prelude_at = prelude[2] if prelude and len(prelude) == 3 else 1
        self._chance = chance
        self._kinds = kinds
        self._on_death = on_death
        self._counts: dict[str, int] = {}
        self.armed = True
        self.is_aim_struck = False
        self.statements = 0
        self.struck: list[tuple[int, str, str, str]] = []
        """(number of the statement, process, statement, kind of fault)."""
        self.network: Network
        self.scheduler: Scheduler

    def disarm(self) -> None:
        """Let nothing more go wrong."""
        self.armed = False

    def before(self, connection: SimulatedConnection, name: str, params: Any) -> None:
        self.statements += 1
        kind = self._drawn(connection, name)
        if kind is None:
            return
        self._left -= 1
        self.struck.append((self.statements, cast("Mortal", connection.process).name, name, kind))
        if kind in _AFTER:
            connection.fate = kind
        elif kind.startswith("pause"):
            seconds = PAUSE_S[-1] if kind == "pause_long" else self._rng.choice(PAUSE_S)
            self._pause(cast("Mortal", connection.process), seconds)
        else:
            self._strike(connection, kind, name)

    def after(self, connection: SimulatedConnection, name: str, params: Any) -> None:
        kind, connection.fate = connection.fate, None
        if kind is not None:
            self._strike(connection, "kill" if kind == "kill_after" else "drop", name)

    def _drawn(self, connection: SimulatedConnection, name: str) -> str | None:
        label = f"{COMMIT} {connection.purpose}" if name == COMMIT else name
        count = self._counts[label] = self._counts.get(label, 0) + 1
        if not self.armed or self._left <= 0 or connection.process is None:
            return None
        if self._prelude is not None and self._prelude[0] == label and self._prelude_at <= count:
            kind, self._prelude = self._prelude[1], None
        elif label == self.aim and count == self._aim_at:
            kind, self.is_aim_struck = self._aim_kind, True
        elif self._left > self._kept and self._rng.random() < self._chance:
            kind = self._rng.choice(self._kinds)
        else:
            return None
        if kind == "late" and name != COMMIT:
            return "hang" if connection.in_transaction else "drop"
        if name == CONNECT and kind in {"hang", "pause"}:
            return "drop"
        return kind

    @property
    def _kept(self) -> int:
        """How many faults are kept for what the plan is about."""
        return (self._prelude is not None) + (self.aim is not None and not self.is_aim_struck)

    def _pause(self, process: Mortal, seconds: float) -> None:
        process.paused_until_ns = self.scheduler.clock.now_ns() + int(seconds * 1e9)
        actor = current_actor()
        assert actor is not None, "a process that can be paused consists of actors"
        actor.stand_back()

    def _strike(self, connection: SimulatedConnection, kind: str, name: str) -> None:
        if kind == "kill_late":
            self._leave_hanging(connection, commit=name == COMMIT)
            self.kill(connection.process)
        elif kind == "kill":
            self.kill(connection.process)
        elif kind == "drop":
            self.network.sever(connection)
        else:
            self._leave_hanging(connection, commit=kind == "late")

    def _leave_hanging(self, connection: SimulatedConnection, *, commit: bool) -> None:
        self.network.leave_hanging(connection)
        delay_s = self._rng.choice(HANG_S)

        def arrive() -> None:
            actor = current_actor()
            assert actor is not None
            actor.wait(delay_s)
            self.network.end_hanging(connection, commit=commit)

        self.scheduler.spawn(f"network {len(self.struck)}", None, arrive)

    def kill(self, process: Any) -> None:
        """End a process: its connections break at once, or for some the server learns of it later."""
        process.die()
        awaited = {actor.executing for actor in self.scheduler.actors if actor.executing is not None}
        gone: list[int] = []
        for connection in self.network.of(process):
            pid = connection.pid
            if pid not in awaited and self._rng.random() < 0.25:
                self._leave_hanging(connection, commit=False)
            else:
                connection.severed = True
                gone.append(pid)
        self.network.observer.terminate(gone)
        self._on_death(process)
