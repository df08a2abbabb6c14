"""Why a run is not moving, asked over the wire."""

from __future__ import annotations

import pytest

from kronos.client import Client
from kronos.errors import InvalidInput, NotFound


@pytest.fixture
def client(server):
    with Client(str(server.grpc_address), server.token) as client:
        yield client


def test_a_run_explains_itself_over_the_wire_as_it_does_here(client, app, failed):
    found = client.upkeep.explain(failed)
    assert [(r.topic, r.level, r.what, r.do) for r in found] == [
        (r.topic, r.level, r.what, r.do) for r in app.doctor(failed)
    ]
    assert found[0].what.startswith("it is failed at step 'stumble': ValueError: no way to say 'hush'")


def test_what_is_no_run_is_refused_by_name(client):
    with pytest.raises(InvalidInput, match="run id 'seven' is not a UUID"):
        client.upkeep.explain("seven")
    with pytest.raises(InvalidInput, match="run_id is empty"):
        client.upkeep.explain("")
    with pytest.raises(NotFound, match="019a0000"):
        client.upkeep.explain("019a0000-0000-7000-8000-000000000000")


def test_a_run_is_kept_as_its_start_says(client, app):
    app.upkeep.retention.set("brief", keep_s=86_400.0)
    run = client.start("greet", {"message": "kept briefly"}, retention="brief")
    assert {each.name: each.runs for each in app.upkeep.retention.classes()}["brief"] == 1
    assert app.wait(run, 20).failure is None
    with pytest.raises(InvalidInput, match="retention class 'breif' is unknown; known: standard, brief"):
        client.start("greet", {"message": "x"}, retention="breif")
