"""How records make the outbox, one at a time, and what the outbox must therefore be, said at once.

Rule 1: `APPLY` may not choose: a record that does not fit the queue it meets is refused (`TransitionError`).
Rule 2: `derived` says the same without a loop over states: for each order the last command that nothing has ended,
        and the last sending that nothing has answered.  The two are compared by the invariants of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kronos.errors import TransitionError
from kronos.trading.buckets import take
from kronos.trading.events import (
    CommandRefused,
    Deferred,
    OrderAccepted,
    OrderFilled,
    OrderReplaced,
    OutboxDiscarded,
    OutboxQueued,
    OutboxSent,
    OutboxWoken,
    Record,
)
from kronos.trading.outbox import CANCEL, NEW, REPLACE, Command, Outbox

__all__ = ["APPLY", "answer", "derived", "ended"]


def _queued(outbox: Outbox, record: OutboxQueued) -> None:
    outbox.queued[record.order_id] = _command(record, outbox.queued.get(record.order_id))


def _command(record: OutboxQueued, before: Command | None) -> Command:
    cause = record.causes[0]
    return Command(
        order_id=record.order_id, instrument=record.instrument, kind=record.kind, route=record.route, cause=cause,
        place=before.place if before else cause, origin=record.origin, quantity=record.quantity, terms=record.terms,
    )  # fmt: skip


def _discarded(outbox: Outbox, record: OutboxDiscarded) -> None:
    """Take the command out where it waits; one that was superseded or came too weak waits nowhere."""
    command = outbox.queued.get(record.order_id)
    if command is not None and command.cause == record.command:
        del outbox.queued[record.order_id]


def _sent(outbox: Outbox, record: OutboxSent) -> None:
    command = outbox.queued.pop(record.order_id, None)
    if command is None or command.kind != record.kind or record.order_id in outbox.in_flight:
        raise TransitionError(
            f"order {record.order_id}: a {record.kind} was sent at ({record.row}, {record.sub}), but "
            f"{command.kind if command else 'nothing'} waits and "
            f"{outbox.in_flight.get(record.order_id, 'nothing')} is in flight",
            order_id=record.order_id,
            row=record.row,
            sub=record.sub,
        )
    outbox.in_flight[record.order_id] = record.kind
    route = outbox.routes.get(record.route)
    bucket = None if route is None else route.cancels if record.kind == CANCEL else route.orders
    if bucket is not None:
        take(bucket, record.at)


def _deferred(outbox: Outbox, record: Deferred) -> None:
    outbox.routes[record.route].wake = record.until


def _woken(outbox: Outbox, record: OutboxWoken) -> None:
    for route in outbox.routes.values():
        if route.wake <= record.at:
            route.wake = 0


def answer(outbox: Outbox, order_id: int, kind: str) -> None:
    """End the flight of a `kind` of command; an answer to what is not in flight changes nothing."""
    if outbox.in_flight.get(order_id) == kind:
        del outbox.in_flight[order_id]


def ended(outbox: Outbox, order_id: int) -> None:
    """End whatever is in flight for an order that is finished; what waits for it is discarded by a record."""
    outbox.in_flight.pop(order_id, None)


def _refused(outbox: Outbox, record: CommandRefused) -> None:
    answer(outbox, record.order_id, record.kind)


APPLY: Final[Mapping[type[Record], Callable[[Outbox, Any], None]]] = {
    OutboxQueued: _queued,
    OutboxDiscarded: _discarded,
    OutboxSent: _sent,
    Deferred: _deferred,
    OutboxWoken: _woken,
    CommandRefused: _refused,
}
"""The records that are the outbox's own; reports of orders reach it through `answer` and `ended`."""

_ANSWERS: Final[Mapping[type[Record], str]] = {OrderAccepted: NEW, OrderFilled: NEW, OrderReplaced: REPLACE}


def derived(
    opening: Outbox, records: Iterable[Record], alive: Callable[[int], bool]
) -> tuple[dict[int, Command], dict[int, str]]:
    """Return what must wait and what must be in flight after `records`, by order id, given the `opening` queue.

    `alive` says whether an order is unfinished at the end.  Buckets are not derived here: their law is `buckets.take`.
    """
    waiting, flying = dict(opening.queued), dict(opening.in_flight)
    by_order: dict[int, list[Any]] = {}
    for record in records:
        order_id = getattr(record, "order_id", 0)
        if order_id:
            by_order.setdefault(order_id, []).append(record)
    for order_id, history in by_order.items():
        waits = _waits(history, waiting.pop(order_id, None))
        if waits is not None:
            waiting[order_id] = waits
        flies = _flies(history, flying.pop(order_id, None))
        if flies is not None and alive(order_id):
            flying[order_id] = flies
    return waiting, flying


def _waits(history: list[Any], before: Command | None) -> Command | None:
    """Return the last command of one order's `history` that was neither sent nor discarded, in its place."""
    line: list[Command] = [] if before is None else [before]
    for record in history:
        if type(record) is OutboxQueued:
            line.append(_command(record, line[-1] if line else None))
        elif type(record) is OutboxSent or (
            type(record) is OutboxDiscarded and line and line[-1].cause == record.command
        ):
            line.clear()
    return line[-1] if line else None


def _flies(history: list[Any], before: str | None) -> str | None:
    """Return the kind of the last sending of one order's `history` that no report after it has answered."""
    sendings = [at for at, record in enumerate(history) if type(record) is OutboxSent]
    kind = history[sendings[-1]].kind if sendings else before
    after = history[sendings[-1] + 1 :] if sendings else history
    return None if any(_answers(record, kind) for record in after) else kind


def _answers(record: Any, kind: str | None) -> bool:
    return _ANSWERS.get(type(record)) == kind or (type(record) is CommandRefused and record.kind == kind)
