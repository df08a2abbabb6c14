"""Ports: who takes one, and what it means when somebody else has it.

Rule 1: a busy port is an error that names the setting to change; no two servers ever share a port unnoticed.
Rule 2: port 0 asks the system for a free one, and the one that was given is told.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from typing import Any, Final, Literal

import grpc
import uvicorn

from kronos.errors import Unavailable
from kronos.settings import Address

__all__ = ["HttpThread", "Setting", "bind_grpc", "listen"]

Setting = Literal["GRPC_ADDR", "ADMIN_ADDR", "METRICS_ADDR"]

BACKLOG: Final = 128
START_TIMEOUT_S: Final = 10.0
DRAIN_S: Final = 2


def listen(address: Address, setting: Setting) -> socket.socket:
    """Return a listening socket on `address`; raise `Unavailable` naming `setting`."""
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _refused(address, setting, error) from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _refused(address, setting, error) from None
    return sock


def bind_grpc(server: grpc.Server, address: Address) -> Address:
    """Give `server` its port and return where it listens; raise `Unavailable` naming GRPC_ADDR."""
    # grpcio says only that it failed, so the operating system is asked first.
    with listen(address, "GRPC_ADDR"):
        pass
    try:
        port = server.add_insecure_port(str(address))
    except RuntimeError:
        port = 0
    if port == 0:
        raise _refused(address, "GRPC_ADDR", OSError(errno.EADDRINUSE, "Address already in use"))
    return Address(address.host, port)


def _refused(address: Address, setting: Setting, error: OSError) -> Unavailable:
    if error.errno == errno.EADDRINUSE:
        reason = f"port {address.port} is in use: stop what listens there, or set {setting} to another address"
    else:
        reason = f"it cannot be listened on ({error.strerror or error}): set {setting} to an address of this machine"
    return Unavailable(f"{setting} is {address}, but {reason}", field=setting, value=str(address))


class HttpThread:
    """One uvicorn server in a thread of its own, on a socket that is bound before it starts."""

    def __init__(self, app: Any, address: Address, setting: Setting) -> None:
        self._socket = listen(address, setting)
        self.address = Address(address.host, self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name=f"kronos-{setting.lower()}", daemon=True)

    def start(self) -> None:
        """Return when requests are answered."""
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise Unavailable(f"the HTTP server on {self.address} did not start", value=str(self.address))
            time.sleep(0.005)

    def stop(self) -> None:
        """Let running requests end, for at most `DRAIN_S`."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(DRAIN_S + 3)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])
