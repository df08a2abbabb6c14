"""LISTEN and NOTIFY: hints that something happened, never the only way to learn of it.

Rule 1: a notice carries ids only and is sent after the commit that it speaks of.
Rule 2: whoever waits also polls, at most a second apart, and looks again after every reconnect.
Rule 3: work is announced by what it is, so that only those look who can take it; a notice that says nothing is for all.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Collection
from typing import Final, Literal

import psycopg

from kronos.errors import Unavailable
from kronos.storage.database import Connection, Session, connect

__all__ = ["Channel", "Listener", "Notifier", "Topic", "announce"]

Channel = Literal["kronos_work", "kronos_runs"]
"""kronos_work: there may be something to claim or an inbox row; kronos_runs: these runs have new events."""
Topic = Literal["runs", "inbox", "jobs"]
"""runs: one may be claimed; inbox: one has a new row, or may be claimed; jobs: one may be claimed, or is to end."""

EVERYONE: Final = "*"
_IDS_MAX: Final = 200
_LOOK_S: Final = 1.0
"""How long a listener waits before it looks whether something came with the answer to another question."""
_RECONNECT_S: Final = 0.5


_ANNOUNCE: Final[dict[Topic, str]] = {
    "runs": "NOTIFY kronos_work, 'runs'",
    "inbox": "NOTIFY kronos_work, 'inbox'",
    "jobs": "NOTIFY kronos_work, 'jobs'",
}


def announce(connection: Connection, topic: Topic) -> None:
    """Wake the workers when this transaction is committed."""
    connection.execute(_ANNOUNCE[topic])


class Notifier:
    """Tells waiters which runs have news."""

    def __init__(self, url: str) -> None:
        self._session = Session(url, purpose="notify")

    def runs_changed(self, runs: Collection[str]) -> None:
        """Send the ids of `runs`, or "everyone look" when they are many."""
        payload = ",".join(runs) if len(runs) <= _IDS_MAX else EVERYONE
        with self._session.connection() as connection, connection.pipeline():
            connection.execute("SET synchronous_commit = off")
            connection.execute("SELECT pg_notify('kronos_runs', %s)", (payload,))

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


class Listener:
    """A thread that hears one channel and calls `heard(ids)`; `ids` is empty when everyone should look."""

    def __init__(self, url: str, channel: Channel, heard: Callable[[frozenset[str]], None]) -> None:
        self._url = url
        self._channel = channel
        self._heard = heard
        self._stopping = threading.Event()
        self._bell: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen."""
        ears, self._bell = socket.socketpair()
        self._thread = threading.Thread(target=self._run, args=(ears,), name=f"listen {self._channel}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop at once."""
        self._stopping.set()
        if self._bell is not None and self._thread is not None:
            self._bell.close()
            self._thread.join(timeout=5)

    def _run(self, ears: socket.socket) -> None:
        with ears:
            while not self._stopping.is_set():
                try:
                    with connect(self._url, purpose=f"listen {self._channel}") as connection:
                        connection.execute(f"LISTEN {self._channel}")
                        self._heard(frozenset())
                        self._hear(connection, ears)
                except (Unavailable, psycopg.Error):
                    self._stopping.wait(_RECONNECT_S)

    def _hear(self, connection: Connection, ears: socket.socket) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(connection.fileno(), selectors.EVENT_READ)
            waiting.register(ears, selectors.EVENT_READ)
            while not self._stopping.is_set():
                for notice in connection.notifies(timeout=0):
                    ids = frozenset() if notice.payload in ("", EVERYONE) else frozenset(notice.payload.split(","))
                    self._heard(ids)
                waiting.select(_LOOK_S)
