"""`kronos dev`, `server` and `worker`, and the client, as an operator starts and stops them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from kronos import Kronos
from kronos.client import Client
from kronos.errors import InvalidInput, NotFound, Unauthenticated
from tests.terminal import Typed, type_here

KRONOS = [sys.executable, "-m", "kronos"]
FREE = dict.fromkeys(("GRPC_ADDR", "ADMIN_ADDR", "METRICS_ADDR"), "127.0.0.1:0")


class Place(NamedTuple):
    """A data folder, and the environment in which everybody works with it."""

    folder: Path
    environment: dict[str, str]

    def type(self, *arguments: str, **more: str) -> Typed:
        return type_here(*arguments, folder=self.folder, environment=self.environment | more)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*KRONOS, *arguments],
            env=self.environment | FREE,
            cwd=self.folder,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="module")
def place(module_database_url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    own = {"DATABASE_URL": module_database_url, "KRONOS_DATA_DIR": str(folder / "data")}
    return Place(folder, {**os.environ, **own})


@pytest.fixture(scope="module")
def dev(place):
    """`kronos dev` on free ports: its process, the gRPC address, the debugger's URL."""
    process = place.start("dev")
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


def test_a_client_starts_follows_and_reads_a_run(place, dev):
    _, address, _ = dev
    token = place.type("token").stdout.strip()
    with Client(address, token) as client:
        earlier = client.start("sma_research", {"cash": "40000"})
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
        assert second.runs[0].run_id == earlier
        with pytest.raises(NotFound, match="workflow 'nothing' is not registered; known: "):
            client.start("nothing")
        with pytest.raises(InvalidInput) as refused:
            client.start("sma_research", {"cash": [1]})
        assert refused.value.facts["field"] == "$.cash"
    with Client(address, "wrong") as stranger, pytest.raises(Unauthenticated):
        stranger.get(run_id)


def test_start_with_wait_prints_the_run_and_the_server_lists_it(place, dev):
    _, address, _ = dev
    done = place.type("start", "sma_research", "--wait", "--json", "--address", address)
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run["phase"] == "completed"
    by_server = place.type("runs", "show", run["run_id"], "--json", "--address", address)
    by_database = place.type("runs", "show", run["run_id"], "--json")
    assert json.loads(by_server.stdout) == json.loads(by_database.stdout)
    events = json.loads(place.type("runs", "events", run["run_id"], "--json").stdout)
    assert [event["seq"] for event in events] == list(range(1, run["events"] + 1))
    refused = place.type("start", "sma_research", "--input", '{"cash": true}', "--address", address)
    assert refused.returncode == 2
    assert "$.cash" in refused.stderr


def test_a_worker_finishes_what_runs_before_it_leaves(place):
    (place.folder / "slowly.py").write_text(
        "import time\n"
        "from kronos import step, workflow\n\n\n"
        "@step\ndef sleep(seconds: float) -> str:\n"
        "    open('began', 'w').close()\n    time.sleep(seconds)\n    return 'slept'\n\n\n"
        "@workflow(version='1')\ndef slowly(seconds: float) -> str:\n    return sleep(seconds)\n"
    )
    began = place.folder / "began"
    worker = place.start("worker", "--workflows", "slowly")
    try:
        assert worker.stderr is not None
        assert "slowly" in worker.stderr.readline()
        with Kronos.open(database_url=place.environment["DATABASE_URL"], data_dir=place.folder / "data") as app:
            run_id = app.start("slowly", {"seconds": 1})
        deadline = time.monotonic() + 10
        while not began.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        worker.send_signal(signal.SIGTERM)
        _, told = worker.communicate(timeout=30)
        assert worker.returncode == 0, told
    finally:
        worker.kill()
    shown = json.loads(place.type("runs", "show", run_id, "--json").stdout)
    assert (shown["phase"], shown["output"]) == ("completed", "slept")


def test_a_busy_port_names_the_setting(place, dev):
    _, address, _ = dev
    done = place.type("server", GRPC_ADDR=address, ADMIN_ADDR="127.0.0.1:0", METRICS_ADDR="127.0.0.1:0")
    assert done.returncode == 1
    assert f"GRPC_ADDR is {address}, but port" in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_ends_everything_in_order(dev):
    process, _, _ = dev
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0, told
    assert told.rstrip().endswith("stopped")
