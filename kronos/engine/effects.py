"""What a step learns from the world: asked live and recorded, or served from a recording.

Rule 1: whatever a step learns goes through `learn`, and the step sees only what is recorded: a live value is given to
        the step after its round trip through JSON, so a replayed step meets the same value of the same type.
Rule 2: an error is an answer too: it is recorded, and raised again in replay.
Rule 3: a recording is served in order; a question that it does not know stops the step and is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from kronos.core.events import Effect
from kronos.engine.targets import load_object
from kronos.errors import EffectBlocked, InvalidInput, NotFound
from kronos.kernel import canonical

__all__ = ["EFFECTS_MAX", "Effects", "LiveEffects", "RecordedEffects"]

EFFECTS_MAX = 10_000
"""Per attempt; more belongs into a dataset or a blob."""

RAISED = "!"
"""Ends the name of an effect that raised instead of answering; it raises again in replay."""


class Effects(Protocol):
    """Where answers come from, and which were given."""

    def learn(self, name: str, key: str, ask: Callable[[], bytes]) -> bytes:
        """Return the canonical answer to `name`(`key`); `ask` is called only where the world may be asked."""
        ...

    @property
    def learned(self) -> tuple[Effect, ...]:
        """What was answered so far, in order."""
        ...


class LiveEffects:
    """Asks the world and writes down what it says."""

    __slots__ = ("_learned",)

    def __init__(self) -> None:
        self._learned: list[Effect] = []

    def learn(self, name: str, key: str, ask: Callable[[], bytes]) -> bytes:
        if len(self._learned) >= EFFECTS_MAX:
            raise EffectBlocked(f"a step may record {EFFECTS_MAX} effects: keep more of them in a blob", effect=name)
        try:
            value = ask()
        except Exception as error:
            self._learned.append(Effect(name=name + RAISED, key=key, value=msgspec.Raw(_describe(error))))
            raise
        self._learned.append(Effect(name=name, key=key, value=msgspec.Raw(value)))
        return value

    @property
    def learned(self) -> tuple[Effect, ...]:
        return tuple(self._learned)


class RecordedEffects:
    """Serves a recording; the world is never asked."""

    __slots__ = ("_recorded", "_served")

    def __init__(self, recorded: Sequence[Effect]) -> None:
        self._recorded = tuple(recorded)
        self._served = 0

    def learn(self, name: str, key: str, ask: Callable[[], bytes]) -> bytes:
        number = self._served + 1
        asked = _spell(name, key)
        if number > len(self._recorded):
            raise EffectBlocked(
                f"effect {number}, {asked}, is not in the recording, which has {len(self._recorded)}", effect=asked
            )
        recorded = self._recorded[self._served]
        if recorded.key != key or recorded.name not in (name, name + RAISED):
            known = _spell(recorded.name, recorded.key)
            raise EffectBlocked(
                f"effect {number} is {asked}, but the recording has {known} there", effect=asked, recorded=known
            )
        self._served = number
        if recorded.name != name:
            raise _rebuild(bytes(recorded.value))
        return bytes(recorded.value)

    @property
    def learned(self) -> tuple[Effect, ...]:
        return self._recorded[: self._served]

    @property
    def recorded(self) -> tuple[Effect, ...]:
        """The whole recording."""
        return self._recorded

    @property
    def unused(self) -> tuple[Effect, ...]:
        """What the recording has and the step did not ask for."""
        return self._recorded[self._served :]


def _describe(error: Exception) -> bytes:
    kind = type(error)
    try:
        arguments = canonical.to_plain(list(error.args))
    except InvalidInput:
        arguments = [str(error)]
    return canonical.encode({"type": f"{kind.__module__}:{kind.__qualname__}", "args": arguments})


def _rebuild(recorded: bytes) -> Exception:
    """Return an exception of the recorded type, so that the step's own `except` meets it again."""
    facts = canonical.decode(recorded)
    try:
        kind = load_object(facts["type"])
        if isinstance(kind, type) and issubclass(kind, Exception):
            error: Exception = kind.__new__(kind)
            error.args = tuple(facts["args"])
            return error
    except (NotFound, ImportError, TypeError):
        pass  # its code is not here any more
    return RuntimeError(f"{facts['type']}: {', '.join(map(str, facts['args']))}")


def _spell(name: str, key: str) -> str:
    return f"{name}({key})" if key else f"{name}()"
