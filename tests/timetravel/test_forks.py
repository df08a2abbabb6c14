"""A trading step that a fork shares, or took over, is seen in the fork as it is in the run that recorded it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from kronos import Changes
from kronos.flows.backtest import BacktestRequest, single_backtest
from kronos.market.plans import BacktestPlan
from kronos.trading import BacktestConfig


@pytest.fixture(scope="module")
def parent(engine, walk):
    plan = BacktestPlan(
        strategy="kronos.trading.sma_cross:SmaCross",
        params={"fast": 10, "slow": 30, "size": "1"},
        config=BacktestConfig(cash=Decimal(10_000_000), fee_rate=Decimal("0.001"), first_row=0),
    )
    handle = engine.start(single_backtest, BacktestRequest(dataset=walk, plan=plan))
    handle.result(60)
    return handle.run_id


@pytest.mark.parametrize("how", ["shared", "taken over"])
def test_the_state_at_a_row_is_that_of_the_run_that_recorded_it(engine, make_machine, parent, how):
    last = engine.app.history.run(parent).head_seq - 1
    shared = {"at_seq": last} if how == "shared" else {"changes": Changes(workflow=single_backtest)}
    fork = engine.app.fork(parent, **shared)
    assert engine.app.wait(fork, 60).phase == "completed"
    facts = engine.app.history.state_at(fork).steps["backtest"].facts
    assert (facts.reused_from is None) == (how == "shared")
    machine = make_machine()
    here, there = (machine.state_at(run, "backtest", 12_345) for run in (fork, parent))
    assert here.verification.ok
    for part in ("portfolio", "open_orders", "variables", "core_chain", "user_chain", "bar"):
        assert getattr(here, part) == getattr(there, part)
    assert machine.tables.trades(fork, "backtest") == machine.tables.trades(parent, "backtest")
