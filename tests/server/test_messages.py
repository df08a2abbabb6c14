"""Runs are spoken to over gRPC, over HTTP and from the command line, and every surface refuses in the same words."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from kronos import RunView, approval, step, wait_for_signal, workflow
from kronos.cli import main
from kronos.client import Client
from kronos.errors import Conflict, InvalidInput, NotFound


@step
def say(word: str, number: int) -> str:
    return f"{word} {number}"


def messages_left(view: RunView) -> int:
    return len(view.signals)


@workflow(version="1", queries={"left": messages_left})
def asked(word: str) -> str:
    gate = approval("risk desk", word, name="risk")
    number = wait_for_signal("number", int, after=[gate])
    return say(word, number)


@pytest.fixture
def client(server, app, worker):
    app.serve(asked)
    with Client(str(server.grpc_address), server.token) as client:
        yield client


@pytest.fixture
def run(client) -> str:
    started = client.start("asked", {"word": "ok"})
    deadline = time.monotonic() + 10
    while not client.messages.query(started, "approvals"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return started


def test_over_grpc(client, run):
    (pending,) = client.messages.query(run, "approvals")
    assert (pending["step"], pending["who"], pending["message"]) == ("risk", "risk desk", "ok")
    client.messages.signal(run, "number", 5, key="five")
    client.messages.signal(run, "number", 5, key="five")
    with pytest.raises(InvalidInput, match="waits for number"):
        client.messages.signal(run, "numbr", 5)
    with pytest.raises(InvalidInput, match="say who decides"):
        client.messages.approve(run, by="")
    assert client.messages.approve(run, by="ada", reason="fine") == "risk"
    assert client.result(run, 10).output == "ok 5"
    assert client.messages.query(run, "left") == 0
    assert [each["status"] for each in client.messages.query(run, "steps")] == ["completed"] * 3
    with pytest.raises(NotFound, match="known are steps, approvals"):
        client.messages.query(run, "nothing")
    with pytest.raises(Conflict, match="completed already"):
        client.messages.pause(run)


def test_runs_are_found_and_cancelled_by_attributes_over_grpc(client, app):
    runs = [app.start(asked, {"word": "x"}, attributes={"symbol": "BTC", "n": n}) for n in range(3)]
    assert {run.run_id for run in client.list(where={"symbol": "BTC"}).runs} == set(runs)
    assert client.list(where={"symbol": "BTC", "n": "1"}).runs[0].attributes == {"symbol": "BTC", "n": 1}
    assert client.messages.cancel_all(where={"symbol": "BTC"}, dry_run=True).matched == 3
    with pytest.raises(InvalidInput, match="means every open run"):
        client.messages.cancel_all(where={})
    report = client.messages.cancel_all(where={"symbol": "BTC"}, reason="enough", by="ada")
    assert (report.matched, report.asked, report.ended_meanwhile) == (3, 3, 0)
    assert {client.result(run, 10).phase for run in runs} == {"cancelled"}


def test_over_http(http, client, run):
    base = f"/api/v1/runs/{run}"
    standing = http.get(f"{base}/standing").json()
    (pending,) = standing["approvals"]
    assert (pending["step"], pending["message"], standing["pause"]) == ("risk", '"ok"', None)
    assert http.post(f"{base}/pause", json={"by": "ada", "reason": "look"}).status_code == 202
    deadline = time.monotonic() + 10
    while http.get(f"{base}/standing").json()["pause"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert http.get(f"{base}/query?name=pause").json()["by"] == "ada"
    assert http.post(f"{base}/resume", json={}).status_code == 202
    refused = http.post(f"{base}/approve", json={"by": ""})
    assert (refused.status_code, refused.json()["error"]["facts"]["field"]) == (400, "by")
    assert http.post(f"{base}/signal", json={"name": "number", "value": 7}).status_code == 202
    assert http.post(f"{base}/reject", json={"by": "ada", "reason": "no", "step": "risk"}).status_code == 202
    ended = client.result(run, 10)
    assert (ended.phase, ended.failure.message) == ("failed", "ada rejected 'risk': no")


def test_from_the_command_line(client, run, app, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", app.url)
    monkeypatch.setenv("KRONOS_DATA_DIR", str(tmp_path))

    def kronos(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(words)
        said = capsys.readouterr()
        assert left.value.code == code, said.err
        return said.out if code == 0 else said.err

    shown: Any = json.loads(kronos("runs", "query", run, "approvals"))
    assert shown[0]["who"] == "risk desk"
    kronos("runs", "signal", run, "number", "9")
    said = kronos("runs", "signal", run, "number", '"nine"', code=2)
    assert "message 'number' cannot be \"nine\": $: 'nine' is not of type 'integer'" in said
    kronos("runs", "approve", run, "--by", "ada", "--reason", "fine")
    assert client.result(run, 10).output == "ok 9"
    said = next(event for event in client.events(run) if event.kind == "run_signalled" and event.facts.get("step"))
    assert (said.facts["by"], said.facts["reason"]) == ("ada", "fine")
    other = client.start("asked", {"word": "x"})
    assert json.loads(kronos("runs", "cancel", "--workflow", "asked", "--dry-run", "--json"))["matched"] == 1
    assert json.loads(kronos("runs", "cancel", "--workflow", "asked", "--json"))["asked"] == 1
    assert client.result(other, 10).phase == "cancelled"
    assert "give a RUN, or --where" in kronos("runs", "cancel", code=2)
