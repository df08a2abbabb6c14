"""The broker's side of a step: allowed commands enter the outbox, and what may go goes, each with a record.

Rule 1: every command leaves a record of what became of it: queued, superseded, updated, too weak, sent, or discarded.
Rule 2: a record is written before the wire hears of the command; the wire answers with reports, at once or later.
Rule 3: what is in flight is known to the wire alone: nothing here takes it back.

Used where a route has limits or orders travel; a run without either hands its commands to the venue directly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kronos.trading.events import (
    Deferred,
    OrderCancelled,
    OrderSubmitted,
    OutboxDiscarded,
    OutboxQueued,
    OutboxSent,
    OutboxWoken,
)
from kronos.trading.outbox import CANCEL, NEW, Command, Outbox, Outcome, in_line, meet, next_wake, plan
from kronos.trading.positions import cause_id
from kronos.trading.tape import Tape

__all__ = ["Broker", "Wire"]

Wire = Callable[[Command, int, int, int], None]
"""Takes a sent command with its row, the cause of what follows (`cause_id`) and the time (ns UTC)."""


class Broker:
    """Keeps the outbox of one `tape` moving; what is sent goes down the `wire`."""

    def __init__(self, tape: Tape, wire: Wire) -> None:
        """Write to `tape`; the state's outbox is the only memory."""
        self._tape, self._wire = tape, wire

    @property
    def _outbox(self) -> Outbox:
        return self._tape.state.outbox

    def take(self, command: Command, row: int) -> None:
        """Let an allowed `command` wait, or end where a stronger one waits for the same order."""
        waiting = self._outbox.queued.get(command.order_id)
        match meet(waiting, command.kind):
            case Outcome.QUEUE:
                self._queue(command, row, command.kind)
            case Outcome.SUPERSEDE if waiting is not None:
                self._queue(command, row, command.kind)
                self._discard(waiting, row, command.cause, "superseded")
            case Outcome.UPDATE if waiting is not None:
                self._queue(command, row, NEW)
                self._discard(waiting, row, command.cause, "updated")
            case Outcome.REMOVE if waiting is not None:
                self.remove(waiting, row, command.cause, "requested")
            case Outcome.DISCARD:
                self._discard(command, row, command.cause, "weaker")

    def remove(self, command: Command, row: int, cause: int, reason: str) -> None:
        """End a queued new order, and its children with it: the venue has heard of none of them."""
        self._discard(command, row, cause, reason)
        self._write(OrderCancelled, command, row, cause, command.order_id, reason)
        for child in in_line(self._outbox):
            if child.kind == NEW and child.terms.parent == command.order_id:
                self.remove(child, row, cause, "parent")

    def drop(self, which: Callable[[Command], bool], row: int, cause: int, reason: str) -> None:
        """Discard what waits, is no cancel and is meant by `which`; new orders end, others stand as they stood."""
        for command in in_line(self._outbox):
            if command.kind == CANCEL or command.order_id not in self._outbox.queued or not which(command):
                continue
            if command.kind == NEW:
                self.remove(command, row, cause, reason)
            else:
                self._discard(command, row, cause, reason)

    def wake(self, row: int, now: int) -> None:
        """Let the time `now` (ns UTC) come for deferred commands, as a record, and send what may go."""
        due = next_wake(self._outbox)
        assert 0 < due <= now, f"nothing waits for {now}: the next wake is {due}"
        self._tape.write(OutboxWoken, row, 0, (cause_id(row, 0),), now)
        self.pump(row, now)

    def pump(self, row: int, now: int) -> None:
        """Send what may be sent at `now` (ns UTC), until nothing more may; defer what has to wait for a token."""
        while self._outbox.queued:
            self._forget_finished(row)
            decided = plan(self._outbox, now)
            if not decided.sends:
                break
            for command in decided.sends:
                if self._outbox.queued.get(command.order_id) is command and self._is_open(command):
                    self._send(command, row, now)
        else:
            return
        for command, until in decided.deferred:
            wake = self._outbox.routes[command.route].wake
            if not wake or until < wake:
                self._write(Deferred, command, row, command.cause, command.order_id, command.route, until)

    def _is_open(self, command: Command) -> bool:
        return command.order_id in self._tape.state.orders

    def _forget_finished(self, row: int) -> None:
        """Discard what waits for an order that has ended in the meantime."""
        for command in in_line(self._outbox):
            if not self._is_open(command):
                self._discard(command, row, command.cause, "order_finished")

    def _send(self, command: Command, row: int, now: int) -> None:
        order_id, kind = command.order_id, command.kind
        sent = self._write(OutboxSent, command, row, command.cause, order_id, kind, command.route, now)
        if kind == NEW:
            sent = self._write(OrderSubmitted, command, row, cause_id(row, sent.sub), order_id)
        self._wire(command, row, cause_id(row, sent.sub), now)

    def _queue(self, command: Command, row: int, kind: str) -> None:
        self._write(
            OutboxQueued, command, row, command.cause,
            command.order_id, command.instrument, kind, command.route, command.quantity, command.terms,
        )  # fmt: skip

    def _discard(self, command: Command, row: int, cause: int, reason: str) -> None:
        self._write(OutboxDiscarded, command, row, cause, command.order_id, command.kind, command.cause, reason)

    def _write(self, kind: type[Any], command: Command, row: int, cause: int, *fields: Any) -> Any:
        return self._tape.write(kind, row, command.origin, (cause,), *fields)
