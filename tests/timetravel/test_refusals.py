"""What cannot be shown is refused by a sentence that names what can."""

from __future__ import annotations

import pytest

from kronos import Engine, StepContext, step, workflow
from kronos.errors import Conflict, InvalidInput, NotFound
from kronos.flows.backtest import BacktestRequest, single_backtest
from kronos.kernel.ids import RunId
from kronos.market.plans import BacktestPlan

NOBODY = RunId("01890000-0000-7000-8000-000000000000")


def test_unknown_runs_steps_rows_and_attempts_are_named(engine: Engine, walk: str, make_machine) -> None:
    plan = BacktestPlan(strategy="kronos.trading.sma_cross:SmaCross")
    handle = engine.start(single_backtest, BacktestRequest(dataset=walk, plan=plan))
    handle.result(timeout=60)
    machine = make_machine()
    with pytest.raises(NotFound, match=f"no run {NOBODY}"):
        machine.state_at(NOBODY, "backtest", 1)
    with pytest.raises(NotFound, match=r"no step 'backtst'.*backtest"):
        machine.state_at(handle.run_id, "backtst", 1)
    with pytest.raises(NotFound, match=r"'find_dataset' .* records no journal.*steps that record one: backtest"):
        machine.state_at(handle.run_id, "find_dataset", 1)
    for row in (-1, 30_001):
        with pytest.raises(InvalidInput, match=f"row {row} is outside the rows of step 'backtest': 0 to 30000"):
            machine.state_at(handle.run_id, "backtest", row)
    with pytest.raises(NotFound, match="has no ended attempt 2; ended attempts: 1"):
        machine.state_at(handle.run_id, "backtest", 1, attempt=2)


@step
def waits(ctx: StepContext) -> int:
    import time

    while not ctx.cancelled:
        time.sleep(0.01)
    return 1


@workflow(name="waiting", version="1")
def waiting() -> int:
    return waits()


def test_an_attempt_that_runs_is_a_conflict(engine: Engine, make_machine) -> None:
    handle = engine.start(waiting, {})
    machine = make_machine()
    for _ in range(200):
        if engine.app.history.state_at(handle.run_id).steps.get("waits") is not None:
            break
        engine.app.events_since(handle.run_id, 1, wait_s=0.1)
    try:
        with pytest.raises(Conflict, match=r"attempt 1 of step 'waits' is running.*ended attempts: none"):
            machine.state_at(handle.run_id, "waits", 1)
    finally:
        engine.app.cancel(handle.run_id)
        engine.app.wait(handle.run_id, 30)
