"""`kronos demo`, and what is asked of its run, as it is typed on a fresh data folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.terminal import Typed, type_here

KRONOS = [sys.executable, "-m", "kronos"]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment without a database: the embedded one is part of what is shown."""
    own = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "GRPC_ADDR", "ADMIN_ADDR")}
    return {**own, "KRONOS_DATA_DIR": str(folder), **more}


def type_command(folder: Path, *arguments: str, **more: str) -> Typed:
    return type_here(*arguments, folder=folder, environment=environment(folder, **more))


def processes_of(folder: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        command = " ".join(process.info["cmdline"] or [])
        if str(folder) in command or (process.info["environ"] or {}).get("KRONOS_DATA_DIR") == str(folder):
            found.append(command)
    return found


class Shown(NamedTuple):
    """What a command printed, how long it took, and what it left running."""

    done: Typed
    seconds: float
    left: list[str]


def run(folder: Path, command: list[str] | str) -> Typed:
    """Run a command in a process of its own; one that is text as a shell reads it."""
    pipe, is_text = subprocess.PIPE, isinstance(command, str)
    done = subprocess.run(
        command,
        shell=is_text,
        env=environment(folder),
        cwd=folder,
        stdout=pipe,
        stderr=pipe,
        text=True,
        timeout=100,
        check=False,
    )
    return Typed(done.returncode, done.stdout, done.stderr)


def show(folder: Path, *arguments: str) -> Shown:
    started = time.monotonic()
    done = run(folder, [*KRONOS, *arguments])
    return Shown(done, time.monotonic() - started, processes_of(folder))


class Demo(NamedTuple):
    folder: Path
    first: Shown
    second: Shown
    url: str

    @property
    def run_id(self) -> str:
        return str(json.loads(self.first.done.stdout)["run_id"])


@pytest.fixture(scope="module")
def demo():
    """A fresh data folder on which the demo ran twice; from then on its database is kept up, which is quicker."""
    folder = Path(tempfile.mkdtemp(prefix="kronos-demo-"))
    folder.chmod(0o755)
    first, second = show(folder, "demo", "--exit", "--json"), show(folder, "demo")
    kept = run(folder, [*KRONOS, "db", "start"])
    assert kept.returncode == 0, kept.stderr
    yield Demo(folder, first, second, kept.stdout.strip())
    assert type_command(folder, "db", "stop").returncode == 0
    assert type_command(folder, "db", "url").returncode == 1
    assert processes_of(folder) == []
    shutil.rmtree(folder, ignore_errors=True)


def test_the_demo_prints_one_object_in_time_and_leaves_nothing_running(demo):
    done = demo.first.done
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {
        "run_id", "workflow", "status", "steps", "events", "seconds", "result", "debugger_url", "replay_command"
    }  # fmt: skip
    assert (found["workflow"], found["status"]) == ("sma_research", "completed")
    assert found["steps"] > 10
    assert found["events"] >= 5 * found["steps"]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/runs/[0-9a-f-]{36}\?token=\S+", found["debugger_url"])
    assert demo.first.seconds < 60
    assert demo.first.left == []


def test_the_second_demo_is_quicker_and_prints_for_people_without_json(demo):
    done = demo.second.done
    assert done.returncode == 0, done.stderr
    for word in ("run_id", "completed", "debugger", "replay", "sharpe"):
        assert word in done.stdout
    assert len(done.stdout) < 10_000
    assert demo.second.seconds < 20
    assert demo.second.left == []


def test_the_replay_command_works_as_printed_and_every_outcome_is_equal(demo):
    found = json.loads(demo.first.done.stdout)
    replayed = run(demo.folder, found["replay_command"])
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert len(replayed.stdout.splitlines()) == found["steps"]


def test_a_replay_from_elsewhere_needs_only_the_url(demo, tmp_path):
    assert type_command(demo.folder, "db", "url").stdout.strip() == demo.url
    replayed = type_command(tmp_path, "replay", demo.run_id, "--json", DATABASE_URL=demo.url)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert json.loads(replayed.stdout)["equal"] is True


def test_the_state_inside_a_backtest_of_the_demo_is_shown_at_any_row(demo):
    done = type_command(demo.folder, "state", demo.run_id, "aapl-10-30@row=500", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["row"], found["labels"]["portfolio"], found["verification"]["ok"]) == (500, "recorded", True)
    assert len(found["variables"]["closes"]) == 30
    as_text = type_command(demo.folder, "state", demo.run_id, "aapl-10-30@row=500")
    for word in ("portfolio", "cash", "variables", "fast_sum"):
        assert word in as_text.stdout


def test_the_state_of_a_run_is_that_of_the_event(demo):
    found = json.loads(type_command(demo.folder, "state", demo.run_id, "--seq", "1", "--json").stdout)
    assert {step["status"] for step in found["steps"]} == {"pending"}
    assert {step["output"] for step in found["steps"]} == {None}
    found = json.loads(type_command(demo.folder, "state", demo.run_id, "--json").stdout)
    assert {step["status"] for step in found["steps"]} == {"completed"}
    beyond = type_command(demo.folder, "state", demo.run_id, "--seq", "100000")
    assert beyond.returncode == 2
    assert "beyond the last event" in beyond.stderr


def test_orders_fills_and_trades_of_a_trading_step_are_tables_that_agree(demo):
    folder, run = demo.folder, demo.run_id
    tables = {}
    for name in ("orders", "fills", "trades"):
        done = type_command(folder, "runs", name, run, "aapl-10-30", "--json")
        assert done.returncode == 0, done.stderr
        tables[name] = json.loads(done.stdout)
    filled = [order for order in tables["orders"] if order["phase"] == "filled"]
    assert [order["order_id"] for order in filled] == [fill["order_id"] for fill in tables["fills"]]
    ends = {trade["exit_order_id"] for trade in tables["trades"] if not trade["open"]}
    assert ends <= {fill["order_id"] for fill in tables["fills"]}
    several = type_command(folder, "runs", "trades", run)
    assert several.returncode == 2
    assert "name one: aapl-10-30" in several.stderr


def test_a_backtest_is_a_durable_run_with_trades_and_hashes_and_the_same_twice(demo):
    folder = demo.folder
    arguments = ["backtest", "--data", "sample-aapl", "--strategy", "kronos.trading.sma_cross:SmaCross", "--json"]
    first = json.loads(type_command(folder, *arguments, "--set", "fast=5", "--set", "slow=20").stdout)
    second = json.loads(type_command(folder, *arguments, "--set", "fast=5", "--set", "slow=20").stdout)
    other = json.loads(type_command(folder, *arguments, "--set", "fast=5", "--set", "slow=21").stdout)
    assert first["status"] == "completed"
    assert first["result"]["trade_count"] == len([t for t in first["result"]["trades"] if not t["open"]]) > 50
    assert first["run_id"] != second["run_id"]
    assert first["result"] == second["result"]
    assert first["result"]["core_chain"] != other["result"]["core_chain"]
    shown = json.loads(type_command(folder, "runs", "show", first["run_id"], "--json").stdout)
    assert shown["phase"] == "completed"
    assert shown["output"] == first["result"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nothing", "--strategy", "kronos.trading.sma_cross:SmaCross"], "nothing"),
        (["--data", "sample-aapl", "--strategy", "nowhere:Class"], "there is no module 'nowhere'"),
        (["--data", "sample-aapl", "--strategy", "kronos.trading.sma_cross:Nope"], "no Strategy of"),
        (["--data", "sample-aapl", "--strategy", "kronos.trading.sma_cross:SmaCross", "--set", "fats=3"], "fats"),
        (["--data", "sample-aapl", "--strategy", "kronos.trading.sma_cross:SmaCross", "--from", "soon"], "--from soon"),
    ],
)
def test_a_backtest_that_cannot_be_is_refused_in_one_line(demo, arguments, message):
    folder = demo.folder
    done = type_command(folder, "backtest", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
