"""A failure as it stands in a row: a list of rows is not lost over one that cannot be read."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kronos.core.events import Failure
from kronos.kernel.unreadable import DAMAGE

__all__ = ["UNREADABLE_RECORD", "bytes_of_type", "failure_in", "read_failure", "type_of_bytes", "unreadable"]

UNREADABLE_RECORD: Final = "UnreadableRecord"
_decode: Final = msgspec.json.Decoder(Failure).decode


def failure_in(data: Any) -> Failure | None:
    """Return the failure of a row, None where it has none."""
    return None if data is None else read_failure(data)


def read_failure(data: Any) -> Failure:
    """Return a failure; one that cannot be read is a failure that says so."""
    try:
        return _decode(data)
    except DAMAGE as error:
        return unreadable("failure", error)


def unreadable(what: str, error: Exception) -> Failure:
    """Return the failure that stands for what cannot be read of a row."""
    message = f"the {what} on record cannot be read: {error}; `kronos fsck` names every row that is damaged"
    return Failure(type=UNREADABLE_RECORD, message=message, retryable=False)


def bytes_of_type(error: str) -> bytes:
    """Return the type of a failure as it stands in its bytes; none for those that cannot be read."""
    return b"" if error == UNREADABLE_RECORD else error.encode()


def type_of_bytes(found: Any) -> str:
    """Return what `bytes_of_type` was given."""
    try:
        return bytes(found).decode() or UNREADABLE_RECORD
    except UnicodeDecodeError:
        return UNREADABLE_RECORD
