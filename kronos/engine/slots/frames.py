"""Length-prefixed frames over a socket pair: how a parent and its child process talk."""

from __future__ import annotations

import socket
from struct import Struct
from typing import Final

__all__ = ["read_frame", "write_frame"]

_LENGTH: Final = Struct(">I")
_PIECE: Final = 1 << 20


def write_frame(connection: socket.socket, data: bytes) -> None:
    """Write one frame; raise `OSError` when the other side is gone."""
    connection.sendall(_LENGTH.pack(len(data)))
    connection.sendall(data)


def read_frame(connection: socket.socket) -> bytes:
    """Read one frame; raise `EOFError` when the other side is gone, `TimeoutError` after the connection's timeout."""
    (length,) = _LENGTH.unpack(_read(connection, _LENGTH.size))
    return _read(connection, length)


def _read(connection: socket.socket, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        try:
            part = connection.recv(min(count, _PIECE))
        except ConnectionError:
            raise EOFError from None
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
