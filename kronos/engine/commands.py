"""What others may ask of a run: each kind of inbox row, and what its owner makes of it.

Rule 1: a command becomes events or nothing, here and at once; it never waits.
Rule 2: a kind that is not listed stays in the inbox for an owner that knows it: nothing that was accepted is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

import msgspec

from kronos.core.events import Attribute
from kronos.core.families import ChildEnded, decode_child_ended
from kronos.engine.outcomes import SentOutcome, read_outcome, read_outcomes
from kronos.ports.queue import Command

__all__ = ["COMMANDS", "ENDINGS", "Commanded", "Decision", "Demand", "Message", "is_about"]


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


def _cancel(run: Commanded, body: bytes) -> None:
    demand = _demand(body)
    run.cancel(reason=demand.reason, by=demand.by)


def _pause(run: Commanded, body: bytes) -> None:
    demand = _demand(body)
    run.pause(by=demand.by, reason=demand.reason)


def _resume(run: Commanded, body: bytes) -> None:
    demand = _demand(body)
    run.resume(by=demand.by, reason=demand.reason)


def _signal(run: Commanded, body: bytes) -> None:
    message = _message(body)
    run.signal(name=message.name, value=message.value, by=message.by, key=message.key)


def _decide(run: Commanded, body: bytes) -> None:
    made = _decision(body)
    run.decide(step=made.step, approved=made.approved, by=made.by, reason=made.reason)


def _attribute(run: Commanded, body: bytes) -> None:
    run.attribute(_attributes(body))


def _adopt(run: Commanded, body: bytes) -> None:
    wish = _adoption(body)
    run.adopt(definition=wish.definition, version=wish.version, by=wish.by, reason=wish.reason)


def _outcome(run: Commanded, body: bytes) -> None:
    run.take_outcome(read_outcome(body))


def _child_ended(run: Commanded, body: bytes) -> None:
    run.child_ended(decode_child_ended(body))


def _outcomes(run: Commanded, body: bytes) -> None:
    for sent in read_outcomes(body):
        run.take_outcome(sent)


def is_about(command: Command, steps: Collection[str]) -> bool:
    """Tell whether a command from elsewhere is about one of `steps`, or not about attempts at all."""
    return command.kind != "outcomes" or any(sent.step in steps for sent in read_outcomes(command.body))


COMMANDS: Final[Mapping[str, Callable[[Commanded, bytes], None]]] = {
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

ENDINGS: Final = frozenset({"cancel"})
"""Commands that become nothing but the end of a run: where the store refuses that end, they stay in the inbox."""
