"""Several datasets and strategies as one durable run: started from the command line, its state at any row on record."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from kronos import Kronos
from kronos.cli.backtest import break_even
from kronos.cli.sessions import print_mishaps
from kronos.market import ImportOptions
from kronos.market.session_plans import SessionPlan, StrategyPlan, prepare_session
from kronos.trading import Position
from kronos.trading.session_config import AccountConfig, Latency, SessionConfig
from tests.outputs import fading
from tests.outputs.test_notebook import walk
from tests.terminal import type_here

SMA = "tests.outputs.fading:CrossOne"
ROWS = 900


@pytest.fixture(scope="module")
def typed(module_database_url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("session")
    environment = {**os.environ, "DATABASE_URL": module_database_url, "KRONOS_DATA_DIR": str(folder / "data")}
    environment["KRONOS_TEST_SINK"] = str(folder / "sink")
    with Kronos.open(database_url=module_database_url, data_dir=folder / "data") as app:
        for name, seed in (("one", 5), ("two", 6)):
            app.catalog.import_frame(walk(ROWS, seed), ImportOptions(name=name, instrument=name.upper()))

    def type_command(*words: str):
        return type_here(*words, folder=folder, environment=environment)

    type_command.folder = folder
    type_command.app = lambda: Kronos.open(database_url=module_database_url, data_dir=folder / "data")
    return type_command


def test_a_session_runs_from_the_command_line_and_its_state_is_shown_at_any_row(typed):
    done = typed(
        "backtest", "--data", "one", "--data", "two", "--strategy", SMA, "--strategy", "tests.outputs.fading:Fading",
        "--set", "fast=5", "--set", "CrossOne.slow=15", "--fee", "0.001", "--latency", "order=90s", "--json",
        "--sink", "tests.outputs.keeping:keep",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    result, run_id = found["result"], found["run_id"]
    assert result["result"]["rows"] == 2 * ROWS
    assert result["fill_counts"]["CrossOne"] > 20
    assert result["fill_counts"]["Fading"] > 5
    assert {fill["instrument"] for fill in result["fills"]} == {"ONE", "TWO"}

    from decimal import Decimal

    config = SessionConfig(
        accounts=(AccountConfig(cash={"USD": Decimal(1_000_000)}),),
        fee_rate=Decimal("0.001"),
        latency=Latency(order_ns=90 * 10**9),
    )
    plan = SessionPlan(
        strategies=(
            StrategyPlan(strategy=SMA, params={"fast": 5, "slow": 15, "size": "1"}),
            StrategyPlan(strategy="tests.outputs.fading:Fading", params={}),
        ),
        config=config,
    )
    with typed.app() as app:
        datasets = [app.catalog.find("one"), app.catalog.find("two")]
        beside = prepare_session(app.catalog, datasets, plan)
        for row in (1, 700, 1_799):
            beside.run(Position(row))
            shown = typed("state", run_id, f"session@row={row}", "--json")
            assert shown.returncode == 0, shown.stderr
            state, own = json.loads(shown.stdout), beside.state()
            assert Decimal(state["portfolio"]["equity"]) == own.portfolio.equity
            assert len(state["open_orders"]) == len(own.open_orders)
            held = {name: Decimal(value) for name, value in state["positions"]["main"].items()}
            assert {name: q for name, q in own.positions.items() if q} == {n: q for n, q in held.items() if q}
            assert state["time_ns"] == own.time_ns
            assert state["variables"] == json.loads(msgspec.json.encode(own.variables, enc_hook=str))
            assert set(state["variables"]) == {"CrossOne", "Fading"}
            assert state["verification"]["ok"]
        assert beside.run().core_chain == result["result"]["core_chain"]
    outside = typed("state", run_id, "session@row=1801")
    assert outside.returncode == 2
    assert "row 1801 is outside the rows of step 'session': 0 to 1800" in outside.stderr
    assert "portfolio" in typed("state", run_id, "session@row=900").stdout
    folder = typed.folder / "artifacts"
    kept = [json.loads(line)["fills"] for line in (typed.folder / "sink").read_text().splitlines()]
    assert sum(map(len, kept)) == sum(result["fill_counts"].values())
    written = typed("artifacts", run_id, "--to", str(folder), "--json")
    assert written.returncode == 0, written.stderr
    figures = json.loads((folder / "figures.json").read_text())
    assert figures["core_chain"] == result["result"]["core_chain"]
    earned = sum(Decimal(part["profit"]) for part in figures["strategies"])
    assert earned == Decimal(result["result"]["equity"]) - Decimal(result["result"]["initial_cash"])
    assert earned == sum(Decimal(part["profit"]) for part in result["analysis"]["strategies"])
    fills = pq.read_table(folder / "fills.parquet")
    assert dict(Counter(fills["strategy"].to_pylist())) == result["fill_counts"]
    assert set(fills["instrument"].to_pylist()) == {"ONE", "TWO"}
    assert pq.read_table(folder / "equity.parquet").num_rows == ROWS
    assert "CrossOne, Fading on ONE, TWO" in (folder / "report.html").read_text()
    assert typed("trace", run_id, "1").returncode == 0
    recovered = typed("recover", run_id, "--checkpoints", "1", "--strict")
    assert recovered.returncode == 0, recovered.stdout + recovered.stderr
    assert "1 of 1 came to the recorded end" in recovered.stderr
    audited = typed("audit", run_id, "--json")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert "decide otherwise" not in audited.stderr
    assert (json.loads(audited.stdout)["clean"], json.loads(audited.stdout)["rows"]) == (True, 2 * ROWS)
    refused = typed("audit", run_id, "--data", "one.csv")
    assert (refused.returncode, "RUN has its own data" in refused.stderr) == (2, True)


def test_a_session_up_to_a_date_tells_who_was_stopped_and_which_orders_were_refused_with_their_reasons(typed, capsys):
    with typed.app() as app:
        until = datetime.fromtimestamp(app.catalog.open("one").open_time[500] / 10**9, UTC)
    words = ("--data", "one", "--data", "two", "--strategy", "tests.outputs.fading:Faltering")
    result = json.loads(typed("backtest", *words, "--to", until.isoformat(), "--json").stdout)["result"]
    assert result["result"]["rows"] == 2 * 500
    (stopped,) = result["stopped"]
    line = next(n for n, text in enumerate(Path(fading.__file__).read_text().splitlines(), 1) if "LookupError(" in text)
    assert stopped == {
        "strategy": "Faltering", "row": 600, "handler": "on_bar", "error": "LookupError",
        "message": "no price of ONE yesterday", "line": line,
    }  # fmt: skip
    (refused,) = result["refused"]
    assert refused == {
        "strategy": "Faltering", "what": "denied", "reason": "terms_invalid", "orders": 10, "order_id": 1, "row": 0,
        "asked": "instrument None: one of ONE, TWO",
    }  # fmt: skip
    print_mishaps(result)
    shown = capsys.readouterr()
    assert "a strategy that raised was stopped" in shown.err
    told = [" ".join(text.split()) for text in shown.out.splitlines()]
    assert f"Faltering 600 on_bar LookupError no price of ONE yesterday {line}" in told
    assert "Faltering denied terms_invalid 10 1 0 instrument None: one of ONE, TWO" in told


def test_a_backtest_whose_orders_are_all_refused_says_why(typed):
    shown = typed("backtest", "--data", "one", "--strategy", "kronos.trading:SmaCross", "--set", "size=1000000")
    assert shown.returncode == 0, shown.stderr
    (line,) = (text.split() for text in shown.stdout.splitlines() if "cash_insufficient" in text)
    assert line[:3] == ["SmaCross", "denied", "cash_insufficient"]
    assert int(line[3]) > 5
    assert "the run at other costs; nothing was traded, so they change nothing" in shown.stderr


def test_what_fees_make_of_a_run_is_said_as_it_is():
    assert break_even(1.234) == "fees of 1.23 bps a side would eat it up"
    assert break_even(-1.234) == "without any it loses 1.23 bps a side"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "speed=3"), "--set speed: no strategy has it"),
        (
            ("--strategy", "tests.outputs.fading:Misspelt"),
            "Misspelt has no handler, so it would never act: nobody calls",
        ),
        (("--latency", "up=3ms"), "--latency up: one of feed, order, report"),
        (("--latency", "order=soon"), "--latency order=soon: write it as"),
        (("--from", "2999-01-01"), "--from 2999-01-01: no bar of one, two lies there"),
    ],
)
def test_what_a_session_cannot_mean_is_refused(typed, words, message):
    done = typed("backtest", "--data", "one", "--data", "two", "--strategy", SMA, *words)
    assert done.returncode == 2
    assert message in done.stderr
