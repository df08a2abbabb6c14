"""The process in which a recorded strategy runs again: `python -m kronos.debugger.host FD`, started by the machine.

Rule 1: the captured modules are put in place before anything of the trading runtime is imported.
Rule 2: the strategy runs under the seatbelt of a replay, and what it prints goes nowhere: it was printed once.
Rule 3: a host ends with its machine, and after a minute without a question.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from kronos import errors
from kronos.debugger import host_wire as wire
from kronos.debugger.host_imports import serve_captured
from kronos.kernel.ids import BlobHash

if TYPE_CHECKING:
    from kronos.debugger.host_seeking import Seeker

IDLE_S_MAX: Final = 60.0
TRACEBACK_MAX: Final = 8_192


class Link:
    """The connection to the machine, which also answers for blobs (`ports.Blobs`)."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.heard_at = time.monotonic()
        self.busy = False

    def next(self) -> wire.FromMachine:
        self.heard_at = time.monotonic()
        message = wire.receive_from_machine(self._connection)
        self.heard_at = time.monotonic()
        return message

    def say(self, message: wire.FromHost) -> None:
        wire.send(self._connection, message)

    def get(self, blob: BlobHash) -> bytes:
        """Return the bytes of a blob; raise `NotFound` saying what the machine said."""
        self.say(wire.Ask(blob))
        reply = self.next()
        assert isinstance(reply, wire.Reply), "an Ask is answered before anything else is asked"
        if reply.data is None:
            raise errors.NotFound(reply.error, blob=blob)
        return reply.data

    def put(self, data: bytes) -> BlobHash:
        """Refuse: a host stores nothing."""
        raise errors.PermissionDenied("the time machine stores nothing")


def main(descriptor: int) -> None:
    """Answer seeks until the machine goes away."""
    os.set_inheritable(descriptor, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the machine's business; without it we end anyway
    link = Link(socket.socket(fileno=descriptor))
    hello = link.next()
    assert isinstance(hello, wire.Hello)
    threading.Thread(target=_leave_in_time, args=(link, hello.machine_pid), daemon=True).start()
    sys.path[:] = hello.sys_path
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for the life of the process
    serve_captured(hello.modules)
    seeker: Seeker | None = None
    while True:
        seek = link.next()
        assert isinstance(seek, wire.Seek)
        link.busy = True
        try:
            if seeker is None:
                from kronos.debugger.host_seeking import Seeker

                seeker = Seeker(link, link.say, hello)
            link.say(_answer(seeker, seek))
        finally:
            link.busy = False


def _answer(seeker: Seeker, seek: wire.Seek) -> wire.Seen | wire.Failed:
    try:
        return seeker.seek(seek)
    except errors.KronosError as error:
        return _failed(error, seeker.row, known=hasattr(errors, type(error).__name__))
    except Exception as error:
        return _failed(error, seeker.row, known=False)


def _failed(error: Exception, row: int | None, *, known: bool) -> wire.Failed:
    message = error.message if isinstance(error, errors.KronosError) else str(error)
    trace = "".join(traceback.format_exception(error))[-TRACEBACK_MAX:]
    return wire.Failed(type(error).__name__, message, known, row, trace)


def _leave_in_time(link: Link, machine_pid: int) -> None:
    while True:
        time.sleep(0.5)
        idle = not link.busy and time.monotonic() - link.heard_at > IDLE_S_MAX
        if idle or os.getppid() != machine_pid:
            os._exit(0)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except (EOFError, OSError, msgspec.MsgspecError):
        sys.exit(0)
