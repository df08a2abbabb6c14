"""Who uses a server: one file per user, locked for as long as that process lives.

Rule 1: a lock ends with its process, however that ends; a pid file would lie after kill -9.
Rule 2: the control lock orders start and stop; no process starts a server while another one stops it.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kronos.errors import Unavailable

__all__ = ["Membership", "control", "live_users"]

CONTROL_S_MAX: Final = 120.0
_POLL_S: Final = 0.01
_counter: Final = itertools.count()


@contextlib.contextmanager
def control(home: Path) -> Iterator[None]:
    """Hold the right to start or stop the server of `home`; wait for whoever has it."""
    descriptor = os.open(home / "control", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + CONTROL_S_MAX
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise Unavailable(f"another Kronos has been starting or stopping the database in {home} for too long")
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


class Membership:
    """This process among the users of a server."""

    def __init__(self, home: Path) -> None:
        folder = home / "users"
        folder.mkdir(mode=0o700, exist_ok=True)
        self.path = folder / f"{os.getpid()}-{next(_counter)}"
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def leave(self) -> None:
        """Give the lock up, also on behalf of children that inherited it by fork."""
        self.path.unlink(missing_ok=True)
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)


def live_users(home: Path) -> list[int]:
    """Return the pids of the live users; clear away the files of the dead."""
    found = []
    for path in sorted((home / "users").glob("*-*")):
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            if _try_lock(descriptor):
                path.unlink(missing_ok=True)
            else:
                found.append(int(path.name.partition("-")[0]))
        finally:
            os.close(descriptor)
    return found


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
