"""A run that is started beside an idle worker is that worker's at once; otherwise it goes the way of all runs."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from kronos import Engine, step, workflow
from kronos.engine.requests import Requests
from kronos.errors import Unavailable
from kronos.kernel.ids import DefinitionId
from kronos.ports.queue import RunRequest
from kronos.settings import Settings

gate = threading.Event()


@step
def double(number: int) -> int:
    return 2 * number


@step
def wait_for_the_gate(number: int) -> int:
    gate.wait(30)
    return number


@workflow(version="1")
def doubled(number: int) -> int:
    return double(number)


@workflow(version="1")
def held(number: int) -> int:
    return wait_for_the_gate(number)


@pytest.fixture
def engine(database_url, tmp_path):
    gate.clear()
    settings = Settings(data_dir=tmp_path, worker_concurrency=2)
    with Engine(workflows=[doubled, held], database_url=database_url, settings=settings) as engine:
        engine.start(doubled, {"number": 0}).result(10)
        time.sleep(0.1)  # the worker rests
        yield engine
        gate.set()


def test_a_resting_worker_takes_what_is_started_beside_it_with_its_attributes(engine):
    with psycopg.connect(engine.app.url, autocommit=True) as connection:
        connection.execute("LISTEN kronos_work")
        for number in range(10):
            handle = engine.start(doubled, {"number": number}, attributes={"desk": "fx"})
            assert handle.result(10) == 2 * number
            assert engine.app.history.run(handle.run_id).attributes == {"desk": "fx"}
            engine.app.history.verify(handle.run_id)
        announced = [each.payload for each in connection.notifies(timeout=0.1)].count("runs")
    assert announced < 10, "each was announced to strangers"


def test_many_threads_start_side_by_side_and_each_gets_its_own_run(engine):
    found: dict[int, int] = {}

    def ask(number: int) -> None:
        found[number] = engine.start(doubled, {"number": number}).result(30)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert found == {number: 2 * number for number in range(40)}


def test_a_worker_without_a_free_slot_leaves_it_to_others(engine):
    busy = [engine.start(held, {"number": number}) for number in range(8)]
    late = engine.start(doubled, {"number": 1})
    assert engine.app.history.run(late.run_id).started_at is None
    gate.set()
    assert late.result(10) == 2
    assert [handle.result(10) for handle in busy] == list(range(8))


def test_a_database_that_goes_away_is_an_error_for_who_asked_and_nothing_is_stuck(engine):
    with psycopg.connect(engine.app.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kronos intake'"
        )
    started = []
    while not started:
        try:
            started.append(engine.start(doubled, {"number": 3}))
        except Unavailable:
            time.sleep(0.05)
    assert started[0].result(20) == 6


def test_a_request_is_answered_when_the_intake_ends():
    requests = Requests()
    request = RunRequest(DefinitionId("d"), b"{}")
    assert requests.put(request, taken=False).result(0) is None
    waiting = requests.put(request, taken=True)
    assert not waiting.done()
    requests.close()
    assert waiting.result(0) is None
    assert requests.put(request, taken=True).result(0) is None
    assert requests.next() is None
