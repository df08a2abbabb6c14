"""What the time machine and its host say to each other, over a socket pair that is neither's standard output.

Machine to host: `Hello`, then for each seek `Seek`, and a `Reply` to each `Ask`.
Host to machine: any number of `Working` and `Ask`, then `Seen` or `Failed`.
A frame is four bytes of length (big endian) and one msgpack message; end of file means that the other side is gone.

Rule: nothing here imports the trading runtime, so that a host may first decide which one (the captured or its own).
"""

from __future__ import annotations

import socket
from typing import Any, Final, TypeAlias

import msgspec

from kronos.engine.slots.frames import read_frame, write_frame
from kronos.ports.datasets import DatasetRow

__all__ = [
    "Ask", "Failed", "FromHost", "FromMachine", "Head", "Hello", "Reply", "Seek", "Seen", "Working",
    "receive_from_host", "receive_from_machine", "send",
]  # fmt: skip

FRAME_MAX: Final = 1 << 30


class Head(msgspec.Struct, frozen=True, array_like=True):
    """The heads of both chains before `row`."""

    row: int
    core: bytes
    user: bytes


class Hello(msgspec.Struct, tag=True):
    """How to be like the run: `modules` are captured ones by name (path of each), the others come from `sys_path`.

    `key` authenticates checkpoints between these two processes alone; `datasets` is the folder of mapped columns.
    """

    sys_path: list[str]
    machine_pid: int
    modules: dict[str, str]
    datasets: str
    key: bytes


class Seek(msgspec.Struct, tag=True):
    """Bring the run of `plan` (canonical JSON) over `datasets` to before `row`, from `checkpoint` where one is given;
    `is_session`: the plan is one of several strategies.
    """

    datasets: list[DatasetRow]
    plan: bytes
    is_session: bool
    step: str
    row: int
    checkpoint: bytes | None


class Reply(msgspec.Struct, tag=True):
    """The answer to an `Ask`: the bytes of a blob, or the message of what was raised."""

    data: bytes | None
    error: str = ""


class Ask(msgspec.Struct, tag=True):
    """A blob is wanted (a dataset's chunk, where its mapped file is gone)."""

    blob: str


class Working(msgspec.Struct, tag=True):
    """The host stands before `row`."""

    row: int


class Seen(msgspec.Struct, tag=True):
    """The position was reached.

    `view` is a `StateView` (msgpack), `core` the canonical core state, `heads` those of finished blocks on the way,
    `restored` the row of the checkpoint it went from (None: the first row), `own` whether the host had made that
    checkpoint itself, `files` the modification times of the user's files that are loaded.
    """

    view: bytes
    core: bytes
    heads: list[Head]
    restored: int | None
    own: bool
    notes: list[str]
    files: dict[str, int]


class Failed(msgspec.Struct, tag=True):
    """Something was raised: by us (`known`: `error` is a type of `kronos.errors`) or by the strategy, at `row`."""

    error: str
    message: str
    known: bool
    row: int | None
    traceback: str


FromMachine: TypeAlias = Hello | Seek | Reply
FromHost: TypeAlias = Ask | Working | Seen | Failed

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_from_machine: Final = msgspec.msgpack.Decoder(FromMachine).decode
_decode_from_host: Final = msgspec.msgpack.Decoder(FromHost).decode


def send(connection: socket.socket, message: Any) -> None:
    """Write one frame; raise `OSError` when the other side is gone."""
    data = _encode(message)
    assert len(data) <= FRAME_MAX, "a checkpoint is at most 64 MB"
    write_frame(connection, data)


def receive_from_host(connection: socket.socket) -> FromHost:
    """Read one frame; raise `EOFError` when the host is gone, `TimeoutError` after the connection's timeout."""
    message: FromHost = _decode_from_host(read_frame(connection))
    return message


def receive_from_machine(connection: socket.socket) -> FromMachine:
    """Read one frame; raise `EOFError` when the machine is gone."""
    message: FromMachine = _decode_from_machine(read_frame(connection))
    return message
