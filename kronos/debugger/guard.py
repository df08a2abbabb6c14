"""The seatbelt of a replay: a step that reaches for the world is stopped and named.

Rule 1: this is a seatbelt, not a sandbox.  It sees what Python announces to audit hooks (sockets, name look-ups,
        processes, signals); a C library that connects on its own, such as a database driver, is not seen.
Rule 2: a call that was stopped counts even where the user's code swallowed the error.
Rule 3: an audit hook can never be taken out again, so there is one for the process, and it sleeps between steps.
"""

from __future__ import annotations

import ipaddress
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from kronos.errors import EffectBlocked

__all__ = ["GUARDED", "guarded"]

GUARDED: Final = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.kill",
        "os.killpg",
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "os.system",
        "pty.spawn",
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "socket.sendmsg",
        "socket.sendto",
        "subprocess.Popen",
    }
)
"""The audit events that are refused (https://docs.python.org/3/library/audit_events.html)."""

_SHOWN_MAX: Final = 120
_PASSED_ON_BY: Final = (socket.__file__, subprocess.__file__)


class _Belt:
    """What is watched at the moment: nothing while `step` is None."""

    def __init__(self) -> None:
        self.step: str | None = None
        self.stopped: list[EffectBlocked] = []
        self.installed = False


_belt: Final = _Belt()


@contextmanager
def guarded(step: str) -> Iterator[list[EffectBlocked]]:
    """Refuse the calls of `GUARDED`, in every thread, while `step` runs; yield the list of those that were stopped."""
    if not _belt.installed:
        sys.addaudithook(_look)
        _belt.installed = True
    stopped: list[EffectBlocked] = []
    _belt.stopped = stopped
    _belt.step = step
    try:
        yield stopped
    finally:
        _belt.step = None


def _look(event: str, args: tuple[Any, ...]) -> None:
    step = _belt.step
    if step is None or event not in GUARDED:
        return
    if event == "socket.getaddrinfo" and _is_numeric(args[0]):
        return  # nothing leaves the machine; the connection that follows is named instead
    if _is_debugger():
        return
    call = f"{event}({_show(event, args)})"
    error = EffectBlocked(
        f"step {step!r} called {call}: a replay does not touch the world; record what the step needs of it with "
        f"ctx.call(…), or declare it effect='external'",
        step=step,
        call=call,
    )
    _belt.stopped.append(error)
    raise error


def _is_debugger() -> bool:
    """Whether the call comes from debugpy itself (it looks up localhost when it stops), not from what it stopped in."""
    debugpy = sys.modules.get("debugpy")
    if debugpy is None or debugpy.__file__ is None:
        return False
    home = str(Path(debugpy.__file__).parent)
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001
    while frame is not None and frame.f_code.co_filename.startswith(_PASSED_ON_BY):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(home)


def _show(event: str, args: tuple[Any, ...]) -> str:
    told = args[1:] if event.startswith("socket.") and len(args) > 1 and _is_socket(args[0]) else args
    text = ", ".join(repr(arg) for arg in told if arg is not None)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"


def _is_socket(value: object) -> bool:
    return hasattr(value, "fileno")


def _is_numeric(host: object) -> bool:
    if host is None:
        return True
    text = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
