"""`kronos dev | server | worker | token`: the parts that stay up."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kronos.cli.output import note

if TYPE_CHECKING:
    from types import FrameType

    from kronos.app import Kronos
    from kronos.server import RunningServer

__all__ = ["DEMO_WORKFLOWS", "Stop", "dev", "server", "show_logs", "token", "worker"]

DEMO_WORKFLOWS: Final = ("kronos.flows.demo", "kronos.flows.backtest")

Workflows = Annotated[
    list[str] | None,
    typer.Option("--workflows", metavar="MODULE", help="A module with workflows; may be repeated."),
]
Drain = Annotated[float, typer.Option("--drain-s", min=0, help="How long running steps may take to end at SIGTERM.")]


def dev(workflows: Workflows = None, drain_s: Drain = 30.0) -> None:
    """Everything in one process: database, server, debugger and a worker."""
    _stay(workflows, with_server=True, with_worker=True, drain_s=drain_s)


def server(workflows: Workflows = None) -> None:
    """The server and the debugger, without a worker."""
    _stay(workflows or [], with_server=True, with_worker=False, drain_s=0)


def worker(workflows: Workflows = None, drain_s: Drain = 30.0) -> None:
    """A worker alone; SIGTERM lets running steps end, gives back the rest, and leaves."""
    _stay(workflows, with_server=False, with_worker=True, drain_s=drain_s)


def token() -> None:
    """Print the token of this data folder, made on first use."""
    from kronos.server.tokens import read_or_create
    from kronos.settings import read_settings

    print(read_or_create(read_settings().data_dir))


class Stop:
    """The wish to end: SIGTERM and Ctrl-C set it, the second one insists."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def wait(self) -> None:
        """Return once somebody wants the end."""
        while not self._wanted.wait(3600):
            pass

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._wanted.is_set():
            raise KeyboardInterrupt
        self._wanted.set()


def show_logs(level: int = logging.INFO) -> None:
    """Let the parts say on standard error what happens to them."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname).1s %(name)s %(message)s")
    logging.getLogger("kronos").setLevel(level)


def _stay(workflows: list[str] | None, *, with_server: bool, with_worker: bool, drain_s: float) -> None:
    from kronos.app import Kronos

    show_logs()
    stop = Stop()
    modules = list(DEMO_WORKFLOWS) if workflows is None else workflows
    with Kronos.open(workflows=modules) as opened:
        served = _serve(opened) if with_server else None
        working = opened.worker().start() if with_worker else None
        if working is not None:
            names = ", ".join(sorted(opened.definitions.names())) or "none yet"
            note(f"worker serves: {names}")
        stop.wait()
        note("stopping: running steps may end first" if working is not None else "stopping")
        if served is not None:
            served.stop()
        if working is not None:
            working.stop(drain_s)
    note("stopped")


def _serve(opened: Kronos) -> RunningServer:
    from kronos.server import serve

    running = serve(opened)
    note(f"gRPC      {running.grpc_address}")
    note(f"metrics   http://{running.metrics_address}/metrics")
    note(f"debugger  {running.login_url}")
    return running
