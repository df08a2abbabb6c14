"""How a record names a value that is kept as a blob: {"$blob": its hash, "size": its bytes}.

Rule: no value of a user's looks like that: a key of theirs that starts with "$" is escaped (`canonical`, rule 3).
"""

from __future__ import annotations

from typing import Final

from kronos.errors import CorruptHistory
from kronos.kernel.ids import BlobHash

__all__ = ["blob_of", "reference"]

_HEAD: Final = b'{"$blob":"'
_HASH_BYTES: Final = 64


def reference(blob: str, size: int) -> bytes:
    """Return what stands in a record for a value of `size` bytes that is kept as `blob`."""
    return b'%s%s","size":%d}' % (_HEAD, blob.encode(), size)


def blob_of(value: bytes) -> BlobHash | None:
    """Return the blob that a recorded value is kept as, None where it stands there itself; raise `CorruptHistory`."""
    if not value.startswith(_HEAD):
        return None
    name = value[len(_HEAD) : len(_HEAD) + _HASH_BYTES]
    try:
        return BlobHash(name.decode("ascii"))
    except UnicodeDecodeError:
        raise CorruptHistory(f"a record names a blob by {name!r}, which is no hash", blob=repr(name)) from None
