"""What is to be sent to the venues: a derived queue, and the law of which command stays in it.

Rule 1: the outbox is a fold over records (`outbox_fold`); it holds one effective command for each (instrument, order).
Rule 2: CANCEL > REPLACE > NEW; of the same kind the latest wins; `DOMINANCE` is the whole law, as data.
Rule 3: what was sent is never touched; one command for each order is in flight, cancels too; others wait.
Rule 4: cancels are sent first, then replaces, then news, and first in first out among each; nothing is lost on the way.
Rule 5: a command that its route's bucket cannot pay waits for a time in the state, and is woken by a record.

Order ids are unique in a session, so the order's id is the key and the command names its instrument.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from kronos.trading.buckets import Bucket, Rate, open_bucket, ready_at, take
from kronos.trading.terms import MARKET, Terms

__all__ = [
    "CANCEL",
    "DOMINANCE",
    "NEW",
    "RANK",
    "REPLACE",
    "Command",
    "Deferral",
    "Outbox",
    "Outcome",
    "Plan",
    "Route",
    "in_line",
    "meet",
    "next_wake",
    "open_route",
    "plan",
]

CANCEL: Final = "cancel"
REPLACE: Final = "replace"
NEW: Final = "new"
RANK: Final[Mapping[str, int]] = {CANCEL: 0, REPLACE: 1, NEW: 2}
"""The strongest first, which is also the order of sending."""


class Outcome(StrEnum):
    """What becomes of an incoming command and of the one that waits in its place."""

    QUEUE = "queue"
    SUPERSEDE = "supersede"
    UPDATE = "update"
    REMOVE = "remove"
    DISCARD = "discard"


DOMINANCE: Final[Mapping[tuple[str, str], Outcome]] = {
    (NEW, NEW): Outcome.SUPERSEDE,
    (NEW, REPLACE): Outcome.UPDATE,
    (NEW, CANCEL): Outcome.REMOVE,
    (REPLACE, NEW): Outcome.DISCARD,
    (REPLACE, REPLACE): Outcome.SUPERSEDE,
    (REPLACE, CANCEL): Outcome.SUPERSEDE,
    (CANCEL, NEW): Outcome.DISCARD,
    (CANCEL, REPLACE): Outcome.DISCARD,
    (CANCEL, CANCEL): Outcome.SUPERSEDE,
}
"""(queued, incoming) → outcome; the table in the documentation is drawn from it."""


class Command(msgspec.Struct, kw_only=True):
    """What is to be sent: `kind` of a command for an order, by `route` (its index).

    `cause` is the decision that allowed it (`positions.cause_id`); `place` is where it stands: the cause of
    the first command in this place, for what supersedes another keeps its place.
    `quantity` (lots, signed) and `terms` are the order's once the command is done.
    """

    order_id: int
    instrument: int
    kind: str
    route: int
    cause: int
    place: int
    origin: int = 0
    quantity: int = 0
    terms: Terms = MARKET


class Route(msgspec.Struct, kw_only=True):
    """What a route has left (None: no limit) and when it looks again (ns UTC; 0: nothing waits for a token)."""

    orders: Bucket | None = None
    cancels: Bucket | None = None
    wake: int = 0


class Outbox(msgspec.Struct, kw_only=True):
    """`queued` commands and the kinds `in_flight`, both by order id; `routes` by index: those that have limits."""

    queued: dict[int, Command] = {}
    in_flight: dict[int, str] = {}
    routes: dict[int, Route] = {}


class Deferral(NamedTuple):
    """The first command that waits for a token of `route`, and when (ns UTC) the token is there."""

    command: Command
    until: int


class Plan(NamedTuple):
    """What may be sent now, in this order, and what has to wait for time to pass."""

    sends: list[Command]
    deferred: list[Deferral]


def open_route(*, orders: Rate | None = None, cancels: Rate | None = None) -> Route:
    """Return a route with full buckets."""
    return Route(
        orders=None if orders is None else open_bucket(orders),
        cancels=None if cancels is None else open_bucket(cancels),
    )


def meet(queued: Command | None, incoming: str) -> Outcome:
    """Return what becomes of an `incoming` kind of command where `queued` waits for the same order."""
    return Outcome.QUEUE if queued is None else DOMINANCE[queued.kind, incoming]


def plan(outbox: Outbox, now: int) -> Plan:
    """Return what may be sent at `now` (ns UTC); `outbox` stays as it is, the records of sending change it.

    A route's empty bucket of orders does not hold up its cancels, nor the reverse.
    """
    sends: list[Command] = []
    deferred: list[Deferral] = []
    purses: dict[tuple[int, bool], Bucket] = {}
    blocked: set[tuple[int, bool]] = set()
    for command in sorted(outbox.queued.values(), key=_turn):
        purse = (command.route, command.kind == CANCEL)
        if command.order_id in outbox.in_flight or purse in blocked:
            continue
        bucket = purses.get(purse) or _bucket(outbox, command)
        if bucket is not None:
            bucket = purses.setdefault(purse, copy(bucket))
            if (until := ready_at(bucket, now)) > now:
                blocked.add(purse)
                deferred.append(Deferral(command, until))
                continue
            take(bucket, now)
        sends.append(command)
    return Plan(sends, deferred)


def next_wake(outbox: Outbox) -> int:
    """Return the first time (ns UTC) at which a deferred command may go, 0 when none waits for time."""
    return min((route.wake for route in outbox.routes.values() if route.wake), default=0)


def in_line(outbox: Outbox) -> list[Command]:
    """Return what waits by its place, whatever the order of its keys: that of a restored state is another."""
    return sorted(outbox.queued.values(), key=lambda command: (command.place, command.order_id))


def _turn(command: Command) -> tuple[int, int]:
    return RANK[command.kind], command.place


def _bucket(outbox: Outbox, command: Command) -> Bucket | None:
    route = outbox.routes.get(command.route)
    if route is None:
        return None
    return route.cancels if command.kind == CANCEL else route.orders
