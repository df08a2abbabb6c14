"""Many runs of two workflows, and what must have become of them."""

from __future__ import annotations

import random

from tests.durability import flows
from tests.durability.audit import audit, check_executions, read_ledger
from tests.durability.flows import Order
from tests.durability.scene import Scene

__all__ = ["IN_FLIGHT", "Storm"]

IN_FLIGHT = 200
ABUNDANCE = 360
"""To how many runs the storm is topped up, so that IN_FLIGHT are left at the next kill."""


class Storm:
    """Runs of both kinds, and what they must return."""

    def __init__(self, scene: Scene, dice: random.Random) -> None:
        self._scene = scene
        self._dice = dice
        self._expected: dict[str, tuple[int, set[str]]] = {}

    def top_up(self, wanted: int = ABUNDANCE) -> None:
        """Start what is missing to `wanted` runs in flight."""
        self._scene.reconnect()
        missing = wanted - self._scene.open_runs()
        first = len(self._expected)
        apart = range(first, first + (6 if first == 0 else 0))
        plain = range(first + len(apart), first + max(0, missing))
        for workflow, numbers, result, steps in (
            ("storm_apart", apart, flows.storm_apart_result, flows.STORM_APART_STEPS),
            ("storm", plain, flows.storm_result, flows.STORM_STEPS),
        ):
            orders = [Order(number, pace_ms=self._dice.randrange(5, 40)) for number in numbers]
            ids = self._scene.app.start_many(workflow, orders) if orders else []
            self._expected.update({i: (result(n), steps) for i, n in zip(ids, numbers, strict=True)})

    def check(self, scene: Scene, *, at_least: int) -> None:
        """Every run completed, with the right result, each step once, nothing executed after its commit."""
        runs = audit(scene.fleet.url)
        assert runs.keys() == self._expected.keys()
        assert len(runs) >= at_least
        for run in runs.values():
            value, steps = self._expected[run.id]
            assert run.phase == "completed", f"{run.id} is {run.phase}: {run.rows}"
            assert run.completed.keys() == steps
            assert run.output["value"] == value
        ledger = read_ledger(scene.fleet.ledger)
        wasted = check_executions(runs, ledger)
        steps_done = sum(len(run.completed) for run in runs.values())
        print(f"{len(runs)} runs, {steps_done} steps, {len(ledger)} executions, {wasted} of them without a record")
