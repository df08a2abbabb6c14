"""/api/v1: what it says of a run, and that its own document describes it truly."""

from __future__ import annotations

import json
import time

import httpx
import jsonschema
import pytest

from kronos.core.events import expand
from kronos.server.timelines import BARS_MAX, MARKS_MAX
from kronos.settings import Address, Settings
from kronos.storage.embedded import EmbeddedPostgres

UNKNOWN = "019a0000-0000-7000-8000-000000000000"


def schema_of(document, path, method="get", status="200"):
    content = document["paths"][path][method]["responses"][status]["content"]
    return {**content["application/json"]["schema"], "components": document["components"]}


def step(state, name):
    left_out = dict.fromkeys(("input", "input_origin", "input_matches", "output", "finished", "failure"))
    return left_out | next(each for each in state["steps"] if each["step"] == name)


def test_every_answer_fits_the_openapi_document(http, done, failed):
    document = http.get("/api/v1/openapi.json").json()
    run = "/api/v1/runs/{run_id}"
    for path, url in [
        ("/api/v1/runs", "/api/v1/runs?limit=1&phase=completed&phase=failed"),
        ("/api/v1/workflows", "/api/v1/workflows"),
        *(
            (run + more, f"/api/v1/runs/{each}{more}")
            for each in (done, failed)
            for more in ("", "/state", "/timeline", "/lineage")
        ),
        (f"{run}/events", f"/api/v1/runs/{done}/events?facts=true&limit=7"),
        (f"{run}/events/{{seq}}", f"/api/v1/runs/{done}/events/3"),
        (f"{run}/payload", f"/api/v1/runs/{done}/payload?part=output&step=shout"),
    ]:
        answer = http.get(url)
        assert answer.status_code == 200, answer.text
        jsonschema.validate(answer.json(), schema_of(document, path))
    refused = http.get("/api/v1/runs?limit=0")
    jsonschema.validate(refused.json(), schema_of(document, "/api/v1/runs", status="default"))


def test_the_document_lists_every_route_and_no_other(http, server):
    from kronos.server.endpoints import ENDPOINTS
    from kronos.server.openapi import path_of

    document = http.get("/api/v1/openapi.json").json()
    routed = {(path_of(each.path), each.method.lower()) for each in ENDPOINTS}
    routed |= {("/api/v1/openapi.json", "get"), ("/api/v1/runs/{run_id}/stream", "get")}
    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == routed
    for path, method in routed:
        answer = http.request(method, path.replace("{run_id}", UNKNOWN).replace("{seq}", "1"))
        assert answer.status_code != 405
        assert answer.json().get("error", {}).get("message", "") != f"there is nothing at {path}"


def test_every_documented_parameter_is_accepted_and_an_undocumented_one_is_refused_by_name(http, done):
    document = http.get("/api/v1/openapi.json").json()
    values = {
        "phase": "completed",
        "workflow": "greet",
        "cursor": done,
        "payloads": "none",
        "part": "input",
        "step": "shout",
        "where": "symbol=BTC",
        "name": "steps",
    }
    for path, methods in document["paths"].items():
        for parameter in methods.get("get", {}).get("parameters", []):
            if parameter["in"] == "query" and not path.endswith("/stream"):
                name = parameter["name"]
                query = (
                    {"part": "input", name: values.get(name, "1")}
                    if "payload" in path
                    else {name: values.get(name, "1")}
                )
                answer = http.get(path.replace("{run_id}", done), params=query)
                assert answer.status_code == 200, (path, name, answer.text)
    refused = http.get("/api/v1/runs", params={"fase": "completed"})
    assert refused.status_code == 400
    assert "'fase'" in refused.json()["error"]["message"]


def test_the_state_at_every_position_knows_nothing_of_what_came_later(http, app, done):
    facts = [fact for event in app.history.events(done) for fact in expand(event)]
    completed_at = {fact.step: fact.seq for fact in facts if fact.kind == "step_completed"}
    output_at = {fact.step: fact.seq for fact in facts if fact.kind == "step_output_recorded"}
    scheduled_at = {fact.step: fact.seq for fact in facts if fact.kind == "step_scheduled"}
    for seq in range(len(facts) + 1):
        state = http.get(f"/api/v1/runs/{done}/state", params={"seq": seq}).json()
        assert state["seq"] == seq
        assert state["head_seq"] == len(facts)
        for name, completed in completed_at.items():
            view = step(state, name)
            assert (view["status"] == "completed") == (completed <= seq)
            assert (view["status"] == "pending") == (scheduled_at[name] > seq)
            assert (view["output"] is not None) == (output_at[name] <= seq)
            assert (view["finished"] is not None) == (output_at[name] <= seq)
        assert (state["output"] is not None) == (seq == len(facts))


def test_a_steps_input_is_bound_from_what_is_known_and_equals_the_recorded_hash(http, app, done):
    facts = [fact for event in app.history.events(done) for fact in expand(event)]
    shouted = next(fact.seq for fact in facts if fact.step == "shout" and fact.kind == "step_completed")
    before = step(http.get(f"/api/v1/runs/{done}/state", params={"seq": shouted - 2}).json(), "repeat")
    assert before["input"] is None
    now = step(http.get(f"/api/v1/runs/{done}/state", params={"seq": shouted}).json(), "repeat")
    assert (now["status"], now["input_origin"], now["input_matches"]) == ("pending", "derived", None)
    end = step(http.get(f"/api/v1/runs/{done}/state").json(), "repeat")
    assert (end["input_origin"], end["input_matches"]) == ("recorded", True)
    assert end["input"]["json"] == '{"shouted":{"big":9007199254740993,"text":"HELLO"},"times":2}'


def test_a_retried_step_shows_each_of_its_attempts_as_of_the_position(http, app, failed):
    facts = [fact for event in app.history.events(failed) for fact in expand(event)]
    retried = next(fact.seq for fact in facts if fact.kind == "step_retried")
    early = step(http.get(f"/api/v1/runs/{failed}/state", params={"seq": retried}).json(), "stumble")
    assert (early["status"], early["attempt"], len(early["attempts"])) == ("retrying", 1, 1)
    late = step(http.get(f"/api/v1/runs/{failed}/state").json(), "stumble")
    assert [each["status"] for each in late["attempts"]] == ["failed", "failed"]
    assert all("loudly" in each["failure"]["message"] for each in late["attempts"])
    assert late["failures"] == 2


def test_a_large_value_is_cut_says_so_and_is_whole_behind_its_link(http, app, worker):
    run_id = app.start("greet", {"message": "é" * 40_000})
    app.wait(run_id, 20)
    view = step(http.get(f"/api/v1/runs/{run_id}/state", params={"payloads": "shout"}).json(), "shout")
    assert view["output"]["truncated"]
    assert len(view["output"]["json"].encode()) <= 4_096
    whole = http.get(view["output"]["href"])
    assert len(whole.content) == view["output"]["bytes"]
    assert whole.json()["text"] == "É" * 40_000


def test_events_come_a_page_at_a_time_without_a_gap(http, done):
    found, after = [], 0
    while True:
        page = http.get(f"/api/v1/runs/{done}/events", params={"after": after, "limit": 4}).json()
        found += [event["seq"] for event in page["events"]]
        if not page["events"]:
            break
        after = found[-1]
    assert found == list(range(1, page["head_seq"] + 1))


def test_a_timeline_of_many_steps_stays_below_its_bound_and_says_that_it_merged():
    from kronos.core.events import Event, Kind, StepFacts
    from kronos.server.timelines import _Drawing

    drawing = _Drawing()
    count = 9_001
    for i in range(count):
        facts = StepFacts(scheduled=i * 10, started=i * 10 + 1, finished=i * 10 + 9)
        drawing.add(
            Event(
                seq=5 * (i + 1), count=5, kind=Kind.STEP_COMPLETED, step=f"s{i}", attempt=1, at=i * 10 + 9, facts=facts
            )
        )
    shape = drawing.shape([f"s{i}" for i in range(count)])
    assert len(shape.bars) <= BARS_MAX
    assert len(shape.marks) <= MARKS_MAX
    assert shape.merged
    assert sum(bar.merged for bar in shape.bars) == count
    assert [mark.first_seq for mark in shape.marks[1:]] == [mark.last_seq + 1 for mark in shape.marks[:-1]]
    assert (shape.marks[0].first_seq, shape.marks[-1].last_seq) == (1, 5 * count)


@pytest.mark.parametrize(
    ("url", "status", "code", "words"),
    [
        (f"/api/v1/runs/{UNKNOWN}", 404, "not_found", [UNKNOWN]),
        (f"/api/v1/runs/{UNKNOWN}/stream", 404, "not_found", [UNKNOWN]),
        ("/api/v1/runs/nonsense/state", 400, "invalid_input", ["'nonsense'"]),
        ("/api/v1/runs?phase=asleep", 400, "invalid_input", ["'phase'", "asleep"]),
        ("/api/v1/runs?limit=many", 400, "invalid_input", ["'limit'", "'many'"]),
        ("/api/v1/runs?limit=1&limit=2", 400, "invalid_input", ["'limit'", "2 times"]),
        ("/api/v1/runs/{run}/state?seq=9999", 400, "invalid_input", ["9999", "last event"]),
        ("/api/v1/runs/{run}/state?seq=-1", 400, "invalid_input", ["'seq'"]),
        ("/api/v1/runs/{run}/state?payloads=shuot", 404, "not_found", ["'shuot'", "shout"]),
        ("/api/v1/runs/{run}/events/9999", 400, "invalid_input", ["9999"]),
        ("/api/v1/runs/{run}/payload?part=output&step=frame&seq=1", 400, "invalid_input", ["'frame'", "seq 1"]),
        ("/api/v1/runs/{run}/payload", 400, "invalid_input", ["'part'"]),
        ("/api/v1/nothing", 404, "not_found", ["/api/v1/nothing"]),
    ],
)
def test_a_refusal_has_its_status_code_and_words(http, done, url, status, code, words):
    answer = http.get(url.replace("{run}", done))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert set(error) == {"code", "message", "facts"}
    for word in words:
        assert word in error["message"]


def stream(http, run_id, *, seconds=15.0, **headers):
    found = []
    with http.stream("GET", f"/api/v1/runs/{run_id}/stream", headers=headers, timeout=seconds) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        message = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                message[name] = value
            elif message:
                found.append(message)
                yield message
                message = {}


def test_the_stream_brings_each_new_event_once_and_ends_with_the_run(http, app, worker, gate):
    run_id = app.start("greet", {"message": "held"})
    seqs, opened = [], False
    for message in stream(http, run_id):
        if message.get("event") == "update":
            update = json.loads(message["data"])
            seqs += [event["seq"] for event in update["events"]]
            assert message["id"] == str(seqs[-1])
        if not opened and any(seqs):
            opened = True
            gate.set()
        if message.get("event") == "end":
            break
    assert seqs == list(range(1, app.history.run(run_id).head_seq + 1))


def test_the_stream_resumes_after_the_last_event_id(http, done):
    update = next(m for m in stream(http, done, **{"Last-Event-ID": "9"}) if m.get("event") == "update")
    assert json.loads(update["data"])["events"][0]["seq"] == 10
    assert http.get(f"/api/v1/runs/{done}/stream", headers={"Last-Event-ID": "x"}).status_code == 400


def test_metrics_count_runs_and_answers(http, server, done):
    http.get("/api/v1/runs")
    text = httpx.get(f"http://{server.metrics_address}/metrics", trust_env=False).text
    assert float(text.split('kronos_runs{phase="completed"} ')[1].split()[0]) >= 1
    assert 'kronos_requests_total{method="GET",status="200",surface="http"}' in text
    assert "kronos_database_up 1.0" in text


def test_readiness_is_503_while_the_database_is_down_and_200_again_after(data_folder):
    from kronos.app import Kronos
    from kronos.server import serve

    database = EmbeddedPostgres(data_folder)
    url = database.start()
    free = Address("127.0.0.1", 0)
    chosen = Settings(database_url=url, data_dir=data_folder, grpc_addr=free, admin_addr=free, metrics_addr=free)
    with (
        Kronos.open(chosen) as app,
        serve(app) as server,
        httpx.Client(base_url=server.http_url, trust_env=False) as client,
    ):
        assert client.get("/readyz").status_code == 200
        database.stop()
        down = client.get("/readyz", timeout=15)
        assert (down.status_code, down.json()["error"]["code"]) == (503, "unavailable")
        assert client.get("/healthz").status_code == 200
        page = client.get("/", headers={"authorization": f"Bearer {server.token}"}, timeout=15)
        assert page.status_code == 503
        assert "Traceback" not in page.text
        assert "kronos_database_up 0.0" in httpx.get(f"http://{server.metrics_address}/metrics", trust_env=False).text
        EmbeddedPostgres(data_folder).start()
        deadline = time.monotonic() + 20
        while client.get("/readyz", timeout=15).status_code != 200:
            assert time.monotonic() < deadline, "readiness never came back"
            time.sleep(0.2)
