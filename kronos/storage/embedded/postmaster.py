"""One server process: is it there, start it, stop it.

Rule 1: a pid alone proves nothing; a server is running when a live process named postgres works in the data folder.
Rule 2: after a crash of the server its old backends hold the shared memory for a moment: starting is tried again,
        for `RESTART_S_MAX` seconds.
Rule 3: callers hold the home's control lock; nothing here is done twice at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from kronos.errors import Unavailable
from kronos.storage.embedded.cluster import server_environment, write_configuration
from kronos.storage.embedded.placement import SOCKET_NAME, Home

__all__ = ["Postmaster", "await_ready", "find_postmaster", "start_postmaster", "stop_postmaster"]

READY_S_MAX: Final = 60.0
RESTART_S_MAX: Final = 30.0
STOP_S_MAX: Final = 30.0
POLL_S: Final = 0.005
LOG_BYTES_MAX: Final = 10 * 1024 * 1024
LOG_TAIL_BYTES: Final = 2_000
_BUSY: Final = ("pre-existing shared memory block", "lock file", "is another postmaster")

_children: Final[dict[int, subprocess.Popen[bytes]]] = {}
"""Servers that this process started: kept, so that a stopped one is reaped and leaves no zombie."""


@dataclass(frozen=True)
class Postmaster:
    """A live server process, as its lock file describes it."""

    pid: int
    socket_folder: Path
    status: str


def find_postmaster(home: Home) -> Postmaster | None:
    """Return the server of `home` when one is alive (perhaps still starting or already stopping)."""
    try:
        lines = (home.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 5 or not lines[0].isdigit() or not _is_server(int(lines[0]), home.data):
        return None
    return Postmaster(int(lines[0]), Path(lines[4]), lines[7].strip() if len(lines) > 7 else "starting")


def start_postmaster(home: Home, binaries: Path) -> Postmaster:
    """Start the server of `home`, wait until it takes connections; raise `Unavailable` with its last words."""
    socket_folder = home.make_socket_folder()
    write_configuration(home, socket_folder)
    deadline = time.monotonic() + RESTART_S_MAX
    while True:
        _clear_leftovers(home, socket_folder)
        found = _launch(home, binaries)
        if found is not None:
            return found
        words = _last_words(home)
        if time.monotonic() > deadline or not any(text in words for text in _BUSY):
            raise Unavailable(f"the embedded PostgreSQL in {home.path} does not start; its log ends with:\n{words}")
        time.sleep(20 * POLL_S)


def _launch(home: Home, binaries: Path) -> Postmaster | None:
    with _open_log(home) as log:
        child = subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(home.data)],
            cwd="/",
            env=server_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # the terminal's Ctrl-C is not for the server
            umask=0o077,
            **home.account.popen_arguments(),
        )
    _children[child.pid] = child
    deadline = time.monotonic() + READY_S_MAX
    while child.poll() is None:
        found = find_postmaster(home)
        if found is not None and found.pid == child.pid and found.status == "ready":
            return found
        if time.monotonic() > deadline:
            raise Unavailable(f"the embedded PostgreSQL in {home.path} is not ready after {READY_S_MAX:.0f} s")
        time.sleep(POLL_S)
    del _children[child.pid]
    return None


def await_ready(home: Home) -> Postmaster | None:
    """Return the live server once it takes connections; None when there is none, or it ends.

    A starter that was killed leaves a server that is still starting: it may be reading its log for a while.
    """
    deadline = time.monotonic() + READY_S_MAX
    while (found := find_postmaster(home)) is not None and found.status != "ready":
        if time.monotonic() > deadline:
            raise Unavailable(f"the embedded PostgreSQL in {home.path} stays {found.status!r}; see {home.log}")
        time.sleep(POLL_S)
    return found


def stop_postmaster(home: Home, found: Postmaster) -> None:
    """Stop the server, and wait: fast first (clients are told), at once after `STOP_S_MAX` seconds."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, number)
        deadline = time.monotonic() + STOP_S_MAX
        while _is_server(found.pid, home.data) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if not _is_server(found.pid, home.data):
            return
    raise Unavailable(f"the embedded PostgreSQL (pid {found.pid}) in {home.path} does not stop")


def _is_server(pid: int, data: Path) -> bool:
    """Say whether `pid` is a live postgres of this data folder; a zombie, or a stranger with an old pid, is not."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    if not Path("/proc/self/stat").exists():  # macOS: the lock file and the pid are all there is
        return True
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
        if not name.endswith("(postgres") or rest.split()[0] in "ZX":
            return False
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:
        return True


def _clear_leftovers(home: Home, socket_folder: Path) -> None:
    """Remove lock files of a dead server whose pid now belongs to a stranger; the server would believe them.

    postmaster.pid is kept while any process still works in the data folder: it names the shared memory that keeps
    a second server from the files of the first.
    """
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (socket_folder / name).unlink(missing_ok=True)
    if not _backends_left(home.data):
        (home.data / "postmaster.pid").unlink(missing_ok=True)


def _backends_left(data: Path) -> bool:
    processes = Path("/proc")
    if not (processes / "self" / "cwd").exists():
        return True  # macOS: unknown, so nothing is removed
    for folder in processes.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if (folder / "cwd").samefile(data):
                    return True
    return False


def _open_log(home: Home) -> IO[bytes]:
    if home.log.exists() and home.log.stat().st_size > LOG_BYTES_MAX:
        home.log.replace(home.log.with_name("log.1"))
    return home.log.open("ab")


def _last_words(home: Home) -> str:
    with home.log.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(0, size - LOG_TAIL_BYTES))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-8:])
