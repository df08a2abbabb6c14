"""Jobs, queues and dead letters over gRPC, from a terminal, and in the metrics."""

from __future__ import annotations

import json

import httpx
import pytest
from typer.testing import CliRunner

from kronos.cli.commands import app as commands
from kronos.client import Client
from kronos.errors import Conflict, InvalidInput, NotFound
from kronos.server import serve
from kronos.settings import Address, Settings
from tests.jobs import work

FREE = Address("127.0.0.1", 0)


@pytest.fixture(scope="module")
def server(engine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    settings = Settings(
        database_url=engine.app.url, data_dir=folder, grpc_addr=FREE, admin_addr=FREE, metrics_addr=FREE
    )
    running = serve(engine.app, settings)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server):
    with Client(str(server.grpc_address), server.token) as opened:
        yield opened


@pytest.fixture
def kronos(engine, tmp_path, monkeypatch):
    """Type a command."""
    monkeypatch.setenv("DATABASE_URL", engine.app.url)
    monkeypatch.setenv("KRONOS_DATA_DIR", str(tmp_path))

    def type_command(*arguments, fails=False):
        done = CliRunner().invoke(commands, arguments, catch_exceptions=fails)
        assert (done.exit_code != 0) == fails, done.output
        return done.exception if fails else done.stdout

    return type_command


def test_a_job_is_submitted_read_listed_and_cancelled_over_the_wire(client):
    done = client.jobs.wait(client.jobs.submit(work.echo.target, {"number": 3}, queue="wire", priority=9).id, 10)
    assert (done.state, done.output, done.priority, done.input) == ("completed", 3, 9, {"number": 3})
    later = client.jobs.submit(work.echo.target, {"number": 4}, queue="wire", delay="1h", idempotency_key="w")
    assert client.jobs.submit(work.echo.target, {"number": 4}, idempotency_key="w").id == later.id
    assert [job.id for job in client.jobs.list(queue="wire")] == [later.id, done.id]
    assert client.jobs.cancel(later.id, reason="no").state == "cancelled"
    assert client.jobs.get(later.id).reason == "no"
    with pytest.raises(Conflict, match="is cancelled already"):
        client.jobs.cancel(later.id)


def test_what_is_wrong_is_named_over_the_wire(client):
    with pytest.raises(InvalidInput, match="priority 12: give 1 to 10"):
        client.jobs.submit(work.echo.target, {"number": 1}, priority=12)
    with pytest.raises(InvalidInput, match="target is empty"):
        client.jobs.submit("", {})
    for field in ("key", "queue", "idempotency_key"):
        with pytest.raises(InvalidInput, match=f"{field} .* has a NUL"):
            client.jobs.submit(work.echo.target, {"number": 1}, **{field: "a\0"})
    with pytest.raises(InvalidInput, match=r"target .* has a NUL"):
        client.jobs.submit("a\0", {})
    with pytest.raises(InvalidInput, match=r"by .* has a NUL"):
        client.queues.pause("narrow", by="a\0")
    for field in ("reason", "error", "what"):
        with pytest.raises(InvalidInput, match=f"{field} .* has a NUL"):
            client.dead_letters.discard(**{"reason": "why", "error": "E", field: "a\0"})
    with pytest.raises(InvalidInput, match="state 'lost' is unknown; known: pending"):
        client.jobs.list(states=["lost"])
    with pytest.raises(NotFound, match="nothing is known of queue 'void'"):
        client.queues.get("void")


def test_a_queue_is_paused_limited_and_resumed_over_the_wire(client):
    assert client.queues.pause("narrow", by="ops").paused
    client.jobs.submit(work.echo.target, {"number": 3}, queue="narrow", key="k")
    limited = client.queues.limit("narrow", concurrency=2, rate=10, per="1m")
    assert (limited.concurrency, limited.key_concurrency, limited.rate, limited.rate_s) == (2, None, 10, 60.0)
    assert client.queues.get("narrow").keys == {"k": (1, 0)}
    assert "narrow" in [queue.name for queue in client.queues.list()]
    assert not client.queues.resume("narrow").paused


def test_dead_letters_are_listed_requeued_and_discarded_over_the_wire(client):
    first, second = (client.jobs.submit(work.fail.target, {"name": name}).id for name in ("w1", "w2"))
    for job_id in (first, second):
        assert client.jobs.wait(job_id, 10).state == "dead"
    assert {letter.id for letter in client.dead_letters.list(what=work.fail.target)} >= {first, second}
    assert client.dead_letters.get(first).failure.message == "nothing under w1"
    assert (work.fail.target, "LookupError") in [(each["what"], each["error"]) for each in client.dead_letters.groups()]
    assert client.dead_letters.requeue([first]) == {first: first}
    assert client.jobs.wait(first, 10).attempt == 2
    assert set(client.dead_letters.discard(error="LookupError", reason="known")) >= {first, second}
    assert client.jobs.get(second).state == "discarded"


def test_a_job_is_submitted_and_looked_at_from_a_terminal(kronos):
    typed = kronos("jobs", "submit", work.echo.target, '{"number": 5}', "--queue", "typed", "--wait", "--json")
    shown = json.loads(typed)
    assert (shown["state"], shown["output"]) == ("completed", 5)
    assert json.loads(kronos("jobs", "show", shown["id"], "--json"))["queue"] == "typed"
    assert shown["id"] in kronos("jobs", "list", "--queue", "typed", "--state", "completed")
    later = kronos("jobs", "submit", work.echo.target, '{"number": 6}', "--delay", "1h").strip()
    kronos("jobs", "cancel", later)
    assert "cancelled" in kronos("jobs", "show", later)
    assert "state 'x' is unknown" in str(kronos("jobs", "list", "--state", "x", fails=True))


def test_queues_are_looked_at_paused_and_limited_from_a_terminal(kronos):
    ahead = CliRunner().invoke(commands, ["queues", "pause", "hand"])
    assert (ahead.exit_code, "nothing of that name is known yet" in ahead.stderr) == (0, True)
    kronos("queues", "limit", "hand", "--concurrency", "3", "--rate", "5/10s")
    shown = json.loads(kronos("queues", "show", "hand", "--json"))
    assert (shown["paused"], shown["concurrency"], shown["rate"], shown["rate_s"]) == (True, 3, 5, 10.0)
    assert "hand" in kronos("queues", "list")
    kronos("queues", "resume", "hand")
    assert "write it as 100/s" in str(kronos("queues", "limit", "hand", "--rate", "fast", fails=True))


def test_dead_letters_are_decided_upon_from_a_terminal(kronos, engine, server):
    handle = engine.submit(work.fail, {"name": "t"})
    engine.app.jobs.wait(handle.job_id, 10)
    assert handle.job_id in kronos("dead", "list", "--error", "LookupError")
    assert "LookupError" in kronos("dead", "list", "--by-error")
    assert "nothing under t" in kronos("dead", "show", handle.job_id)
    address = ("--address", str(server.grpc_address), "--token", server.token)
    assert handle.job_id in kronos("dead", "requeue", handle.job_id, *address)
    engine.app.jobs.wait(handle.job_id, 10)
    kronos("dead", "discard", handle.job_id, "--reason", "seen")
    assert handle.status.reason == "seen"


def test_jobs_by_queue_and_state_are_in_the_metrics(server, engine):
    engine.app.queues.pause("watched")
    engine.submit(work.echo, {"number": 1}, queue="watched")
    text = httpx.get(f"http://{server.metrics_address}/metrics", timeout=10).text
    assert 'kronos_jobs{queue="watched",state="pending"} 1.0' in text


def test_a_value_that_json_does_not_know_is_printed_as_every_record_writes_it(kronos, engine):
    handle = engine.submit(work.share, {"whole": 0})
    engine.app.jobs.wait(handle.job_id, 10)
    assert json.loads(kronos("jobs", "show", handle.job_id, "--json"))["output"] == {"$float": "nan"}
