"""What others may ask of a run: each kind of inbox row, and what its owner makes of it.

Rule 1: a command becomes events or nothing, here and at once; it never waits.
Rule 2: a kind that is not listed stays in the inbox for an owner that knows it: nothing that was accepted is dropped.
Rule 3: a command is read whole before anything of it is done; one that cannot be read is put aside on record, counted
        as obeyed, and costs nobody else anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol, TypeAlias

import msgspec

from kronos.core.events import Attribute, Failure, RunFacts
from kronos.core.families import ChildEnded, decode_child_ended
from kronos.core.notes import UNREADABLE_COMMAND
from kronos.engine.outcomes import SentOutcome, read_outcome, read_outcomes
from kronos.kernel import canonical
from kronos.ports.queue import Command

__all__ = [
    "COMMANDS",
    "ENDINGS",
    "UNREADABLE",
    "Commanded",
    "Decision",
    "Demand",
    "Message",
    "Order",
    "Unreadable",
    "is_about",
    "put_aside",
    "understand",
    "unreadable",
]

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoders raise over bytes that are not theirs."""
SHOWN_MAX: Final = 4_096
"""Bytes of an unreadable command that go on record."""


class Commanded(Protocol):
    """What a command may do to a run."""

    def cancel(self, *, reason: str, by: str) -> None:
        """End the run by request, whatever runs."""
        ...

    def adopt(self, *, definition: str, version: str, by: str, reason: str) -> None:
        """Record that the run goes on under another definition: the one under which it was claimed."""
        ...

    def signal(self, *, name: str, value: msgspec.Raw, by: str, key: str) -> None:
        """Record a message, and give it to the step that waits for it."""
        ...

    def decide(self, *, step: str, approved: bool, by: str, reason: str) -> None:
        """Record who approved or rejected what, and why."""
        ...

    def pause(self, *, by: str, reason: str) -> None:
        """Begin nothing new until `resume`."""
        ...

    def resume(self, *, by: str, reason: str) -> None:
        """Go on."""
        ...

    def attribute(self, attributes: dict[str, Attribute | None]) -> None:
        """Set searchable attributes; None removes one."""
        ...

    def take_outcome(self, sent: SentOutcome) -> None:
        """Record how an attempt ended that did not end in this worker's slots."""
        ...

    def child_ended(self, ended: ChildEnded) -> None:
        """Record how a run ended that a step of this one had started."""
        ...


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `cancel`, `pause` and `resume`."""

    by: str = ""
    reason: str = ""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `signal`; `value` is canonical JSON, `key` tells one that is sent again from a new one."""

    name: str
    value: msgspec.Raw
    by: str = ""
    key: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `decide`."""

    step: str
    approved: bool
    by: str = ""
    reason: str = ""


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `adopt`."""

    definition: str
    version: str
    by: str = ""
    reason: str = ""


_adoption: Final = msgspec.json.Decoder(Adoption).decode
_demand: Final = msgspec.json.Decoder(Demand).decode
_message: Final = msgspec.json.Decoder(Message).decode
_decision: Final = msgspec.json.Decoder(Decision).decode
_attributes: Final = msgspec.json.Decoder(dict[str, Attribute | None]).decode


Order: TypeAlias = Callable[[Commanded], None]
"""What a command that was read does to its run."""


class Unreadable(Exception):  # noqa: N818 - it is never raised to a user
    """The bytes of a command are not what its kind holds, or name what is gone."""


def _cancel(body: bytes) -> Order:
    demand = _demand(body)
    return lambda run: run.cancel(reason=demand.reason, by=demand.by)


def _pause(body: bytes) -> Order:
    demand = _demand(body)
    return lambda run: run.pause(by=demand.by, reason=demand.reason)


def _resume(body: bytes) -> Order:
    demand = _demand(body)
    return lambda run: run.resume(by=demand.by, reason=demand.reason)


def _signal(body: bytes) -> Order:
    message = _message(body)
    return lambda run: run.signal(name=message.name, value=message.value, by=message.by, key=message.key)


def _decide(body: bytes) -> Order:
    made = _decision(body)
    return lambda run: run.decide(step=made.step, approved=made.approved, by=made.by, reason=made.reason)


def _attribute(body: bytes) -> Order:
    given = _attributes(body)
    return lambda run: run.attribute(given)


def _adopt(body: bytes) -> Order:
    told = _adoption(body)
    return lambda run: run.adopt(definition=told.definition, version=told.version, by=told.by, reason=told.reason)


def _outcome(body: bytes) -> Order:
    sent = read_outcome(body)
    return lambda run: run.take_outcome(sent)


def _child_ended(body: bytes) -> Order:
    ended = decode_child_ended(body)
    return lambda run: run.child_ended(ended)


def _outcomes(body: bytes) -> Order:
    outcomes = read_outcomes(body)

    def take(run: Commanded) -> None:
        for sent in outcomes:
            run.take_outcome(sent)

    return take


def is_about(command: Command, steps: Collection[str]) -> bool:
    """Tell whether a command from elsewhere is about one of `steps`, or not about attempts at all, or unreadable."""
    if command.kind != "outcomes":
        return True
    try:
        return any(sent.step in steps for sent in read_outcomes(command.body))
    except UNREADABLE:
        return True


COMMANDS: Final[Mapping[str, Callable[[bytes], Order]]] = {
    "cancel": _cancel,
    "adopt": _adopt,
    "outcome": _outcome,
    "child_ended": _child_ended,
    "outcomes": _outcomes,
    "signal": _signal,
    "decide": _decide,
    "pause": _pause,
    "resume": _resume,
    "attribute": _attribute,
}


def understand(command: Command) -> Order:
    """Return what a command does; raise `Unreadable`.  Nothing of it is done before all of it is read."""
    if command.trouble:
        raise Unreadable(command.trouble)
    try:
        return COMMANDS[command.kind](command.body)
    except UNREADABLE as error:
        raise Unreadable(str(error)) from error


def unreadable(kind: str, body: bytes) -> str | None:
    """Return why the bytes of a waiting command cannot be read, None where they can or their kind is unknown."""
    try:
        if kind in COMMANDS:
            COMMANDS[kind](body)
    except UNREADABLE as error:
        return str(error)
    return None


def put_aside(command: Command, why: str) -> RunFacts:
    """Return what is recorded of a command that cannot be read: which, why, and the first of its bytes."""
    message = f"the {command.kind} command {command.id} could not be read ({why}); nothing came of it"
    shown = command.body[:SHOWN_MAX].decode("ascii", "backslashreplace")
    return RunFacts(
        failure=Failure(type=UNREADABLE_COMMAND, message=message, retryable=False),
        value=msgspec.Raw(canonical.encode(shown)),
    )


ENDINGS: Final = frozenset({"cancel"})
"""Commands that become nothing but the end of a run: where the store refuses that end, they stay in the inbox."""
