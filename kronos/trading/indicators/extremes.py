"""The highest and the lowest of the latest values.

Rule: what a later value has overtaken is forgotten at once, so each value is looked at twice in its life at most.
"""

from __future__ import annotations

from collections import deque

from kronos.trading.indicators.periods import whole_period

__all__ = ["Highest", "Lowest"]


class Highest:
    """The greatest of the latest `period` values, exact."""

    __slots__ = ("count", "period", "standing", "value")

    def __init__(self, period: int) -> None:
        self.period = whole_period(period, "Highest")
        self.count = 0
        self.standing: deque[tuple[int, int]] = deque()
        self.value: int | None = None

    def update(self, value: int) -> int | None:
        """Take the newest value; return the greatest, None until there are `period` values."""
        standing = self.standing
        while standing and standing[-1][1] <= value:
            standing.pop()
        self.count = count = self.count + 1
        standing.append((count, value))
        if standing[0][0] <= count - self.period:
            standing.popleft()
        if count >= self.period:
            self.value = standing[0][1]
        return self.value


class Lowest:
    """The least of the latest `period` values, exact."""

    __slots__ = ("count", "period", "standing", "value")

    def __init__(self, period: int) -> None:
        self.period = whole_period(period, "Lowest")
        self.count = 0
        self.standing: deque[tuple[int, int]] = deque()
        self.value: int | None = None

    def update(self, value: int) -> int | None:
        """Take the newest value; return the least, None until there are `period` values."""
        standing = self.standing
        while standing and standing[-1][1] >= value:
            standing.pop()
        self.count = count = self.count + 1
        standing.append((count, value))
        if standing[0][0] <= count - self.period:
            standing.popleft()
        if count >= self.period:
            self.value = standing[0][1]
        return self.value
