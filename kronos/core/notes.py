"""What was said to a run: messages that wait to be taken, whether it is held, its attributes.

Rule: each event about the run changes them in one way; nothing here decides whether it may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from immutables import Map
from msgspec.structs import replace

from kronos.core.events import Attribute, Event, Kind, RunFacts

__all__ = ["NO_NOTES", "UNREADABLE_COMMAND", "Notes", "Pause", "PutAside", "Signal", "noted", "without"]

UNREADABLE_COMMAND: Final = "UnreadableCommand"
"""The type of the failure that stands where a command could not be read."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A message that no step has taken yet; `seq` is the event that brought it, `value` canonical JSON or a blob."""

    seq: int
    name: str
    value: msgspec.Raw
    by: str
    at: int


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a run, since when, and why."""

    by: str
    reason: str
    at: int


class PutAside(msgspec.Struct, frozen=True, kw_only=True):
    """A command that could not be read: the event that says so, and why."""

    seq: int
    why: str
    at: int


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """What was said to a run: messages that wait to be taken, oldest first; whether it is held; its attributes."""

    signals: tuple[Signal, ...] = ()
    pause: Pause | None = None
    attributes: Map[str, Attribute] = Map()
    keys: Map[str, int] = Map()
    """Keys of messages, and the events that brought them."""
    aside: tuple[PutAside, ...] = ()
    """Commands that could not be read, oldest first: nothing came of them."""


NO_NOTES: Final = Notes()


def noted(notes: Notes, event: Event, facts: RunFacts) -> Notes:
    """Return the notes after an event about the run."""
    match event.kind:
        case Kind.RUN_SIGNALLED if facts.signal is not None and facts.value is not msgspec.UNSET:
            signal = Signal(seq=event.seq, name=facts.signal, value=facts.value, by=facts.by or "", at=event.at)
            keys = notes.keys if facts.key is None else notes.keys.set(facts.key, event.seq)
            return replace(notes, signals=(*notes.signals, signal), keys=keys)
        case Kind.RUN_SIGNALLED if facts.failure is not None:
            unread = PutAside(seq=event.seq, why=facts.failure.message, at=event.at)
            return replace(notes, aside=(*notes.aside, unread))
        case Kind.RUN_PAUSED:
            pause = Pause(by=facts.by or "", reason=facts.reason or "", at=event.at)
            return replace(notes, pause=pause)
        case Kind.RUN_RESUMED:
            return replace(notes, pause=None)
        case Kind.RUN_ATTRIBUTED:
            return replace(notes, attributes=_attributed(notes.attributes, facts.attributes))
        case _:
            return notes


def _attributed(held: Map[str, Attribute], given: Mapping[str, Attribute | None]) -> Map[str, Attribute]:
    for name, value in given.items():
        held = held.set(name, value) if value is not None else held.delete(name) if name in held else held
    return held


def without(notes: Notes, seq: int) -> Notes:
    """Return the notes once a step has taken the message that came at `seq`."""
    return replace(notes, signals=tuple(each for each in notes.signals if each.seq != seq))
