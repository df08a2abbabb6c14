"""A whole server on free ports over a real database, and a worker whose steps wait until a test lets them go."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import psycopg
import pytest

from kronos._proto.v1 import service_pb2_grpc
from kronos.app import Kronos, WorkerProcess
from kronos.core.decorators import step, workflow
from kronos.server import RunningServer, serve
from kronos.settings import Address, Settings

FREE = Address("127.0.0.1", 0)
GATE_S = 30.0


@dataclass
class Greeting:
    message: str
    times: int = 1


gates: dict[str, threading.Event] = {}


@step
def shout(message: str) -> dict[str, Any]:
    return {"text": message.upper(), "big": 9007199254740993}


@step
def repeat(shouted: dict[str, Any], times: int) -> list[str]:
    gate = gates.get(shouted["text"])
    assert gate is None or gate.wait(GATE_S), "the test never opened the gate"
    return [shouted["text"]] * times


@step
def frame(lines: list[str]) -> dict[str, str]:
    return {
        "html": f"<!doctype html><title>r</title><style>p{{color:rgb(1, 2, 3)}}</style><p>{lines[0]}</p>"
        "<script>document.title='ran'</script>"
    }


@workflow(version="1")
def greet(request: Greeting) -> dict[str, str]:
    return frame(repeat(shout(request.message), request.times))


@step(retries=1, backoff="10ms")
def stumble(message: str) -> str:
    raise ValueError(f"no way to say {message!r} <b>loudly</b>")


@workflow(version="1")
def failing(request: Greeting) -> str:
    return stumble(request.message)


def settings_for(url: str, folder: Path) -> Settings:
    return Settings(database_url=url, data_dir=folder, grpc_addr=FREE, admin_addr=FREE, metrics_addr=FREE, lease=5.0)


@pytest.fixture(scope="module")
def shared_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """A database that the tests of one module share: starting a server for each would cost a second a test."""
    name = f"kronos_server_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY")
        yield f"{postgres_url.partition('?')[0].rpartition('/')[0]}/{name}" + (
            f"?{postgres_url.partition('?')[2]}" if "?" in postgres_url else ""
        )
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def app(shared_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kronos]:
    settings = settings_for(shared_url, tmp_path_factory.mktemp("server"))
    with Kronos.open(settings, workflows=[greet, failing]) as opened:
        yield opened


@pytest.fixture(scope="module")
def running_worker(app: Kronos) -> Iterator[WorkerProcess]:
    process = app.worker().start()
    yield process
    process.stop(5)


@pytest.fixture
def worker(running_worker: WorkerProcess) -> WorkerProcess:
    return running_worker


@pytest.fixture(scope="module")
def server(app: Kronos) -> Iterator[RunningServer]:
    with serve(app) as running:
        yield running


@pytest.fixture
def fresh(database_url: str, tmp_path: Path) -> Iterator[RunningServer]:
    """A server of this test alone, on an empty database."""
    with Kronos.open(settings_for(database_url, tmp_path)) as opened, serve(opened) as running:
        yield running


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds the step `repeat` of the run whose message is "held"."""
    gates["HELD"] = threading.Event()
    yield gates["HELD"]
    gates.pop("HELD").set()


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx.Client]:
    """A caller with the token."""
    headers = {"authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=server.http_url, headers=headers, trust_env=False) as client:
        yield client


@pytest.fixture
def stranger(server: RunningServer) -> Iterator[httpx.Client]:
    """A caller without the token."""
    with httpx.Client(base_url=server.http_url, trust_env=False) as client:
        yield client


@pytest.fixture
def rpc(server: RunningServer) -> Iterator[Any]:
    """The service; the token is given call by call."""
    with grpc.insecure_channel(str(server.grpc_address)) as channel:
        yield service_pb2_grpc.KronosServiceStub(channel)


@pytest.fixture
def token(server: RunningServer) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {server.token}")]


@pytest.fixture(scope="module")
def done(app: Kronos, running_worker: WorkerProcess) -> str:
    """The id of a run that has completed."""
    run_id = app.start(greet, Greeting("hello", 2))
    assert app.wait(run_id, 20).phase == "completed"
    return run_id


@pytest.fixture(scope="module")
def failed(app: Kronos, running_worker: WorkerProcess) -> str:
    """The id of a run whose step failed twice."""
    run_id = app.start(failing, Greeting("hush"))
    assert app.wait(run_id, 20).phase == "failed"
    return run_id
