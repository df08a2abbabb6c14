"""A row that cannot be read costs itself alone: lists hold it, by name, and all the others."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from kronos import step, workflow
from kronos.app import Kronos
from kronos.cli.commands import app as commands
from kronos.client import Client
from kronos.errors import CorruptHistory
from kronos.ports.history import RunFilter
from kronos.server import serve
from kronos.server.reading import Reading
from kronos.settings import Address, Settings

FREE = Address("127.0.0.1", 0)


@step
def doubled(number: int) -> int:
    return 2 * number


@workflow(version="1")
def first(number: int) -> int:
    return doubled(number)


@workflow(version="2")
def second(number: int) -> int:
    return doubled(number)


@pytest.fixture
def known(database_url, tmp_path):
    with Kronos.open(database_url=database_url, data_dir=tmp_path, workflows=[first, second]) as opened:
        yield opened


@pytest.fixture
def kronos(known, tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", known.url)
    monkeypatch.setenv("KRONOS_DATA_DIR", str(tmp_path))

    def type_command(*arguments):
        done = CliRunner().invoke(commands, [*arguments, "--json"], catch_exceptions=False)
        return json.loads(done.stdout)

    return type_command


@pytest.fixture
def client(known, tmp_path):
    settings = Settings(database_url=known.url, data_dir=tmp_path, grpc_addr=FREE, admin_addr=FREE, metrics_addr=FREE)
    running = serve(known, settings)
    with Client(str(running.grpc_address), running.token) as opened:
        yield opened
    running.stop()


@pytest.mark.parametrize("column", ["graph", "sources"])
def test_a_damaged_definition_costs_the_workflow_that_it_is_of(known, owner, column, tmp_path):
    runs = [known.start(each, {"number": 1}) for each in (first, second)]
    owner.execute(f"UPDATE kronos.definitions SET {column} = '{{' WHERE workflow = 'first'")
    with Kronos.open(database_url=known.url, data_dir=tmp_path) as elsewhere:
        reading = Reading(elsewhere.history)
        lines = {line.workflow: line for line in reading.workflows().workflows}
        assert (lines["second"].steps, lines["second"].trouble) == (1, None)
        assert lines["first"].trouble
        glances = {line.id: line.glance for line in reading.runs(RunFilter()).runs}
        assert "workflow 'first', version '1', cannot be read" in glances[runs[0]]
        assert glances[runs[1]] == ""
        assert elsewhere.start("second", {"number": 2})
        with pytest.raises(CorruptHistory, match="workflow 'first', version '1', cannot be read"):
            elsewhere.start("first", {"number": 2})


def test_a_damaged_job_is_listed_as_what_it_is_among_the_others(known, owner, kronos, client):
    jobs = [known.jobs.submit(doubled, {"number": number}) for number in range(3)]
    owner.execute("UPDATE kronos.jobs SET input = '{' WHERE id = %s", (jobs[0],))
    owner.execute(
        "UPDATE kronos.jobs SET failure = '\\xff', state = 'dead', finished_at = kronos.now() WHERE id = %s", (jobs[1],)
    )
    for listed in (kronos("jobs", "list"), client.jobs.list()):
        found = {each["id"]: each for each in map(as_fields, listed)}
        assert "malformed JSON" in found[jobs[0]]["input"]["unreadable"]
        assert found[jobs[1]]["failure"]["type"] == "UnreadableRecord"
        assert found[jobs[2]]["input"] == {"number": 2}
    (dead,) = kronos("dead", "list", "--error", "UnreadableRecord")
    assert (dead["id"], dead["failure"]["type"]) == (jobs[1], "UnreadableRecord")
    assert [(each["error"], each["count"]) for each in kronos("dead", "list", "--by-error")] == [
        ("UnreadableRecord", 1)
    ]
    assert not kronos("dead", "list", "--error", "LookupError")


def test_a_damaged_run_is_listed_as_what_it_is_among_the_others(known, owner, kronos, client):
    runs = [known.start(first, {"number": number}) for number in range(3)]
    owner.execute("UPDATE kronos.runs SET input = '{' WHERE id = %s", (runs[0],))
    owner.execute("UPDATE kronos.runs SET spent = '{' WHERE id = %s", (runs[1],))
    for listed in (kronos("runs", "list")["runs"], client.list().runs):
        found = {each["run_id"]: each for each in map(as_fields, listed)}
        assert "malformed JSON" in found[runs[0]]["input"]["unreadable"]
        assert "the costs on record cannot be read" in found[runs[1]]["failure"]["message"]
        assert found[runs[2]]["input"] == {"number": 2}


def test_a_damaged_schedule_is_listed_as_what_it_is_among_the_others(known, owner, kronos, client):
    for name in ("damaged", "sound"):
        known.schedules.add(name, "0 0 1 1 *", first, {"number": 1})
    owner.execute("UPDATE kronos.schedules SET input = '{' WHERE name = 'damaged'")
    typed = {each["name"]: each["input"] for each in kronos("schedules", "list")}
    asked = {each.name: each.input for each in client.schedules.list()}
    for found in (typed, asked):
        assert "malformed JSON" in found["damaged"]["unreadable"]
        assert found["sound"] == {"number": 1}


def as_fields(record):
    if isinstance(record, dict):
        return record
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    failure = fields["failure"]
    return fields | {"failure": failure and {"type": failure.type, "message": failure.message}}
