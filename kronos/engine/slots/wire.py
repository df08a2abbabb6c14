"""What a worker and its process children say to each other, over a socket pair that is neither's standard output.

Worker to child: `Hello`, then for each attempt `Run`, and a `Reply` to each `Ask`.
Child to worker: `Loaded` (the code is there, the limit starts to run), any `Ask` and `Tell`, then `Done`.
A frame is four bytes of length (big endian) and one msgpack message; end of file means that the other side is gone.
"""

from __future__ import annotations

import socket
from typing import Any, Final, TypeAlias

import msgspec

from kronos.core.events import Effect, Failure
from kronos.engine.slots.frames import read_frame, write_frame
from kronos.engine.tasks import Task
from kronos.errors import InvalidInput

__all__ = [
    "Ask",
    "Done",
    "FromChild",
    "FromWorker",
    "Hello",
    "Loaded",
    "Reply",
    "Run",
    "Tell",
    "receive_from_child",
    "receive_from_worker",
    "send",
]

FRAME_MAX: Final = 1 << 30


class Answer(msgspec.Struct):
    """An `Effect` on the wire, where its JSON is bytes like any other."""

    name: str
    key: str
    value: bytes

    @staticmethod
    def of(effects: tuple[Effect, ...]) -> list[Answer]:
        return [Answer(effect.name, effect.key, bytes(effect.value)) for effect in effects]

    def effect(self) -> Effect:
        return Effect(name=self.name, key=self.key, value=msgspec.Raw(self.value))


class Hello(msgspec.Struct, tag=True):
    """How to be like the worker: where to import from, how to make `ctx.datasets`, what seals checkpoints."""

    sys_path: list[str]
    worker_pid: int
    datasets: tuple[str, dict[str, Any]] | None
    checkpoint_key: bytes | None = None


class Run(msgspec.Struct, tag=True):
    """One attempt.  `recorded`: the effects to serve, None when the world is asked; `now_ns`: the run clock."""

    task: Task
    file: str | None
    now_ns: int
    recorded: list[Answer] | None


class Reply(msgspec.Struct, tag=True):
    """The answer to an `Ask`; `error` is the type and message of what was raised."""

    value: Any = None
    error: tuple[str, str] | None = None


class Loaded(msgspec.Struct, tag=True):
    """The step's code is imported."""


class Ask(msgspec.Struct, tag=True):
    """A call of one of the worker's services."""

    method: str
    arguments: dict[str, Any]


class Tell(msgspec.Struct, tag=True):
    """A notice that needs no answer."""

    method: str
    arguments: dict[str, Any]


class Done(msgspec.Struct, tag=True):
    """How the attempt ended."""

    output: bytes | None
    failure: Failure | None
    effects: list[Answer]


FromWorker: TypeAlias = Hello | Run | Reply
FromChild: TypeAlias = Loaded | Ask | Tell | Done

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_from_worker: Final = msgspec.msgpack.Decoder(FromWorker).decode
_decode_from_child: Final = msgspec.msgpack.Decoder(FromChild).decode


def send(connection: socket.socket, message: FromWorker | FromChild) -> None:
    """Write one frame; raise `OSError` when the other side is gone."""
    data = _encode(message)
    if len(data) > FRAME_MAX:
        raise InvalidInput(f"{len(data)} bytes do not fit into one message of at most {FRAME_MAX}: use a blob")
    write_frame(connection, data)


def receive_from_child(connection: socket.socket) -> FromChild:
    """Read one frame; raise `EOFError` when the child is gone, `TimeoutError` after the connection's timeout."""
    message: FromChild = _decode_from_child(read_frame(connection))
    return message


def receive_from_worker(connection: socket.socket) -> FromWorker:
    """Read one frame; raise `EOFError` when the worker is gone."""
    message: FromWorker = _decode_from_worker(read_frame(connection))
    return message
