"""Every worker and server process is a candidate; one of them leads, and does what must be done once.

Rule 1: who leads is decided by the store; a leader whose renewals fail stops by its own monotonic clock before the
        lease runs out, and whatever it still tries after that is refused by the epoch.
Rule 2: `turn` campaigns and renews, `serve` does the duties; each does one round and says how long to wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from kronos.errors import KronosError, LeaseLost, Unavailable
from kronos.ports.leading import Leadership, NodeId, Presence, Scheduling, Term

__all__ = ["Candidate", "Duty", "schedules_duty"]

log: Final = logging.getLogger("kronos.leader")

MARGIN: Final = 0.15
"""Share of the lease by which a leader stops before another may begin."""
LOOK_S: Final = 0.5
"""A standby looks this often at most, and when the lease of the leader is about to run out."""
AT_ONCE_S: Final = 0.02


class Duty(NamedTuple):
    """What the leader does: `act` returns the seconds until it wants to act again."""

    name: str
    act: Callable[[Term], float]


class Candidate:
    """Two threads: one campaigns and renews, one does the duties; a renewal never waits for a duty."""

    def __init__(
        self,
        *,
        store: Leadership,
        kind: str,
        name: str,
        lease_s: float,
        presence: Callable[[], Presence],
        duties: Sequence[Duty],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._kind = kind
        self._name = name
        self._lease_s = lease_s
        self._presence = presence
        self._duties = duties
        self._due: dict[str, float] = {}
        self._monotonic = monotonic
        self._node: NodeId | None = None
        self._term: Term | None = None
        self._led_until = 0.0
        self._seen_at = 0.0
        self._said: Presence | None = None
        self._stopping = threading.Event()
        self._leads = threading.Event()
        self._news = threading.Event()
        self._threads: Final = [
            threading.Thread(target=self._run, args=(self.turn, self._news), name="kronos-candidate", daemon=True),
            threading.Thread(target=self._run, args=(self.serve, self._leads), name="kronos-leader", daemon=True),
        ]

    def join(self) -> None:
        """Say that we are here; raise `Unavailable` where the database is behind a pooler that would break the lead."""
        self._node = self._store.join(kind=self._kind, name=self._name, lease_s=self._lease_s)

    def start(self) -> None:
        """Begin to campaign."""
        for thread in self._threads:
            thread.start()

    def hint(self) -> None:
        """Say that presence has changed."""
        self._news.set()

    def stop(self) -> None:
        """End, and say so: another may lead at once."""
        self._stopping.set()
        self._leads.set()
        self._news.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=10)
        try:
            if self._term is not None:
                self._store.resign(self._term)
            if self._node is not None:
                self._store.leave(self._node)
        except Unavailable as error:
            log.warning("left without a word: %s; the lease will run out", error)
        self._store.close()

    @property
    def term(self) -> Term | None:
        """The term under which this process leads now, by its own clock."""
        term = self._term
        return term if term is not None and self._monotonic() < self._led_until else None

    # ── campaigning ──

    def turn(self) -> float:
        """Say that we are here, renew the lead or try to win it; return the seconds until the next turn."""
        self._say_presence()
        assert self._node is not None, "presence joins"
        asked = self._monotonic()
        if self._term is not None:
            if asked < self._led_until and self._store.renew(self._term, self._lease_s):
                self._led_until = asked + self._lease_s * (1 - MARGIN)
                return self._lease_s / 3
            log.warning("node %s does not lead any more: epoch %s is over", self._node, self._term.epoch)
            self._term = None
        standing = self._store.campaign(self._node, self._lease_s)
        if standing.term is None:
            return max(AT_ONCE_S, min(LOOK_S, self._lease_s / 4, standing.left_s + AT_ONCE_S))
        self._led_until = asked + self._lease_s * (1 - MARGIN)
        self._term = standing.term
        self._due.clear()
        self._leads.set()
        log.info("node %s leads: epoch %s", self._node, standing.term.epoch)
        return self._lease_s / 3

    def _say_presence(self) -> None:
        now, presence = self._monotonic(), self._presence()
        if self._node is None:
            self.join()
        elif now < self._seen_at + self._lease_s / 3 and presence == self._said:
            return
        assert self._node is not None, "a node that joined has a number"
        if self._store.renew_presence(self._node, presence):
            self._seen_at, self._said = now, presence
        else:
            self._node = self._term = None
            raise Unavailable("this node was forgotten: it joins again")

    # ── leading ──

    def serve(self) -> float:
        """Do the duties that are due, while we lead; return the seconds until the next turn."""
        term = self.term
        if term is None:
            return LOOK_S
        for duty in self._duties:
            if self._monotonic() >= self._due.get(duty.name, 0.0):
                self._due[duty.name] = self._monotonic() + self._do(duty, term)
        return max(0.0, min(self._due.values(), default=LOOK_S) - self._monotonic())

    def _do(self, duty: Duty, term: Term) -> float:
        """Return the seconds until a duty wants to act again; one that fails keeps no other from being done."""
        try:
            return duty.act(term)
        except KronosError:
            raise
        except Exception:
            log.exception("the duty %s failed; it is tried again", duty.name)
            return LOOK_S

    def _run(self, turn: Callable[[], float], wake: threading.Event) -> None:
        while not self._stopping.is_set():
            try:
                wait_s = turn()
            except LeaseLost as error:
                log.warning("%s", error)
                wait_s = LOOK_S
            except KronosError as error:
                log.log(logging.ERROR if error.facts.get("reason") == "pooler" else logging.WARNING, "%s", error)
                wait_s = LOOK_S
            except Exception:
                log.exception("a turn of the candidate failed; it is tried again")
                wait_s = LOOK_S
            wake.wait(wait_s)
            if not self._stopping.is_set():
                wake.clear()


def schedules_duty(schedules: Scheduling) -> Duty:
    """Fire schedules: to the millisecond where the next slot is known, and every LOOK_S for those that are added."""

    def act(term: Term) -> float:
        while schedules.fire_due(term):
            continue
        left_s = schedules.next_slot_s()
        return LOOK_S if left_s is None else max(0.0, min(LOOK_S, left_s))

    return Duty("schedules", act)
