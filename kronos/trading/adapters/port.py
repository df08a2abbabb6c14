"""What a session asks of a venue, whoever answers: the port that every adapter fits.

Rule 1: an adapter translates; it neither sees nor moves the session's state.
Rule 2: `send` never fails for what a venue would refuse: refusals are reports, and so is silence (there is none).
Rule 3: each report is told once, in the order in which it became known, and never before.
Rule 4: what `poll` returns follows from what was sent and from time alone, so that a run can be repeated.

`tests/trading/test_adapters.py` is the suite that every adapter passes.
"""

from __future__ import annotations

from typing import Protocol

from kronos.trading.adapters.reports import Report
from kronos.trading.outbox import Command

__all__ = ["VenueAdapter"]


class VenueAdapter(Protocol):
    """A way to a venue and back."""

    def send(self, command: Command, at: int) -> None:
        """Hand over a command at time `at` (ns UTC); it names the quantity and terms that the order is to have."""
        ...

    def poll(self, until: int) -> list[Report]:
        """Return every report that is known at `until` (ns UTC) and was not returned before, in order."""
        ...

    def next_known(self, until: int) -> int | None:
        """Return when (ns UTC, up to `until`) the next report becomes known, None when none does, as things stand."""
        ...
