"""The chain, computed once more from the words of the format.

Rule: this shares no code with the writer, so that a fault of one is found by the other.  Format: BLAKE2b-256 over the
      previous head, then, each after its length as eight big-endian bytes: seq, count, attempt and time in ns
      (int64, int16, int16, int64, big-endian), kind, step, body.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Final

__all__ = ["GENESIS", "successor"]

GENESIS: Final = b"\0" * 32
"""Before the first event of a run that is no fork."""


def successor(  # noqa: PLR0917 - the columns of a row, in their order
    head: bytes, seq: int, count: int, attempt: int, at_ns: int, kind: str, step: str, body: bytes
) -> bytes:
    """Return the head after a row that follows `head`."""
    kind_, step_ = kind.encode(), step.encode()
    return blake2b(
        b"".join(
            (
                head,
                struct.pack(">Qqhhq", 20, seq, count, attempt, at_ns),
                struct.pack(">Q", len(kind_)),
                kind_,
                struct.pack(">Q", len(step_)),
                step_,
                struct.pack(">Q", len(body)),
                body,
            )
        ),
        digest_size=32,
    ).digest()
