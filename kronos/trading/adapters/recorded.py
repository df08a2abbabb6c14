"""A venue's side of the past: reports that were recorded, told again when they were known.

Rule 1: the recording does not ask what was sent: an order that it does not know stays submitted.
Rule 2: reports are told in the order of (known, number); a number that was told is not told again.
"""

from __future__ import annotations

from collections.abc import Iterable

from kronos.trading.adapters.reports import Report
from kronos.trading.outbox import Command

__all__ = ["RecordedVenue"]


class RecordedVenue:
    """Tells `reports`; `sent` keeps what it was handed, as (at, command), for whoever compares."""

    def __init__(self, reports: Iterable[Report]) -> None:
        """Sort the reports into the order in which they became known."""
        self._reports = sorted(reports, key=lambda report: (report.known, report.number))
        self._told: set[int] = set()
        self._next = 0
        self.sent: list[tuple[int, Command]] = []

    def send(self, command: Command, at: int) -> None:
        """Keep the command: what became of it was recorded, or was not."""
        self.sent.append((at, command))

    def poll(self, until: int) -> list[Report]:
        """Return the reports that are known at `until` and were not told."""
        found: list[Report] = []
        while self._next < len(self._reports) and self._reports[self._next].known <= until:
            report = self._reports[self._next]
            self._next += 1
            if report.number not in self._told:
                self._told.add(report.number)
                found.append(report)
        return found

    def next_known(self, until: int) -> int | None:
        """Return when the next report becomes known."""
        for report in self._reports[self._next :]:
            if report.known > until:
                return None
            if report.number not in self._told:
                return report.known
        return None
