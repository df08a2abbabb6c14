"""A clock that moves when it is told to.

Rule: it never goes backwards, and nothing but `advance` and `advance_to` moves it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from kronos.errors import InvalidInput

__all__ = ["START", "FakeClock"]

START: Final = datetime(2026, 1, 7, 12, tzinfo=UTC)
"""Where a fake clock stands at first: a Wednesday noon, far from every edge of a calendar."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class FakeClock:
    """Nanoseconds since the epoch, moved by hand; `now_ns` serves as database time and as monotonic clock alike."""

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            raise InvalidInput(f"start={start.isoformat()}: give it a time zone", field="start", value=str(start))
        self._ns = (start - _EPOCH) // timedelta(microseconds=1) * 1_000

    def now_ns(self) -> int:
        """Return the time, ns since the epoch."""
        return self._ns

    def now(self) -> datetime:
        """Return the time in UTC; what is finer than a microsecond is cut off."""
        return _EPOCH + timedelta(microseconds=self._ns // 1_000)

    def advance(self, seconds: float) -> None:
        """Move forward; raise `InvalidInput` for a negative number."""
        if seconds < 0:
            raise InvalidInput(f"seconds={seconds}: a clock does not go back", field="seconds", value=seconds)
        self._ns += int(seconds * 1e9)

    def advance_to(self, ns: int) -> None:
        """Move forward to an instant (ns since the epoch); nothing happens when it has passed."""
        self._ns = max(self._ns, ns)
