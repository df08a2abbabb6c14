"""Ways that orders take: routes by name, the execution context and account that each leads to, and the default.

Rule 1: a record's origin is an index into one table of (strategy, execution, route, broker), route by route for each
        strategy in the order of registration; ids stay out of the chain.
Rule 2: an order that names no route takes the default; a session whose default is ambiguous is not built.
"""

from __future__ import annotations

from collections.abc import Sequence

from kronos.errors import InvalidInput
from kronos.trading.events import Origin
from kronos.trading.session_config import SessionConfig

__all__ = ["Routes"]


class Routes:
    """The routes of a session; `origins` is its table, `owners` the account of each origin."""

    def __init__(self, config: SessionConfig, strategy_ids: Sequence[str]) -> None:
        """Raise `InvalidInput` when no route, or more than one, is the default."""
        executions = {each.execution_id: each for each in config.executions}
        accounts = [each.id for each in config.accounts]
        self.ids = [route.route_id for route in config.routes]
        self.default = _default(config)
        self.origins = [
            Origin(
                strategy_id=strategy_id,
                execution_id=route.execution_id,
                route_id=route.route_id,
                broker_id=executions[route.execution_id].broker_id,
            )
            for strategy_id in strategy_ids
            for route in config.routes
        ]
        self.owners = [accounts.index(executions[origin.execution_id].account) for origin in self.origins]

    def origin(self, strategy: int, route_id: str | None) -> int | None:
        """Return the origin of an order of strategy number `strategy`; None for a route that there is not."""
        if route_id is None:
            return strategy * len(self.ids) + self.default
        return strategy * len(self.ids) + self.ids.index(route_id) if route_id in self.ids else None

    def strategy(self, origin: int) -> int:
        """Return the number of the strategy that an origin belongs to."""
        return origin // len(self.ids)


def _default(config: SessionConfig) -> int:
    chosen = [place for place, route in enumerate(config.routes) if route.default]
    if len(config.routes) == 1:
        return 0
    if len(chosen) != 1:
        names = ", ".join(route.route_id for route in config.routes)
        raise InvalidInput(
            f"routes: {'no' if not chosen else 'more than one'} default among {names}: mark one with default=True",
            field="routes",
            value=names,
        )
    return chosen[0]
