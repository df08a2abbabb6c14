"""An embedded server from the outside: start or adopt, use, leave.

Rule 1: `start` may be called again at any time, also after the server crashed; it returns when connections are taken.
Rule 2: the last user out stops the server, unless `kronos db start` keeps it up.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from kronos.errors import Unavailable
from kronos.storage.embedded.cluster import USER, make_cluster, read_password
from kronos.storage.embedded.placement import Home, find_binaries, find_home, set_aside
from kronos.storage.embedded.postmaster import (
    Postmaster,
    await_ready,
    find_postmaster,
    start_postmaster,
    stop_postmaster,
)
from kronos.storage.embedded.users import Membership, control, live_users

__all__ = ["EmbeddedPostgres"]

DATABASE: Final = "kronos"
CONNECT_TIMEOUT_S: Final = 10
ANSWER_S_MAX: Final = 30.0
POLL_S: Final = 0.02


class EmbeddedPostgres:
    """The server of one data folder; every process that wants it makes an object of its own."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = Path(data_dir)
        self._membership: Membership | None = None
        self._home: Home | None = None
        self._pid = 0

    def start(self, *, keep: bool = False) -> str:
        """Return the URL of the running server, having started or adopted it; this process is now a user.

        `keep` leaves the server up when its last user has gone, and does not make this process a user.
        """
        home = _settle(self._data_dir)
        with control(home.path):
            url = _answering(home)
            if keep:
                _keep_file(home).touch(mode=0o600)
            elif self._membership is None or self._pid != os.getpid():
                self._join(home)
        return url

    def url(self) -> str:
        """Return the URL of a running server; raise `Unavailable` when there is none. Joins nothing."""
        home = find_home(self._data_dir)
        found = None if home.left else find_postmaster(home)
        if found is None or found.status != "ready":
            raise Unavailable(
                f"no database is running for {self._data_dir}: start it with `kronos db start`",
                folder=str(self._data_dir),
            )
        return _url(home, found)

    def server_pid(self) -> int | None:
        """Return the server's process id, or None when none is alive."""
        home = find_home(self._data_dir)
        found = None if home.left else find_postmaster(home)
        return None if found is None else found.pid

    def users(self) -> list[int]:
        """Return the pids of the processes that use the server now."""
        home = find_home(self._data_dir)
        with control(home.path):
            return live_users(home.path)

    def release(self) -> None:
        """Leave; the last one out stops the server, unless `start(keep=True)` wants it up. Twice is once."""
        if self._membership is None or self._home is None or self._pid != os.getpid():
            return
        atexit.unregister(self.release)
        membership, self._membership = self._membership, None
        home = self._home
        if not home.path.is_dir():  # deleted under us; the server notices that by itself
            membership.leave()
            return
        with control(home.path):
            membership.leave()
            if not _keep_file(home).exists() and not live_users(home.path):
                _stop_if_running(home)

    def stop(self) -> None:
        """Stop the server, whoever uses it, and stop keeping it up; nothing happens when none runs."""
        home = find_home(self._data_dir)
        with control(home.path):
            _keep_file(home).unlink(missing_ok=True)
            _stop_if_running(home)
        self.release()

    def _join(self, home: Home) -> None:
        self._membership = Membership(home.path)
        self._home = home
        self._pid = os.getpid()
        atexit.register(self.release)


def _settle(data_dir: Path) -> Home:
    """Return a home that is this data folder's own; stop and set aside what a deleted one left in its place."""
    home = find_home(data_dir)
    if home.left:
        with control(home.path):
            if find_home(data_dir).left:
                _stop_if_running(home)
                set_aside(home)
        home = find_home(data_dir)
    return home


def _stop_if_running(home: Home) -> None:
    found = find_postmaster(home)
    if found is not None:
        stop_postmaster(home, found)


def _start(home: Home) -> Postmaster:
    binaries = find_binaries(home)
    make_cluster(home, binaries)
    if home.moved:
        sys.stderr.write(f"kronos: the database lives in {home.path}, because its user cannot reach {home.data_dir}\n")
    return start_postmaster(home, binaries)


def _url(home: Home, found: Postmaster, database: str = DATABASE) -> str:
    host = quote(str(found.socket_folder), safe="")
    return f"postgresql://{USER}:{read_password(home)}@/{database}?host={host}&port=5432"


def _answering(home: Home) -> str:
    """Return the URL of a server that has just answered; a process that is alive may be dying of a kill -9."""
    deadline = time.monotonic() + ANSWER_S_MAX
    while True:
        url = _url(home, await_ready(home) or _start(home))
        try:
            _make_database(url)
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise Unavailable(f"the embedded PostgreSQL in {home.path} runs but does not answer: {error}") from None
            time.sleep(POLL_S)
        else:
            return url


def _make_database(url: str) -> None:
    """Make the database on the first start."""
    try:
        psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S).close()
    except psycopg.OperationalError as error:
        if f'database "{DATABASE}" does not exist' not in str(error):
            raise
        with psycopg.connect(url.replace(f"@/{DATABASE}?", "@/postgres?"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _keep_file(home: Home) -> Path:
    return home.path / "keep"
