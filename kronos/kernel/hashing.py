"""Two hashes: SHA-256 names content, BLAKE2b chains a history.

Rule: a chain covers lengths as well as bytes, so that no two different histories meet in one head.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from struct import Struct
from typing import Final

__all__ = ["GENESIS", "chain", "content_hash", "content_hash_of", "input_digest", "merkle_root"]

GENESIS: Final = bytes(32)
"""The head of an empty chain."""

_LENGTH = Struct(">Q").pack


def content_hash(data: bytes | memoryview) -> str:
    """Return the SHA-256 of `data` as 64 lower-case hex digits: its name in the blob store."""
    return hashlib.sha256(data).hexdigest()


def content_hash_of(parts: Iterable[bytes | memoryview]) -> str:
    """Return the SHA-256 of `parts` one after another, without putting them together."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def chain(previous: bytes, *parts: bytes) -> bytes:
    """Return the 32-byte head after `parts` follow `previous`."""
    pieces = [previous]
    for part in parts:
        pieces += (_LENGTH(len(part)), part)
    return hashlib.blake2b(b"".join(pieces), digest_size=32).digest()


def merkle_root(leaves: list[str]) -> str:
    """Return the hex Merkle root over hex leaf hashes; an odd node is carried up unchanged.

    Leaves and inner nodes are hashed with different prefixes (RFC 6962), so that no inner node passes for a leaf.
    """
    level = [hashlib.sha256(b"\x00" + bytes.fromhex(leaf)).digest() for leaf in leaves]
    if not level:
        return hashlib.sha256(b"").hexdigest()
    while len(level) > 1:
        pairs = [hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = pairs + ([level[-1]] if len(level) % 2 else [])
    return level[0].hex()


def input_digest(data: bytes) -> str:
    """Return 32 hex digits that name a step's bound input (BLAKE2b, 128 bits)."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
