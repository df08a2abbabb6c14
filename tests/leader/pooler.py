"""A pooler in transaction mode, as small as one can be: clients share backends, and hold one for a transaction only.

Each client logs in on a backend of its own; from then on every request of an idle client goes to the next backend that
nobody holds, and stays with it until that one is ready and outside a transaction.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

__all__ = ["TransactionPooler"]


class TransactionPooler:
    """Listens on loopback; while it is not `swapping`, each client keeps its own backend."""

    def __init__(self, url: str, *, swapping: bool = True) -> None:
        parts = urlsplit(url)
        self._target = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}"
        self.swapping = swapping
        self._free: list[socket.socket] = []
        self._guard = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        with self._guard:
            for backend in self._free:
                backend.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            backend: socket.socket | None = self._log_in(client)
            while True:
                if self.swapping and backend is not None:
                    self._give(backend)
                    backend = None
                request = _request(client)
                backend = backend or self._take()
                backend.sendall(request)
                self._answer(client, backend)
        client.close()

    def _log_in(self, client: socket.socket) -> socket.socket:
        backend = socket.socket(socket.AF_UNIX)
        backend.connect(self._target)
        while True:
            head = _read(client, 4)
            body = _read(client, struct.unpack(">I", head)[0] - 4)
            if struct.unpack(">I", body[:4])[0] not in (80877103, 80877104):  # SSL, GSS: not here
                break
            client.sendall(b"N")
        backend.sendall(head + body)
        while True:
            answer = _message(backend)
            client.sendall(answer)
            if answer[:1] == b"Z":
                return backend
            if answer[:1] == b"R" and struct.unpack(">I", answer[5:9])[0] in (3, 5, 10, 11):
                backend.sendall(_message(client))

    def _answer(self, client: socket.socket, backend: socket.socket) -> None:
        """Pass on what a backend says until it is ready; go on with the client while a transaction is open."""
        while True:
            answer = _message(backend)
            client.sendall(answer)
            if answer[:1] == b"Z":
                if answer[5:6] == b"I":
                    return
                backend.sendall(_request(client))

    def _give(self, backend: socket.socket) -> None:
        with self._guard:
            self._free.insert(0, backend)
            self._guard.notify()

    def _take(self) -> socket.socket:
        with self._guard:
            self._guard.wait_for(lambda: self._free, 5)
            return self._free.pop()


def _request(client: socket.socket) -> bytes:
    """Return what a client sends up to where it waits for an answer."""
    request = last = _message(client)
    while last[:1] not in (b"Q", b"S"):
        last = _message(client)
        request += last
    return request


def _message(end: socket.socket) -> bytes:
    head = _read(end, 5)
    return head + _read(end, struct.unpack(">I", head[1:])[0] - 4)


def _read(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = end.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
