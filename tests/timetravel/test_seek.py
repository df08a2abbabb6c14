"""Any row of a durable run can be seen, and is what recomputation from its first row gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kronos import Engine
from kronos.debugger.machine import Machine
from kronos.debugger.machine_views import StepView
from kronos.flows.backtest import BacktestRequest, single_backtest
from kronos.kernel.ids import RunId, StepName
from kronos.market.plans import prepare
from kronos.trading import Backtest, Position, StateView

STEP = StepName("backtest")


def recompute(engine: Engine, request: BacktestRequest) -> Backtest:
    """The same backtest in this process: no recorder, no checkpoint, no engine."""
    return prepare(engine.app.catalog, engine.app.catalog.find(request.dataset), request.plan)


def same(seen: StepView, oracle: StateView) -> bool:
    return (
        seen.portfolio == oracle.portfolio
        and seen.open_orders == oracle.open_orders
        and seen.variables == oracle.variables
        and (seen.core_chain, seen.user_chain) == (oracle.core_chain, oracle.user_chain)
        and (seen.time_ns, seen.records) == (oracle.time_ns, oracle.records)
    )


@pytest.mark.exactness
def test_fifty_random_rows_equal_recomputation_also_after_all_checkpoints_are_deleted(
    engine: Engine, btc_request: BacktestRequest, make_machine
) -> None:
    handle = engine.start(single_backtest, btc_request)
    assert str(handle.result(timeout=60).final_equity) == "10005691.78239"
    first, rows = btc_request.plan.config.first_row, engine.app.catalog.open("btc").rows
    wanted = sorted({first, rows, *map(int, np.random.default_rng(11).integers(first, rows, 50))})
    oracle, expected = recompute(engine, btc_request), {}
    for row in wanted:
        oracle.run(Position(row))
        expected[row] = oracle.state()
    assert engine.app.recordings.checkpoints(handle.run_id, STEP, 1)

    machine = make_machine()
    order = list(np.random.default_rng(12).permutation(wanted))
    for row in map(int, order):
        seen = machine.state_at(handle.run_id, "backtest", row)
        assert same(seen, expected[row]), row
        assert seen.verification.ok
        assert machine.core_at(handle.run_id, "backtest", row).portfolio == seen.portfolio
    assert machine.state_at(handle.run_id, "backtest", rows).checkpoint == "recorded"

    assert engine.app.recordings.delete_checkpoints(handle.run_id, STEP) > 0
    for again in (machine, make_machine()):
        for row in map(int, order):
            seen = again.state_at(handle.run_id, "backtest", row)
            assert same(seen, expected[row]), row
            assert seen.verification.ok
            assert seen.checkpoint != "recorded"
            assert "no checkpoint is stored" in seen.notes[0]


@pytest.mark.exactness
def test_another_process_hash_seed_locale_and_zone_give_equal_chains(
    engine: Engine, btc_request: BacktestRequest, make_machine
) -> None:
    handle = engine.start(single_backtest, btc_request)
    mine = handle.result(timeout=60)
    row = 41_234
    seen = make_machine().state_at(handle.run_id, "backtest", row)
    root = Path(__file__).parents[2]
    for seed, locale, zone in (("1", "C", "Asia/Kolkata"), ("4242", "tr_TR.UTF-8", "America/Caracas")):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.timetravel.again",
                engine.app.url,
                str(engine.app.settings.data_dir),
                handle.run_id,
                str(row),
            ],
            env=os.environ | {"PYTHONHASHSEED": seed, "LC_ALL": locale, "TZ": zone, "PYTHONPATH": str(root)},
            cwd=root,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        theirs = json.loads(done.stdout)
        assert theirs["chains"] == [mine.core_chain, mine.user_chain]
        assert theirs["seen"] == [seen.core_chain, seen.user_chain]
        assert theirs["heads"] == heads_of(engine, handle.run_id)


def heads_of(engine: Engine, run_id: RunId) -> list[list[str]]:
    from kronos.debugger.machine_journal import Journal

    journal = Journal(engine.app.recordings.segments(run_id, STEP, 1), engine.app.blobs)
    heads = journal.heads(0, 10**9)
    assert len(heads) > 8
    return [[str(row), head.core.hex(), head.user.hex()] for row, head in sorted(heads.items()) if row % 4096 == 0]


def test_a_checkpoint_of_another_store_is_refused_and_said(engine: Engine, long_walk: str, make_machine) -> None:
    request = BacktestRequest(dataset=long_walk, plan=plan_of("kronos.trading.sma_cross:SmaCross"))
    run_id = finished(engine, request)
    ours, other = make_machine(), make_machine(key=b"x" * 32)
    row = 200_000
    assert ours.state_at(run_id, "backtest", row).checkpoint == "recorded"
    seen = other.state_at(run_id, "backtest", row)
    assert seen.checkpoint == "none"
    assert "not from this store" in seen.notes[0]
    oracle = recompute(engine, request)
    oracle.run()
    assert same(seen, oracle.state())


def test_a_host_that_was_killed_is_replaced(engine: Engine, walk: str, make_machine) -> None:
    run_id = finished(engine, BacktestRequest(dataset=walk, plan=plan_of("kronos.trading.sma_cross:SmaCross")))
    machine: Machine = make_machine()
    before = machine.state_at(run_id, "backtest", 10_000)
    for host in machine._hosts._hosts.values():
        host._process.kill()
    after = machine.state_at(run_id, "backtest", 10_000)
    assert (before.variables, before.core_chain) == (after.variables, after.core_chain)


def test_parts_say_whether_they_were_recorded_or_recomputed(engine: Engine, walk: str, make_machine) -> None:
    run_id = finished(engine, BacktestRequest(dataset=walk, plan=plan_of("kronos.trading.sma_cross:SmaCross")))
    seen = make_machine().state_at(run_id, "backtest", 12_345)
    assert seen.labels["portfolio"] == "recorded"
    assert seen.labels["variables"] == "recomputed"
    assert seen.code == "captured"
    assert seen.bar is not None
    assert seen.bar.row == 12_345


def test_tables_are_read_off_the_journal(engine: Engine, walk: str, make_machine) -> None:
    handle = engine.start(
        single_backtest, BacktestRequest(dataset=walk, plan=plan_of("kronos.trading.sma_cross:SmaCross"))
    )
    result = handle.result(timeout=60)
    tables = make_machine().tables
    trades = tables.trades(handle.run_id, "backtest")
    assert trades == result.trades[: len(trades)] or len(trades) > 1000
    assert len(trades) == result.trade_count + result.open_trade_count
    orders = tables.orders(handle.run_id, "backtest")
    assert len(orders) == result.orders
    fills = tables.fills(handle.run_id, "backtest")
    assert sum(fill.fee for fill in fills) == result.fees
    last = fills[-1]
    events = tables.events_between(handle.run_id, "backtest", last.row, last.row)
    filled = next(event for event in events if event.kind == "order_filled")
    assert (filled.facts["price"], filled.facts["quantity"], filled.sub) == (last.price, last.quantity, last.sub)
    cause = filled.causes[0]
    (accepted,) = [
        event for event in tables.events_between(handle.run_id, "backtest", cause[0], cause[0]) if event.sub == cause[1]
    ]
    assert accepted.kind == "order_accepted"
    assert len(tables.events_between(handle.run_id, "backtest", 0, 30_000, limit=7)) == 7


def plan_of(strategy: str):
    from kronos.market.plans import BacktestPlan

    return BacktestPlan(strategy=strategy)


def finished(engine: Engine, request: BacktestRequest) -> RunId:
    handle = engine.start(single_backtest, request)
    handle.result(timeout=60)
    return handle.run_id
