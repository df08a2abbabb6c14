"""Forks over gRPC and HTTP, by the client and from the command line: one behaviour, refused alike."""

from __future__ import annotations

import json
import os

import grpc
import pytest

from kronos._proto.v1 import service_pb2 as pb
from kronos.client import Client
from kronos.errors import Conflict, InvalidInput
from tests.terminal import type_here

BIG = "9007199254740993"


@pytest.fixture(scope="module")
def client(server):
    with Client(str(server.grpc_address), server.token) as opened:
        yield opened


@pytest.fixture
def kronos(app, server, tmp_path):
    """Type a command in this process, where the workflow's code is."""

    def type_command(*arguments: str) -> tuple[int, str, str]:
        own = {"DATABASE_URL": app.url, "KRONOS_DATA_DIR": str(app.settings.data_dir)}
        done = type_here(*arguments, folder=tmp_path, environment=os.environ | own)
        return done.returncode, done.stdout.strip(), done.stderr

    return type_command


def result(app, run_id):
    run = app.wait(run_id, 20)
    assert run.phase == "completed", run
    return json.loads(run.output)


def test_a_run_is_forked_over_grpc_and_its_values_keep_every_digit(client, app, done, worker):
    fork = client.forks.fork(done, outputs={"shout": {"text": "other", "big": int(BIG)}})
    assert "other" in result(app, fork)["html"]
    assert f'"big":{BIG}'.encode() in bytes(app.history.state_at(fork).steps["shout"].facts.output)
    family = client.forks.lineage(fork)
    assert [kin.run_id for kin in family.ancestors] == [done]
    assert family.run.changed == ["output of shout"]


def test_a_run_is_forked_over_http_at_a_step_and_the_family_is_told(http, app, done, worker):
    made = http.post(f"/api/v1/runs/{done}/fork", json={"at": "frame", "inputs": {"frame": {"lines": ["changed"]}}})
    assert made.status_code == 201
    fork = made.json()["run_id"]
    assert "changed" in result(app, fork)["html"]
    family = http.get(f"/api/v1/runs/{fork}/lineage").json()
    assert [kin["id"] for kin in family["ancestors"]] == [done]
    assert family["run"]["changed"] == ["frame again", "input of frame"]
    assert fork in [kin["id"] for kin in http.get(f"/api/v1/runs/{done}/lineage").json()["descendants"]]


def test_a_shared_step_is_shown_with_the_input_that_it_was_given_there(http, app, done, worker):
    wish = {"at": "frame", "input": {"message": "another", "times": 7}}
    fork = http.post(f"/api/v1/runs/{done}/fork", json=wish).json()["run_id"]
    app.wait(fork, 20)
    for run, message in ((fork, "hello"), (done, "hello")):
        state = http.get(f"/api/v1/runs/{run}/state?payloads=shout").json()
        shout = next(each for each in state["steps"] if each["step"] == "shout")
        assert (shout["input"]["json"], shout["input_matches"]) == (f'{{"message":"{message}"}}', True)
    assert http.get(f"/api/v1/runs/{fork}/payload?part=input").json() == wish["input"]


def test_a_page_may_not_fork_without_its_csrf_word(stranger, server, app, done):
    stranger.get(f"/?token={server.token}")
    url, wish = f"/api/v1/runs/{done}/fork", {"at": "frame"}
    assert stranger.post(url, json=wish).status_code == 403
    word = stranger.get("/").text.split('name="csrf" content="')[1].split('"')[0]
    assert stranger.post(url, json=wish, headers={"x-csrf-token": word}).status_code == 201


def test_a_failed_run_is_retried_over_grpc_and_over_http(client, http, app, failed, worker):
    for fork in (client.forks.retry(failed), http.post(f"/api/v1/runs/{failed}/retry").json()["run_id"]):
        assert app.wait(fork, 20).phase == "failed"
        assert app.history.run(fork).parent == failed


@pytest.mark.parametrize(
    ("wish", "field", "says"),
    [
        ({"at": "frme"}, "at", "did you mean 'frame'"),
        ({}, "at", "say where to fork"),
        ({"at_seq": 999}, "at_seq", "seq 999 is outside"),
        ({"outputs": {"shout": 3}}, "outputs.shout", "not of its type"),
        ({"inputs": {"frame": {"line": []}}}, "line", "did you mean 'lines'"),
        ({"input": {"message": 3}}, "$.message", "Expected `str`"),
    ],
)
def test_every_surface_refuses_a_wrong_wish_with_the_same_words(client, http, app, done, wish, field, says):
    over_http = http.post(f"/api/v1/runs/{done}/fork", json=wish)
    assert over_http.status_code == 400
    with pytest.raises(InvalidInput, match=says) as over_grpc:
        client.forks.fork(done, **wish)
    told = over_http.json()["error"]
    assert told["message"] == over_grpc.value.message
    assert field in (told["facts"]["field"], told["facts"].get("value"))


def test_json_that_is_none_is_refused_by_the_name_of_its_field(rpc, token, done):
    request = pb.ForkRunRequest(run_id=done, set_outputs={"shout": "{"})
    with pytest.raises(grpc.RpcError) as refused:
        rpc.ForkRun(request, metadata=token, timeout=10)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "outputs.shout: malformed JSON" in refused.value.details()


def test_a_completed_run_is_not_retried(client, done):
    with pytest.raises(Conflict, match="nothing of it failed"):
        client.forks.retry(done)


def test_the_command_line_forks_from_the_database_and_over_grpc(kronos, app, server, done, worker):
    code, fork, _ = kronos("runs", "fork", done, "--set-output", 'repeat=["typed"]')
    assert code == 0
    assert "typed" in result(app, fork)["html"]
    options = ("--address", str(server.grpc_address), "--token", server.token)
    code, second, _ = kronos("runs", "fork", fork, "--at", "frame", *options)
    assert code == 0
    assert "typed" in result(app, second)["html"]
    code, tree, _ = kronos("runs", "lineage", second)
    lines = [line for line in tree.splitlines() if any(run in line for run in (done, fork, second))]
    assert [line[: len(line) - len(line.lstrip())] for line in lines] == ["", "  ", "    "]
    assert lines[2].endswith("←")
    assert "output of repeat" in lines[1]


def test_the_command_line_refuses_in_one_line(kronos, done):
    for arguments, says in [
        (("runs", "fork", done), "say where to fork"),
        (("runs", "fork", done, "--set-output", "shout"), "--set-output shout: write it as STEP=JSON"),
        (("runs", "fork", done, "--at", "frame", "--set-output", "shout={"), "outputs.shout: malformed JSON"),
        (("runs", "fork", done, "--here", "--version", "1"), "--here and --version"),
        (("runs", "retry"), "give a RUN, or --phase, --where or --workflow"),
    ]:  # fmt: skip
        code, out, told = kronos(*arguments)
        assert (code, out) == (2, ""), told
        assert says in told
        assert "Traceback" not in told


def test_many_runs_are_counted_with_dry_run_and_retried_without(kronos, app, failed, worker):
    many = ("runs", "retry", "--failed", "--workflow", "failing", "--json")
    code, out, _ = kronos(*many, "--dry-run")
    counted = json.loads(out)
    assert code == 0
    assert counted["count"] == len(counted["runs"]) >= 1
    code, out, _ = kronos(*many)
    assert code == 0
    assert [line["run_id"] for line in json.loads(out)] == counted["runs"]
    for line in json.loads(out):
        assert app.wait(line["fork"], 20).phase == "failed"
    code, out, _ = kronos("runs", "fork", "--phase", "failed", "--workflow", "failing", "--at", "stumble", "--dry-run")
    assert (code, int(out) >= 2) == (0, True)
