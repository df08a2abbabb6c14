"""Bringing a debugger to a replay: an IDE over the debug adapter protocol, or pdb in the terminal.

Rule 1: a debugger can run anything in this process, so it is offered on loopback only.
Rule 2: nobody waits for ever: when no debugger came in `wait_s`, `NoDebugger` says so.
Rule 3: tracing makes Python ten times slower (measured on 3.11), so it is off until the step that is to be stopped in.
"""

from __future__ import annotations

import ipaddress
import os
import pdb  # noqa: T100 - bringing a debugger is what this file is for
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kronos.errors import InvalidInput, Unavailable

__all__ = ["FROZEN_MODULES_OFF", "NoDebugger", "pdb_stops", "restart_without_frozen_modules", "wait_for_debugger"]

FROZEN_MODULES_OFF = ("-X", "frozen_modules=off")
"""Frozen modules have no source lines: with them a debugger steps into nothing, and says so on every start."""


class NoDebugger(Unavailable):
    """No debugger attached in time."""


def wait_for_debugger(host: str, port: int, *, wait_s: float, announce: Callable[[str, int], None]) -> None:
    """Listen for a debugger and return when one is attached; `announce` is told where (port 0 takes a free one).

    Raises `InvalidInput` where it is not loopback, `Unavailable` for a busy port, `NoDebugger` past `wait_s`.
    """
    _check_loopback(host)
    import debugpy  # noqa: T100

    debugpy.configure(subProcess=False)  # a child of a replayed step is stopped by the guard, not debugged
    try:
        with _output_closed():
            bound_host, bound_port = debugpy.listen((host, port))  # noqa: T100
    except (OSError, RuntimeError) as error:
        raise Unavailable(f"no debugger can attach at {host}:{port}: {error}; give another --listen") from error
    announce(bound_host, bound_port)
    limit = threading.Timer(wait_s, lambda: debugpy.wait_for_client.cancel())  # noqa: PLW0108 - waiting replaces it
    limit.daemon = True
    limit.start()
    debugpy.wait_for_client()  # noqa: T100
    limit.cancel()
    if not debugpy.is_client_connected():
        raise NoDebugger(
            f"no debugger attached to {bound_host}:{bound_port} in {wait_s:g} s: attach within --wait-s, or use --pdb"
        )
    debugpy.trace_this_thread(False)


@contextmanager
def pdb_stops() -> Iterator[None]:
    """Let `breakpoint()` open pdb on the line after it, on every Python (3.13 stops on the call itself)."""
    before = sys.breakpointhook
    sys.breakpointhook = _stop_on_next_line
    try:
        yield
    finally:
        sys.breakpointhook = before
        sys.settrace(None)


def restart_without_frozen_modules(arguments: list[str]) -> None:
    """Start this program again with `-X frozen_modules=off`, in the same process, where it runs without."""
    if sys._xoptions.get("frozen_modules") != "off":  # noqa: SLF001
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *FROZEN_MODULES_OFF, "-m", "kronos", *arguments])  # noqa: S606


def _stop_on_next_line(*_: object) -> None:
    caller = sys._getframe(1)  # noqa: SLF001
    debugger = pdb.Pdb()
    debugger.reset()
    frame = caller
    while frame is not None:
        frame.f_trace = debugger.trace_dispatch
        debugger.botframe = frame
        if frame.f_back is None:
            break
        frame = frame.f_back
    debugger.set_step()
    sys.settrace(debugger.trace_dispatch)


@contextmanager
def _output_closed() -> Iterator[None]:
    """Give a child that is started in here no hold on our output: the adapter lives until the editor lets go of it, and
    whoever reads our pipe would wait as long.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(fd, os.dup(fd)) for fd in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for fd, _ in kept:
            os.dup2(nowhere, fd)
        yield
    finally:
        for fd, copy in kept:
            os.dup2(copy, fd)
            os.close(copy)
        os.close(nowhere)


def _check_loopback(host: str) -> None:
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise InvalidInput(
            f"--listen {host}: a debugger may run anything here, so it is offered on loopback only: use 127.0.0.1 "
            f"(and an ssh tunnel from elsewhere)",
            field="listen",
            value=host,
        )
