"""kronos.v1 as a caller meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from kronos._proto.v1 import service_pb2 as pb
from kronos.errors import Unavailable
from kronos.server import serve
from kronos.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
UNKNOWN = "019a0000-0000-7000-8000-000000000000"


def refusal(call, request, metadata):
    with pytest.raises(grpc.RpcError) as caught:
        call(request, metadata=metadata, timeout=10)
    return caught.value


def start(rpc, token, text, **more):
    request = pb.StartWorkflowRequest(workflow_name="greet", input=text, **more)
    return rpc.StartWorkflow(request, metadata=token, timeout=10).run_id


def test_a_workflow_started_over_the_wire_runs_unaided_and_its_history_is_gapless(rpc, token, worker):
    run_id = start(rpc, token, '{"message": "hello", "times": 2}')
    events = list(rpc.StreamRunHistory(pb.StreamRunHistoryRequest(run_id=run_id), metadata=token, timeout=20))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[0].kind == "run_started"
    assert events[-1].kind == "run_completed"
    run = rpc.GetRun(pb.GetRunRequest(run_id=run_id), metadata=token, timeout=10)
    assert (run.phase, run.workflow_name, run.head_seq) == ("completed", "greet", len(events))
    assert "HELLO" in json.loads(run.output)["html"]
    page = rpc.GetRunEvents(pb.GetRunEventsRequest(run_id=run_id, after_seq=3, limit=4), metadata=token, timeout=10)
    assert [event.seq for event in page.events] == [4, 5, 6, 7]
    assert page.head_seq == len(events)
    assert json.loads(page.events[1].facts)["output"] == {"big": 9007199254740993, "text": "HELLO"}


def test_a_stream_resumes_after_the_seq_it_is_given(rpc, token, done):
    request = pb.StreamRunHistoryRequest(run_id=done, after_seq=10)
    assert next(rpc.StreamRunHistory(request, metadata=token, timeout=10)).seq == 11


def test_runs_are_listed_newest_first_a_page_at_a_time(rpc, token, app):
    started = [start(rpc, token, json.dumps({"message": str(i)})) for i in range(3)]
    found, cursor = [], ""
    while True:
        request = pb.ListRunsRequest(workflow_name="greet", limit=2, cursor=cursor)
        page = rpc.ListRuns(request, metadata=token, timeout=10)
        found += [run.run_id for run in page.runs]
        cursor = page.next_cursor
        if not cursor:
            break
    assert found[:3] == started[::-1]
    assert found == sorted(set(found), reverse=True)
    none = rpc.ListRuns(pb.ListRunsRequest(phases=["dead"]), metadata=token, timeout=10)
    assert not none.runs


def test_a_cancelled_run_ends_and_cancelling_it_again_is_refused(rpc, token, worker, gate, app):
    run_id = start(rpc, token, '{"message": "held"}')
    rpc.CancelRun(pb.CancelRunRequest(run_id=run_id, reason="enough"), metadata=token, timeout=10)
    gate.set()
    assert app.wait(run_id, 20).phase == "cancelled"
    error = refusal(rpc.CancelRun, pb.CancelRunRequest(run_id=run_id), token)
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "cancelled already" in error.details()


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        ({"workflow_name": "greeet"}, "NOT_FOUND", ["'greeet'", "failing, greet"]),
        ({"workflow_name": ""}, "INVALID_ARGUMENT", ["workflow_name is empty"]),
        ({"workflow_name": "greet", "version": "9"}, "NOT_FOUND", ["'greet'", "'9'", "known: 1"]),
        ({"workflow_name": "greet", "input": '{"message": '}, "INVALID_ARGUMENT", ["malformed JSON"]),
        ({"workflow_name": "greet", "input": '{"message": 3}'}, "INVALID_ARGUMENT", ["$.message", "`str`", "`int`"]),
        ({"workflow_name": "greet", "input": '{"message": "a", "times": "b"}'}, "INVALID_ARGUMENT", ["$.times"]),
        ({"workflow_name": "greet", "input": "{}"}, "INVALID_ARGUMENT", ["message"]),
        (
            {"workflow_name": "greet", "input": '{"message": "a"}', "timeout": "soon"},
            "INVALID_ARGUMENT",
            ["timeout='soon'", "10m"],
        ),
    ],
)
def test_a_start_that_cannot_be_accepted_says_what_is_wrong_with_which_field(rpc, token, request_, code, words):
    error = refusal(rpc.StartWorkflow, pb.StartWorkflowRequest(**request_), token)
    assert error.code().name == code
    for word in words:
        assert word in error.details()
    assert "Traceback" not in error.details()


@pytest.mark.parametrize(
    ("method", "request_", "code", "words"),
    [
        ("GetRun", pb.GetRunRequest(run_id=UNKNOWN), "NOT_FOUND", [UNKNOWN]),
        ("GetRun", pb.GetRunRequest(run_id="nonsense"), "INVALID_ARGUMENT", ["'nonsense'"]),
        ("GetRun", pb.GetRunRequest(), "INVALID_ARGUMENT", ["run_id is empty"]),
        ("CancelRun", pb.CancelRunRequest(run_id=UNKNOWN), "NOT_FOUND", [UNKNOWN]),
        ("ListRuns", pb.ListRunsRequest(phases=["asleep"]), "INVALID_ARGUMENT", ["'asleep'", "pending, running"]),
        ("ListRuns", pb.ListRunsRequest(limit=5000), "INVALID_ARGUMENT", ["limit 5000"]),
        ("ListRuns", pb.ListRunsRequest(cursor="x"), "INVALID_ARGUMENT", ["'x'"]),
        ("GetRunEvents", pb.GetRunEventsRequest(run_id=UNKNOWN, after_seq=-1), "INVALID_ARGUMENT", ["after_seq -1"]),
    ],
)
def test_a_question_that_cannot_be_answered_names_the_value(rpc, token, method, request_, code, words):
    error = refusal(getattr(rpc, method), request_, token)
    assert error.code().name == code
    for word in words:
        assert word in error.details()


def test_a_refusal_carries_its_facts_for_programs(rpc, token):
    error = refusal(rpc.StartWorkflow, pb.StartWorkflowRequest(workflow_name="greet", input='{"message": 3}'), token)
    trailers = dict(error.trailing_metadata())
    assert trailers["kronos-code"] == "invalid_input"
    assert json.loads(trailers["kronos-facts-bin"])["field"] == "$.message"


def test_a_refusal_of_a_huge_value_still_arrives(rpc, token):
    for field in ("workflow_name", "attributes"):
        wish = {"workflow_name": "greet", field: "w" * 100_000}
        error = refusal(rpc.StartWorkflow, pb.StartWorkflowRequest(**wish), token)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert field in error.details()


@pytest.mark.parametrize(
    ("metadata", "word"),
    [
        ([], "is missing"),
        ([("authorization", "Bearer wrong")], "is wrong"),
        ([("authorization", "Basic abc")], "is wrong"),
    ],
)
def test_without_the_right_token_nothing_is_answered(rpc, metadata, word):
    error = refusal(rpc.ListRuns, pb.ListRunsRequest(), metadata)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert word in error.details()
    assert "kronos token" in error.details()
    with pytest.raises(grpc.RpcError) as caught:
        list(rpc.StreamRunHistory(pb.StreamRunHistoryRequest(run_id=UNKNOWN), metadata=metadata, timeout=10))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_health_is_open_and_reflection_needs_the_token(server, token):
    with grpc.insecure_channel(str(server.grpc_address)) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = health.Check(health_pb2.HealthCheckRequest(service="kronos.v1.KronosService"), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.RpcError) as caught:
            list(ask(iter([question]), timeout=10))
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        [found] = ask(iter([question]), metadata=token, timeout=10)
        assert "kronos.v1.KronosService" in [each.name for each in found.list_services_response.service]


@pytest.mark.parametrize("setting", ["GRPC_ADDR", "ADMIN_ADDR", "METRICS_ADDR"])
def test_a_busy_port_is_refused_by_the_name_of_its_setting_and_nothing_stays_taken(app, server, setting):
    taken = {
        "GRPC_ADDR": server.grpc_address,
        "ADMIN_ADDR": server.http_address,
        "METRICS_ADDR": server.metrics_address,
    }
    free = {name: type(taken["GRPC_ADDR"])("127.0.0.1", 0) for name in taken} | {setting: taken[setting]}
    chosen = Settings(
        data_dir=app.settings.data_dir,
        grpc_addr=free["GRPC_ADDR"],
        admin_addr=free["ADMIN_ADDR"],
        metrics_addr=free["METRICS_ADDR"],
    )
    with pytest.raises(Unavailable) as caught:
        serve(app, chosen)
    assert setting in caught.value.message
    assert f"port {taken[setting].port} is in use" in caught.value.message
    assert caught.value.facts["field"] == setting


def test_the_generated_code_is_what_the_proto_files_say():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "proto.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
