"""`kronos demo`, `backtest`, `dev`, `worker` and the client, as they are typed on a fresh data folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from kronos.client import Client
from kronos.errors import InvalidInput, NotFound, Unauthenticated

KRONOS = [sys.executable, "-m", "kronos"]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment without a database: the embedded one is part of what is shown."""
    own = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "GRPC_ADDR", "ADMIN_ADDR")}
    return {**own, "KRONOS_DATA_DIR": str(folder), **more}


def type_command(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KRONOS, *arguments],
        env=environment(folder, **more),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def processes_of(folder: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        command = " ".join(process.info["cmdline"] or [])
        if str(folder) in command or (process.info["environ"] or {}).get("KRONOS_DATA_DIR") == str(folder):
            found.append(command)
    return found


class Shown(NamedTuple):
    """What a command printed, how long it took, and what it left running."""

    done: subprocess.CompletedProcess[str]
    seconds: float
    left: list[str]


def show(folder: Path, *arguments: str) -> Shown:
    started = time.monotonic()
    done = type_command(folder, *arguments)
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
    kept = type_command(folder, "db", "start")
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
    replayed = subprocess.run(
        found["replay_command"],
        shell=True,
        env=environment(demo.folder),
        cwd=demo.folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
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


@pytest.fixture
def dev(demo):
    """`kronos dev` on free ports: its process, the gRPC address, the debugger's URL."""
    folder = demo.folder
    ports = dict.fromkeys(("GRPC_ADDR", "ADMIN_ADDR", "METRICS_ADDR"), "127.0.0.1:0")
    process = subprocess.Popen(
        [*KRONOS, "dev"], env=environment(folder, **ports), cwd=folder, stderr=subprocess.PIPE, text=True
    )
    told = ""
    while "worker serves" not in told:
        line = process.stderr.readline()
        assert line, told
        told += line
    address = re.search(r"gRPC +(\S+)", told)
    url = re.search(r"debugger +(\S+)", told)
    assert address is not None, told
    assert url is not None, told
    yield process, address[1], url[1]
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_a_client_starts_follows_and_reads_a_run(demo, dev):
    folder = demo.folder
    _, address, _ = dev
    token = type_command(folder, "token").stdout.strip()
    with Client(address, token) as client:
        run_id = client.start("sma_research", {"cash": "50000"})
        seen = [event.seq for event in client.follow(run_id, timeout_s=60)]
        assert seen == list(range(1, len(seen) + 1))
        run = client.result(run_id, timeout_s=60)
        assert (run.phase, run.head_seq) == ("completed", len(seen))
        assert run.output["name"].startswith("sma-")
        assert [event.seq for event in client.events(run_id, after=3)] == seen[3:]
        first = client.list(limit=1)
        assert first.runs[0].run_id == run_id
        second = client.list(limit=1, cursor=first.next_cursor)
        assert second.runs[0].run_id != run_id
        with pytest.raises(NotFound, match="workflow 'nothing' is not registered; known: "):
            client.start("nothing")
        with pytest.raises(InvalidInput) as refused:
            client.start("sma_research", {"cash": [1]})
        assert refused.value.facts["field"] == "$.cash"
    with Client(address, "wrong") as stranger, pytest.raises(Unauthenticated):
        stranger.get(run_id)


def test_start_with_wait_prints_the_run_and_the_server_lists_it(demo, dev):
    folder = demo.folder
    _, address, _ = dev
    done = type_command(folder, "start", "sma_research", "--wait", "--json", "--address", address)
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run["phase"] == "completed"
    by_server = type_command(folder, "runs", "show", run["run_id"], "--json", "--address", address)
    by_database = type_command(folder, "runs", "show", run["run_id"], "--json")
    assert json.loads(by_server.stdout) == json.loads(by_database.stdout)
    events = json.loads(type_command(folder, "runs", "events", run["run_id"], "--json").stdout)
    assert [event["seq"] for event in events] == list(range(1, run["events"] + 1))
    refused = type_command(folder, "start", "sma_research", "--input", '{"cash": true}', "--address", address)
    assert refused.returncode == 2
    assert "$.cash" in refused.stderr


def test_sigterm_ends_everything_in_order(dev):
    process, _, _ = dev
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0, told
    assert told.rstrip().endswith("stopped")


def test_a_worker_finishes_what_runs_before_it_leaves(demo):
    folder = demo.folder
    (folder / "slowly.py").write_text(
        "import time\n"
        "from kronos import step, workflow\n\n\n"
        "@step\ndef sleep(seconds: float) -> str:\n"
        "    open('began', 'w').close()\n    time.sleep(seconds)\n    return 'slept'\n\n\n"
        "@workflow(version='1')\ndef slowly(seconds: float) -> str:\n    return sleep(seconds)\n"
    )
    began = folder / "began"
    worker = subprocess.Popen(
        [*KRONOS, "worker", "--workflows", "slowly"],
        env=environment(folder),
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert worker.stderr is not None
        assert "slowly" in worker.stderr.readline()
        program = "from kronos import Kronos; import sys; k = Kronos.open(); print(k.start('slowly', {'seconds': 2}))"
        submitted = subprocess.run(
            [sys.executable, "-c", program + "; k.close()"],
            env=environment(folder), cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        deadline = time.monotonic() + 10
        while not began.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        worker.send_signal(signal.SIGTERM)
        _, told = worker.communicate(timeout=30)
        assert worker.returncode == 0, told
    finally:
        worker.kill()
    shown = json.loads(type_command(folder, "runs", "show", submitted.stdout.strip(), "--json").stdout)
    assert (shown["phase"], shown["output"]) == ("completed", "slept")


def test_a_busy_port_names_the_setting(demo, dev):
    folder = demo.folder
    _, address, _ = dev
    done = type_command(folder, "server", GRPC_ADDR=address, ADMIN_ADDR="127.0.0.1:0", METRICS_ADDR="127.0.0.1:0")
    assert done.returncode == 1
    assert f"GRPC_ADDR is {address}, but port" in done.stderr
    assert "Traceback" not in done.stderr
