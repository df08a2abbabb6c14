"""The chained hash of a run's history: an edited, missing or swapped event changes every head after it."""

from __future__ import annotations

from struct import Struct
from typing import Final

from kronos.core.events import Event, encode_facts
from kronos.kernel.hashing import chain

__all__ = ["head_after", "head_after_body"]

_NUMBERS: Final = Struct(">qhhq").pack


def head_after(head: bytes, event: Event) -> bytes:
    """Return the head after `event` follows `head`."""
    return head_after_body(head, event, encode_facts(event.facts))


def head_after_body(head: bytes, event: Event, body: bytes) -> bytes:
    """Return the head after `event`, whose encoded facts are `body`."""
    numbers = _NUMBERS(event.seq, event.count, event.attempt, event.at)
    return chain(head, numbers, event.kind.encode(), event.step.encode(), body)
