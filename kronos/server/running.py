"""Starting and stopping every surface of one application.

Rule 1: all ports are taken before anything answers; if one cannot be had, none stays taken.
Rule 2: the addresses that were given are told, since port 0 asks for a free one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from kronos.app import Kronos
from kronos.server.api import Desk
from kronos.server.http import http_app
from kronos.server.listening import HttpThread
from kronos.server.metrics import Metrics
from kronos.server.rpc_server import RpcServer
from kronos.server.streaming import Streams
from kronos.server.tokens import Secrets, read_or_create
from kronos.settings import Address, Settings

__all__ = ["RunningServer", "serve"]

WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to reach it, not where to bind


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """A server that answers.  `http_url` is without the token, `login_url` with it."""

    grpc_address: Address
    http_address: Address
    metrics_address: Address
    token: str
    _stop: Callable[[], None]

    @property
    def http_url(self) -> str:
        """Where a browser finds the debugger."""
        host = WILDCARDS.get(self.http_address.host, self.http_address.host)
        return f"http://{Address(host, self.http_address.port)}"

    @property
    def login_url(self) -> str:
        """The same, carrying the token: the first page trades it for a cookie."""
        return f"{self.http_url}/?token={self.token}"

    def run_url(self, run_id: str, *, with_token: bool = False) -> str:
        """Where the debugger shows a run."""
        return f"{self.http_url}/runs/{run_id}" + (f"?token={self.token}" if with_token else "")

    def stop(self) -> None:
        """Stop answering and give the ports back; stopping twice is fine."""
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(
    app: Kronos, settings: Settings | None = None, *, token: str | None = None, hosts: Iterable[str] = ()
) -> RunningServer:
    """Answer on the addresses of `settings` (those of `app`); `hosts` are further names under which pages are served.

    Raises `Unavailable` naming the setting whose port cannot be had.
    """
    chosen = settings or app.settings
    token = token or read_or_create(chosen.data_dir)
    secrets = Secrets(token)
    with ExitStack() as stack:
        metrics = Metrics(app)
        stack.callback(metrics.close)
        streams = Streams(app)
        surface = http_app(Desk(app), streams, secrets=secrets, metrics=metrics, hosts=(chosen.admin_addr.host, *hosts))
        web = HttpThread(surface, chosen.admin_addr, "ADMIN_ADDR")
        stack.callback(web.stop)
        stack.callback(streams.stop)
        figures = HttpThread(metrics.asgi, chosen.metrics_addr, "METRICS_ADDR")
        stack.callback(figures.stop)
        rpc = RpcServer(app, chosen.grpc_addr, secrets=secrets, metrics=metrics)
        stack.callback(rpc.stop)
        candidate = app.candidate()
        stack.callback(candidate.stop)
        candidate.join()
        for each in (candidate, web, figures, rpc):
            each.start()
        return RunningServer(
            grpc_address=rpc.address,
            http_address=web.address,
            metrics_address=figures.address,
            token=token,
            _stop=stack.pop_all().close,
        )
    raise AssertionError("an exit stack swallows nothing")
