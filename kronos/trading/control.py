"""The control plane: who may send new orders, and what stops them.

Rule 1: a switch is thrown by a control event in the journal, at a row or at a time that the configuration names.
Rule 2: the session, one strategy, one route or one instrument can be switched off and on; `kill` is above them all.
Rule 3: what is switched off sends no new or changed order; cancels always pass: they only reduce what is at risk.
Rule 4: an instrument whose feed is degraded is off until the feed is restored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from kronos.errors import InvalidInput
from kronos.trading.settling import settle

__all__ = ["EVERY", "SCOPES", "Control", "Directive", "Gap", "Switches", "directives", "objection", "throw"]

SCOPES: Final = ("session", "kill", "strategy", "route", "instrument")
"""What a switch can be of; the first two have no name."""

EVERY: Final = -1
"""Stands for every instrument where a feed serves them all."""


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """A switch to be thrown: by the first step at or after `row`, or at time `at` (ns UTC); one of the two.

    `enabled` says whether orders may pass from then on, for `kill` as for the others: `Control(scope="kill",
    enabled=False, row=100)` pulls the kill switch.  `name` is the id of a strategy, a route or an instrument.
    """

    scope: str
    enabled: bool
    name: str = ""
    row: int | None = None
    at: int | None = None
    reason: str = "scheduled"

    def __post_init__(self) -> None:
        """Refuse a scope that there is not, a name too many or too few, and a moment that is none."""
        settle(self, "controls.")
        if self.scope not in SCOPES:
            raise InvalidInput(
                f"controls: scope {self.scope!r} is none of {', '.join(SCOPES)}",
                field="controls.scope",
                value=self.scope,
            )
        if bool(self.name) != (self.scope in SCOPES[2:]):
            raise InvalidInput(
                f"controls: {self.scope} {'needs the name of one' if not self.name else f'has no name {self.name!r}'}",
                field="controls.name",
                value=self.name,
            )
        if (self.row is None) == (self.at is None) or (self.row or self.at or 0) < 0:
            raise InvalidInput(
                f"controls: {self.scope} needs a row or a time (at, ns UTC), one of the two, not before 0: "
                f"row {self.row}, at {self.at}",
                field="controls.row",
                value=str(self.row),
            )


class Directive(NamedTuple):
    """A control with the number of what it names; `row` -1: at a time alone, `at` 0: at a row alone."""

    row: int
    at: int
    scope: str
    number: int
    enabled: bool
    reason: str


class Gap(NamedTuple):
    """A stream is silent for too long from time `at` (ns UTC) on, or speaks again."""

    stream: int
    instrument: int
    at: int
    is_over: bool


class Switches(msgspec.Struct, kw_only=True):
    """What is off: numbers of strategies, routes and instruments, ascending; `feeds` are degraded streams with their
    instrument.  `routes_each` is how many routes a strategy has: an origin is strategy · routes_each + route.
    """

    killed: bool = False
    routes_each: int = 1
    strategies: list[int] = []
    routes: list[int] = []
    instruments: list[int] = []
    feeds: dict[int, int] = {}


def directives(controls: Iterable[Control], names: Mapping[str, Sequence[str]]) -> list[Directive]:
    """Return `controls` with numbers for names; `names` are the ids by scope, in the order of their numbers.

    Raises `InvalidInput` for a name that the session does not have, with those that it has.
    """
    found = []
    for control in controls:
        known = names.get(control.scope, ())
        if control.name and control.name not in known:
            raise InvalidInput(
                f"controls: there is no {control.scope} {control.name!r}: {', '.join(known) or 'none'}",
                field="controls.name",
                value=control.name,
            )
        number = known.index(control.name) if control.name else 0
        row = -1 if control.row is None else control.row
        found.append(Directive(row, control.at or 0, control.scope, number, control.enabled, control.reason))
    return found


def throw(switches: Switches, scope: str, number: int, *, enabled: bool) -> None:
    """Throw one switch; throwing it twice changes nothing."""
    if scope == "kill":
        switches.killed = not enabled
        return
    off: list[int] = getattr(switches, f"{scope}s" if scope != "strategy" else "strategies")
    if enabled and number in off:
        off.remove(number)
    elif not enabled and number not in off:
        off.append(number)
        off.sort()


def objection(switches: Switches, *, origin: int, instrument: int) -> dict[str, str] | None:
    """Return which switch stands in the way of a new order of `origin` for `instrument`, None when none does."""
    if switches.killed:
        return {"kill_switch": "on"}
    strategy, route = divmod(origin, switches.routes_each)
    if strategy in switches.strategies:
        return {"strategy": "off"}
    if route in switches.routes:
        return {"route": "off"}
    if instrument in switches.instruments:
        return {"instrument": "off"}
    if any(served in (instrument, EVERY) for served in switches.feeds.values()):
        return {"feed": "degraded"}
    return None
