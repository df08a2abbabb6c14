"""A user's workflow under faults: whatever dies or stands still on the way, its outcome is the same.

Rule 1: two workers share the run; they are killed, cut off and paused by the seed, between any two statements.
Rule 2: what the workflow says at the end is compared with what it says when nothing goes wrong.
Rule 3: steps run at least once: what an outside system is told twice must carry the same key and the same value.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from kronos.app.access import Workflow
from kronos.engine.tasks import Task
from kronos.errors import KronosError
from kronos.ports.history import RunSummary
from kronos.testing.clock import FakeClock
from kronos.testing.connecting import SimulatedConnection
from kronos.testing.engine import NEWS, Cast, TestEngine
from kronos.testing.faults import FaultPlan
from kronos.testing.node import Node
from kronos.testing.scheduling import StuckError, current_actor

__all__ = ["DivergedError", "Ledger", "Simulated", "simulate"]

STATEMENTS_STRUCK: Final = 150
"""Statements after which nothing goes wrong any more."""
TURNS_MAX: Final = 30_000
FAULTS_MAX: Final = 4
LEASE_S: Final = 1.0
QUIET_NS: Final = 4_000_000_000
"""No news for so long: whoever died was found, and nothing but the clock can bring some."""


class _Plan(FaultPlan):
    """Faults, and when something has happened last."""

    news_ns = 0

    def after(self, connection: SimulatedConnection, name: str, params: Any) -> None:
        if name in NEWS:
            self.news_ns = self.scheduler.clock.now_ns()
        super().after(connection, name, params)


class DivergedError(KronosError):
    """A workflow that says something else when its workers die."""

    code = "diverged"


class Ledger:
    """An outside system that keeps idempotency keys, as one should: the same key again gets the first answer.

    Steps call `apply(key, value)`; `entries` is what it was told, `repeated` how often a key came again.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}
        self.repeated = 0

    def apply(self, key: str, value: Any) -> Any:
        """Take `value` under `key`, once; raise `DivergedError` where the key came with another value before."""
        if key in self.entries:
            self.repeated += 1
            if self.entries[key] != value:
                raise DivergedError(f"key {key!r} was told {self.entries[key]!r} and then {value!r}", key=key)
        return self.entries.setdefault(key, value)

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()
        self.repeated = 0


@dataclass(frozen=True)
class Simulated:
    """What became of one seed.  `executions` are (step, attempt, worker) in order; `faults` says what struck where."""

    seed: int
    run: RunSummary
    executions: list[tuple[str, int, int]]
    faults: list[str]


def simulate(
    seed: int,
    workflow: Workflow,
    run_input: object = msgspec.UNSET,
    *,
    engine: TestEngine | None = None,
    ledger: Ledger | None = None,
) -> Simulated:
    """Run `workflow` once in calm and once under the faults of `seed`; return what happened.

    Raises `DivergedError` where phase or output differ, or what the `ledger` was told under which keys (the run's id in
    a key stands for any run's).  Without an `engine` one is made for this call.
    """
    if engine is None:
        with TestEngine(workflows=[workflow]) as made:
            return simulate(seed, workflow, run_input, engine=made, ledger=ledger)
    calm, told = _in_calm(engine, workflow, run_input, ledger)
    simulated = _under_faults(engine, seed, workflow, run_input)
    run = simulated.run
    if (run.phase, run.output) != (calm.phase, calm.output):
        raise DivergedError(
            f"seed {seed}: {_end_of(run)}, in calm {_end_of(calm)}; faults: {', '.join(simulated.faults) or 'none'}",
            seed=seed,
        )
    if ledger is not None and (now := _anonymous(ledger, run.id)) != told:
        raise DivergedError(f"seed {seed}: the ledger was told {now}, in calm {told}", seed=seed)
    return simulated


def _end_of(run: RunSummary) -> str:
    failure = run.failure
    return (
        f"{run.phase} with {run.output!r}" if failure is None else f"{run.phase} by {failure.type}: {failure.message}"
    )


def _in_calm(
    engine: TestEngine, workflow: Workflow, run_input: object, ledger: Ledger | None
) -> tuple[RunSummary, dict[str, Any]]:
    if ledger is not None:
        ledger.clear()
    run = engine.finish(engine.start(workflow, run_input).run_id)
    told = {} if ledger is None else _anonymous(ledger, run.id)
    if ledger is not None:
        ledger.clear()
    return run, told


def _anonymous(ledger: Ledger, run_id: str) -> dict[str, Any]:
    return {key.replace(run_id, "RUN"): value for key, value in ledger.entries.items()}


def _under_faults(engine: TestEngine, seed: int, workflow: Workflow, run_input: object) -> Simulated:
    rng = random.Random(f"{seed}/delays")  # noqa: S311 - reproducible on purpose
    executions: list[tuple[str, int, int]] = []
    run_id = engine.start(workflow, run_input).run_id
    plan = _Plan(
        str(seed),
        aims=("COMMIT flush", "copy_events", "claim_runs"),
        most=FAULTS_MAX,
        on_death=lambda node: again(node),  # noqa: PLW0108 - it comes below
    )
    cast = Cast(
        engine.url,
        engine.observer,
        engine.app,
        seed=f"simulate/{seed}",
        clock=FakeClock(engine.clock.now()),
        watched=plan,
        calm=False,
        lease_s=LEASE_S,
        delays=lambda _task: (rng.choice((0.0, 0.02)), rng.choice((0.0, 0.0, 0.1, 0.6))),
        on_execute=lambda task, worker: _note(executions, run_id, task, worker),
    )
    plan.network, plan.scheduler = cast.network, cast.scheduler

    def again(dead: Node) -> None:
        node = cast.begin(dead.name)
        cast.scheduler.spawn(f"boot {dead.name}", None, lambda: _boot(node))

    try:
        for name in ("first", "second"):
            cast.begin(name).start()
        _play(engine, cast, plan, run_id)
    finally:
        cast.end()
        engine.clock.advance_to(cast.clock.now_ns())
    faults = [f"{kind} at {name} of {who}" for _, who, name, kind in plan.struck]
    return Simulated(seed, engine.app.history.run(run_id), executions, faults)


def _play(engine: TestEngine, cast: Cast, plan: _Plan, run_id: Any) -> None:
    for number in range(TURNS_MAX):
        cast.scheduler.turn()
        if plan.statements >= STATEMENTS_STRUCK:
            plan.disarm()
        if number % 25:
            continue
        if engine.app.history.run(run_id).phase.is_final:
            return
        if cast.clock.now_ns() - plan.news_ns > QUIET_NS:  # as on a machine that was asleep: leases run out as well
            cast.jump(cast.next_due(engine.observer) or 0)
    raise StuckError(f"run {run_id} did not end in {TURNS_MAX} turns", run_id=run_id)


def _note(executions: list[tuple[str, int, int]], run_id: str, task: Task, worker: int) -> None:
    if task.run_id == run_id:
        executions.append((task.step, task.attempt, worker))


def _boot(node: Node) -> None:
    actor = current_actor()
    assert actor is not None, "it boots in an actor"
    actor.wait(0.5)
    node.start()
