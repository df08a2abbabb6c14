"""A proxy in front of Postgres that breaks one connection at one statement, in one of several ways.

It reads the frontend's messages, so it cuts between two statements, never at a guess:

  before   the statement never reaches the server
  after    the server has done it, and its answer is lost
  middle   half of the message arrives
  late     the client is cut off at once; the server gets the statement half a second later, and does it
  stall    nothing more is forwarded until `release`: a partitioned link
  mute     the server does it, and its answer does not arrive until `release`
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Literal, Self
from urllib.parse import parse_qs, urlsplit

from kronos.storage.statements import statement as named

__all__ = ["Fault", "Proxy", "opening"]

Mode = Literal["before", "after", "middle", "late", "stall", "mute"]
LATE_S = 0.5


def opening(statement: str) -> bytes:
    """Return what a named statement opens with, up to its first parameter: how it is known on the wire."""
    return named(statement).partition("%(")[0].encode()


class Fault:
    """What is to go wrong, once: at the first message of `application` whose text begins with `text`.

    A text of `copy data` means the rows of a COPY.  `after_text` must have been seen in the same transaction.
    """

    def __init__(self, application: str, text: bytes, mode: Mode, *, after_text: bytes | None = None) -> None:
        self.application = application
        self.text = text
        self.mode = mode
        self.after_text = after_text
        self.fired = threading.Event()
        self.release = threading.Event()


class Proxy:
    """Listens on loopback, or on the address given; `url` leads through it."""

    def __init__(self, url: str, *, host: str = "127.0.0.1") -> None:
        parts = urlsplit(url)
        self._target = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self._listener = socket.create_server((host, 0))
        port = self._listener.getsockname()[1]
        self.url = f"postgresql://{parts.username}:{parts.password}@{host}:{port}{parts.path}"
        self.fault: Fault | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, fault: Fault) -> Fault:
        self.fault = fault
        return fault

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        if self.fault is not None:
            self.fault.release.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=_Link(self, client, self._target).run, daemon=True).start()


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, target: str) -> None:
        self._proxy = proxy
        self._client = client
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(target)
        self._muted = False
        self._answered = threading.Event()
        self._prepared: dict[bytes, bytes] = {}
        self._seen: list[bytes] = []

    def run(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            application = self._start()
            threading.Thread(target=self._back, daemon=True).start()
            while True:
                kind = self._read(1)
                length = self._read(4)
                body = self._read(struct.unpack(">I", length)[0] - 4)
                text = self._text(kind, body)
                fault = self._proxy.fault
                if fault is not None and fault.application == application and self._hits(fault, text):
                    self._proxy.fault = None
                    if fault.mode != "mute":  # that one has fired when the server has done it
                        fault.fired.set()
                    self._break(fault, kind + length + body)
                    if fault.mode != "stall":
                        break
                else:
                    self._server.sendall(kind + length + body)
        self._close(self._client)
        self._close(self._server)

    def _start(self) -> str:
        while True:
            length = self._read(4)
            body = self._read(struct.unpack(">I", length)[0] - 4)
            if struct.unpack(">I", body[:4])[0] in (80877103, 80877104):  # SSL, GSS: not here
                self._client.sendall(b"N")
                continue
            self._server.sendall(length + body)
            words = body[4:].split(b"\0")
            return dict(zip(words[::2], words[1::2], strict=False)).get(b"application_name", b"").decode()

    def _text(self, kind: bytes, body: bytes) -> bytes:
        """Return the statement that a message executes, nothing for other messages."""
        text = b""
        if kind == b"P":
            name, query = body.split(b"\0")[:2]
            self._prepared[name] = query
        elif kind == b"B":
            text = self._prepared.get(body.split(b"\0")[1], b"")
        elif kind == b"Q":
            text = body.rstrip(b"\0")
        elif kind == b"d":
            text = b"copy data"
        if text == b"BEGIN":
            self._seen.clear()
        if text:
            self._seen.append(text)
        return text

    def _hits(self, fault: Fault, text: bytes) -> bool:
        if not text.startswith(fault.text):
            return False
        return fault.after_text is None or any(seen.startswith(fault.after_text) for seen in self._seen)

    def _break(self, fault: Fault, message: bytes) -> None:
        if fault.mode == "after":
            self._muted = True
            self._answered.clear()
            self._server.sendall(message)
            if message[:1] == b"B":  # up to the Sync that has it executed
                self._pass_until_sync()
            self._answered.wait(0.3)
        elif fault.mode == "middle":
            self._server.sendall(message[: max(6, len(message) // 2)])
        elif fault.mode == "late":
            self._muted = True
            self._close(self._client)
            time.sleep(LATE_S)
            self._server.sendall(message)
            self._answered.wait(0.3)
        elif fault.mode == "mute":
            self._muted = True
            self._server.sendall(message)
            if message[:1] == b"B":
                self._pass_until_sync()
            self._answered.wait(5)
            fault.fired.set()
            fault.release.wait(60)
        elif fault.mode == "stall":
            fault.release.wait(60)
            self._server.sendall(message)

    def _pass_until_sync(self) -> None:
        while True:
            kind = self._read(1)
            length = self._read(4)
            self._server.sendall(kind + length + self._read(struct.unpack(">I", length)[0] - 4))
            if kind in b"SH":
                return

    def _back(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(65_536):
                if self._muted:
                    self._answered.set()
                else:
                    self._client.sendall(data)
        self._close(self._client)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._client.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _close(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
