"""Waiting for a run to end, and for its next events.

Rule: a notice is a hint; what is answered was read from the database.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Final

from kronos.core.events import Event
from kronos.engine.news import RunNews, RunWatch
from kronos.errors import InvalidInput, Unavailable
from kronos.kernel.ids import RunId, parse_run_id
from kronos.ports.history import RunSummary
from kronos.storage.history import PostgresHistory
from kronos.storage.notices import Listener

__all__ = ["WAIT_FOREVER_S", "News", "Waiting", "moment_after"]

WAIT_FOREVER_S: Final = 365 * 86_400.0
PATIENCE_S: Final = 60.0
"""How long a waiter bears a database that does not answer."""


class News:
    """What is heard of runs and jobs; it costs a connection once somebody waits for something."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._told = RunNews()
        self._listener: Listener | None = None
        self._guard = threading.Lock()

    def tell(self, ids: frozenset[str]) -> None:
        """Wake those who wait for `ids`: what this process did itself need not come back from the database."""
        self._told.tell(ids)

    def watch(self, run_or_job: str) -> RunWatch:
        """Return a watch; enter it before looking, so that nothing between look and wait is missed."""
        with self._guard:
            if self._listener is None:
                self._listener = Listener(self._url, "kronos_runs", self._told.tell)
                self._listener.start()
        return self._told.watch(run_or_job)

    def close(self) -> None:
        """Hear no more."""
        with self._guard:
            if self._listener is not None:
                self._listener.stop()


def moment_after(timeout_s: float | None) -> float:
    """Return when (monotonic s) a wait is over; raise `InvalidInput` for what is no number of seconds."""
    if timeout_s is None:
        return time.monotonic() + WAIT_FOREVER_S
    if not _is_span(timeout_s):
        raise InvalidInput(
            f"timeout {timeout_s!r}: give seconds as a number, or None to wait for the end",
            field="timeout",
            value=timeout_s,
        )
    return time.monotonic() + max(0.0, min(timeout_s, WAIT_FOREVER_S))


def _is_span(value: object) -> bool:
    return isinstance(value, int | float) and not math.isnan(min(value, WAIT_FOREVER_S))


class Waiting:
    """The part of `Kronos` that waits."""

    history: PostgresHistory
    _news: News

    def wait(self, run_id: RunId, timeout_s: float | None = None) -> RunSummary:
        """Return the run once it has ended; raise `TimeoutError` after `timeout_s`.

        A database that restarts meanwhile is waited for, PATIENCE_S at most; then `Unavailable`.
        """
        run_id = parse_run_id(run_id)
        until = moment_after(timeout_s)
        answered = time.monotonic()
        with self._news.watch(run_id) as watch:
            while True:
                try:
                    run = self.history.run(run_id)
                    if run.phase.is_final:
                        return run
                    answered = time.monotonic()
                except Unavailable:
                    if time.monotonic() > min(until, answered + PATIENCE_S):
                        raise
                    watch.wait(until)
                    continue
                if time.monotonic() >= until:
                    raise TimeoutError(f"run {run_id} is {run.phase} after {timeout_s:g} s")
                watch.wait(until)

    def events_since(self, run_id: RunId, after: int, *, wait_s: float = 0.0) -> list[Event]:
        """Return stored events after `after`; when there are none, wait up to `wait_s` for some."""
        run_id = parse_run_id(run_id)
        until = time.monotonic() + wait_s
        with self._news.watch(run_id) as watch:
            while True:
                events = self.history.events(run_id, after=after)
                if events or time.monotonic() >= until:
                    return events
                watch.wait(until)
