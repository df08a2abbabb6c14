"""Who waits for news of a run, and how they are woken."""

from __future__ import annotations

import threading
import time
from typing import Self

__all__ = ["POLL_S", "RunNews"]

POLL_S = 1.0
"""Waiters look again at least this often: a notice is a hint, never the only way to learn of something."""


class RunNews:
    """`tell` wakes waiters; `wait` returns when there may be news of a run, at the latest after POLL_S."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._everyone = 0
        self._numbers: dict[str, int] = {}
        self._waiting: dict[str, int] = {}

    def tell(self, ids: frozenset[str]) -> None:
        """Wake those who wait for `ids`, everyone when it is empty."""
        with self._condition:
            if ids:
                for run in ids & self._waiting.keys():
                    self._numbers[run] = self._numbers.get(run, 0) + 1
            else:
                self._everyone += 1
            self._condition.notify_all()

    def watch(self, run_id: str) -> RunWatch:
        """Return a watch on a run; enter it before looking, so that nothing between look and wait is missed."""
        return RunWatch(self, run_id)


class RunWatch:
    """Notices since the last `wait`, for one waiter of one run."""

    def __init__(self, news: RunNews, run_id: str) -> None:
        self._news = news
        self._run_id = run_id
        self._seen = (0, 0)

    def __enter__(self) -> Self:
        news = self._news
        with news._condition:  # noqa: SLF001 - one room, two classes
            news._waiting[self._run_id] = news._waiting.get(self._run_id, 0) + 1  # noqa: SLF001
            self._seen = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        news = self._news
        with news._condition:  # noqa: SLF001
            news._waiting[self._run_id] -= 1  # noqa: SLF001
            if not news._waiting[self._run_id]:  # noqa: SLF001
                del news._waiting[self._run_id]  # noqa: SLF001
                news._numbers.pop(self._run_id, None)  # noqa: SLF001

    def wait(self, until: float) -> None:
        """Sleep until there may be news, POLL_S has passed, or the monotonic time is `until`."""
        news = self._news
        limit = min(until, time.monotonic() + POLL_S)
        with news._condition:  # noqa: SLF001
            while self._now() == self._seen and (left := limit - time.monotonic()) > 0:
                news._condition.wait(left)  # noqa: SLF001
            self._seen = self._now()

    def _now(self) -> tuple[int, int]:
        news = self._news
        return news._everyone, news._numbers.get(self._run_id, 0)  # noqa: SLF001
