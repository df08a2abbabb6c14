"""Schedules and nodes over gRPC, from a terminal and on /metrics: one server for the whole module."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from kronos import Client, Kronos
from kronos.cli import main
from kronos.errors import Conflict, InvalidInput, NotFound
from kronos.server import RunningServer, serve
from kronos.settings import Address, Settings
from tests.leader.conftest import echoed

FREE = Address("127.0.0.1", 0)


@pytest.fixture(scope="module")
def url(postgres_url: str, template_database: str) -> Iterator[str]:
    name = f"kronos_leader_{secrets.token_hex(4)}"
    head, mark, query = postgres_url.partition("?")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY")
        yield f"{head.rpartition('/')[0]}/{name}{mark}{query}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("surfaces")


@pytest.fixture(scope="module")
def server(url: str, folder: Path) -> Iterator[RunningServer]:
    settings = Settings(database_url=url, data_dir=folder, grpc_addr=FREE, admin_addr=FREE, metrics_addr=FREE)
    with Kronos.open(settings, workflows=[echoed]) as app, serve(app) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with Client(str(server.grpc_address), server.token) as client:
        yield client


@pytest.fixture
def kronos(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Runs one command and returns what it printed, decoded."""
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("KRONOS_DATA_DIR", str(folder))

    def run(*words: str, code: int = 0) -> Any:
        with pytest.raises(SystemExit) as left:
            main(words)
        said = capsys.readouterr()
        assert left.value.code == code, said.err
        return json.loads(said.out) if "--json" in words else said.out + said.err

    return run


def test_a_schedule_lives_its_life_over_grpc(client: Client) -> None:
    added = client.schedules.add("over-grpc", "0 9 * * mon-fri", "echoed", {"number": 4}, zone="Europe/Zurich")
    assert (added.input, added.zone, added.paused_at_ns) == ({"number": 4}, "Europe/Zurich", None)
    assert added.next_at_ns is not None
    assert added.next_at_ns > time.time_ns()
    assert [each.name for each in client.schedules.list()] == ["over-grpc"]
    assert client.schedules.pause("over-grpc").paused_at_ns is not None
    run = client.schedules.trigger("over-grpc")
    assert client.get(run).input == {"number": 4}
    found = client.schedules.get("over-grpc", limit=3)
    assert (found.upcoming_ns, found.firings[0].run_id, found.firings[0].outcome) == ((), run, "triggered")
    assert client.schedules.resume("over-grpc").paused_at_ns is None
    assert len(client.schedules.get("over-grpc", limit=3).upcoming_ns) == 3
    client.schedules.delete("over-grpc")
    with pytest.raises(NotFound, match="over-grpc"):
        client.schedules.pause("over-grpc")


@pytest.mark.parametrize(
    ("options", "error", "field"),
    [
        ({"cron": "* * 99 * *"}, InvalidInput, "cron"),
        ({"zone": "Mars"}, InvalidInput, "zone"),
        ({"overlap": "sometimes"}, InvalidInput, "overlap"),
        ({"workflow": ""}, InvalidInput, "workflow_name"),
        ({"workflow": "unknown"}, NotFound, "workflow_name"),
        ({"input": {"number": "x"}}, InvalidInput, "$.number"),
        ({"name": ""}, InvalidInput, "name"),
    ],
)
def test_a_wrong_schedule_is_refused_over_grpc_with_the_field(
    client: Client, options: dict[str, Any], error: type[Exception], field: str
) -> None:
    wanted = {"name": "wrong", "cron": "* * * * *", "workflow": "echoed"} | options
    with pytest.raises(error) as raised:
        client.schedules.add(**wanted)
    assert raised.value.facts["field"] == field  # type: ignore[attr-defined]


@pytest.mark.parametrize("through", ["database", "server"])
def test_a_schedule_lives_its_life_from_a_terminal(
    kronos: Callable[..., Any], server: RunningServer, through: str
) -> None:
    where = ["--address", str(server.grpc_address)] if through == "server" else []
    name = f"from-{through}"
    added = kronos("schedules", "add", name, "@daily", "echoed", "--input", '{"number": 2}', *where, "--json")
    assert (added["cron"], added["input"]) == ("@daily", {"number": 2})
    assert name in kronos("schedules", "list", *where)
    kronos("schedules", "pause", name, *where)
    run = kronos("schedules", "trigger", name, *where, "--json")["run_id"]
    shown = kronos("schedules", "show", name, *where, "--json")
    assert shown["paused"] is not None
    assert shown["firings"][0]["run"] == run
    assert "fires next at" in kronos("schedules", "resume", name, *where)
    assert len(kronos("schedules", "show", name, "--limit", "3", *where, "--json")["upcoming"]) == 3
    kronos("schedules", "delete", name, *where)
    assert "no schedule" in kronos("schedules", "show", name, *where, code=2)
    assert "field 1, the minute" in kronos("schedules", "add", "x", "77 * * * *", "echoed", *where, code=2)


def test_adding_another_under_a_taken_name_is_a_conflict(client: Client) -> None:
    client.schedules.add("taken", "@daily", "echoed")
    client.schedules.add("taken", "@daily", "echoed")
    with pytest.raises(Conflict, match="another cron"):
        client.schedules.add("taken", "@hourly", "echoed")
    client.schedules.delete("taken")


def test_the_leader_is_visible_from_a_terminal_and_on_metrics(
    kronos: Callable[..., Any], server: RunningServer
) -> None:
    deadline = time.monotonic() + 5
    while not any(node["state"] == "leads" for node in kronos("nodes", "--json")):
        assert time.monotonic() < deadline, "nobody leads"
    (node,) = kronos("nodes", "--json")
    assert (node["kind"], node["pid"], node["state"]) == ("server", os.getpid(), "leads")
    assert "leads" in kronos("nodes")
    figures = httpx.get(f"http://{server.metrics_address}/metrics").text
    assert f'kronos_leader{{kind="server",name="{node["name"]}",node="{node["node"]}"}} 1.0' in figures
    assert f"kronos_leader_epoch {float(node['epoch'])}" in figures


def test_a_name_with_a_nul_is_bad_input_over_the_wire(client):
    schedules = client.schedules
    for call in (schedules.pause, schedules.resume, schedules.trigger, schedules.delete, schedules.get):
        with pytest.raises(InvalidInput, match=r"name .* has a NUL"):
            call("a\0b")


def test_a_duration_that_is_empty_or_endless_is_refused_from_a_terminal(kronos):
    for option in ("--timeout", "--jitter"):
        for text in ("", "99999999999d"):
            said = kronos("schedules", "add", "odd", "@daily", "echoed", option, text, code=2)
            assert f"{option[2:]}={text!r}: expected a positive duration" in str(said)
