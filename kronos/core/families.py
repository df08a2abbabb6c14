"""Runs that start runs: how a child's end reaches its parent, and what a run's id is made of.

Rule 1: a child, or a successor, is inserted in the transaction that makes its start a fact; so there is one, or none.
Rule 2: forks are another kinship: they share history, and know nothing of this.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Final

import msgspec

from kronos.core.events import Failure

__all__ = ["ChildEnded", "decode_child_ended", "encode_child_ended", "run_id_of"]

_NULL: Final = msgspec.Raw(b"null")


class ChildEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a `child_ended` command; `step` and `attempt` are the parent's, `output` as it is stored."""

    child: str
    step: str
    attempt: int
    phase: str
    output: msgspec.Raw = _NULL
    failure: Failure | None = None


encode_child_ended: Final = msgspec.json.Encoder().encode
decode_child_ended: Final = msgspec.json.Decoder(ChildEnded).decode


def run_id_of(parent: uuid.UUID, step: str, attempt: int, *, at_ns: int) -> uuid.UUID:
    """Return the id of the run that an attempt of a step starts: a UUIDv7 of that moment, the rest of it derived.

    The moment is part of it because events are partitioned by it.  RFC 9562, version 7.
    """
    rest = int.from_bytes(hashlib.sha256(f"{parent}/{step}/{attempt}".encode()).digest()[:10], "big")
    value = (at_ns // 1_000_000 & (1 << 48) - 1) << 80 | 7 << 76 | (rest >> 62 & 0xFFF) << 64
    return uuid.UUID(int=value | 2 << 62 | rest & (1 << 62) - 1)
