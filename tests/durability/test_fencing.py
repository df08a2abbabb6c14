"""A worker that was declared dead can record nothing, whatever it was doing and whenever it wakes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from pathlib import Path

import pytest

from kronos import Kronos
from kronos.errors import LeaseLost
from kronos.ports.queue import EventRow, Flush, Head
from kronos.settings import read_settings
from kronos.storage.queue import PostgresQueue
from tests.durability import flows
from tests.durability.audit import audit
from tests.durability.flows import Order
from tests.durability.proxy import Fault, Proxy
from tests.durability.scene import Scene, until

pytestmark = [pytest.mark.durability, pytest.mark.timeout(60)]


def test_a_flush_that_hangs_on_a_dead_link_is_ended_and_records_nothing(database_url: str, tmp_path: Path) -> None:
    with Kronos.open(read_settings({}), database_url=database_url, data_dir=tmp_path, workflows=[flows.storm]) as app:
        (run,) = app.start_many(flows.storm, [Order(1)])
        definition = app.history.run(run).definition
        with Proxy(database_url) as proxy:
            partitioned, other = PostgresQueue(proxy.url), PostgresQueue(database_url)
            doomed = partitioned.register(name="partitioned", lease_s=0.3)
            (claimed,) = partitioned.claim(doomed, [definition], 1)
            fault = proxy.arm(Fault("kronos flush", b"COMMIT", "stall"))
            raised: list[BaseException] = []
            stuck = threading.Thread(target=_flush, args=(partitioned, doomed, claimed.id, raised), daemon=True)
            stuck.start()
            assert fault.fired.wait(10)
            began = time.monotonic()
            until(lambda: other.reap() == 1, 15, "the run was never given back", every_s=0.1)
            print(f"given back after {time.monotonic() - began:.1f} s")
            fault.release.set()
            stuck.join(15)
            assert [type(error) for error in raised] == [LeaseLost]
            assert app.history.events(run) == []
            taker = other.register(name="taker", lease_s=10)
            (again,) = other.claim(taker, [definition], 1)
            assert (again.id, again.lost_owner) == (run, doomed)
            other.close()
            partitioned.close()


def test_a_refused_end_keeps_the_commands_that_it_was_made_of(database_url: str, tmp_path: Path) -> None:
    with Kronos.open(read_settings({}), database_url=database_url, data_dir=tmp_path, workflows=[flows.storm]) as app:
        (run,) = app.start_many(flows.storm, [Order(1)])
        queue = PostgresQueue(database_url)
        owner = queue.register(name="owner", lease_s=10)
        queue.claim(owner, [app.history.run(run).definition], 1)
        app.cancel(run)
        (seen,) = queue.commands(owner)
        app.cancel(run)  # unseen by the end below
        head = Head(uuid.UUID(run), 1, b"h" * 32, 1, time.time_ns(), "cancelled")
        row = EventRow(1, uuid.UUID(run), 1, 1, "run_cancelled", "", 0, head.at_ns, b"{}", head.hash)
        verdict = queue.flush(owner, Flush(1, rows=[row], ended=[head], drained_by_end=[seen.id]))
        assert verdict.refused == {uuid.UUID(run)}
        assert len(queue.commands(owner)) == 2, "had the owner died here, the first cancel would be lost"
        assert app.history.events(run) == []
        queue.close()


def test_a_worker_that_wakes_after_its_death_records_nothing_and_lives_on_as_another(scene: Scene) -> None:
    fleet = scene.fleet
    zombie = fleet.worker()
    scene.app.start_many("storm", [Order(number, pace_ms=30) for number in range(60)])
    until(lambda: scene.sql("SELECT count(*) FROM kronos.events")[0][0] > 100, 10, "nothing happens")
    os.kill(zombie.process.pid, signal.SIGSTOP)
    fleet.worker()
    until(lambda: _dead_at(scene, zombie.incarnation) is not None, 10, "it was not declared dead")
    os.kill(zombie.process.pid, signal.SIGCONT)
    scene.await_all(30)
    assert zombie.process.poll() is None
    dead_at = _dead_at(scene, zombie.incarnation)
    assert dead_at is not None
    runs = audit(fleet.url)
    assert {run.phase for run in runs.values()} == {"completed"}
    late = [
        (run.id, step, facts["finished"])
        for run in runs.values()
        for _, _, kind, step, _, _, body, _ in run.rows
        if kind == "step_completed"
        and (facts := json.loads(body)).get("worker") == zombie.incarnation
        and facts["finished"] > dead_at
    ]
    assert not late
    until(
        lambda: scene.sql("SELECT count(*) FROM kronos.incarnations WHERE pid = %s", zombie.process.pid)[0][0] == 2,
        10,
        "it did not begin a new life",
    )


def _flush(queue: PostgresQueue, incarnation: int, run: str, raised: list[BaseException]) -> None:
    row = EventRow(1, uuid.UUID(run), 1, 1, "run_started", "", 0, time.time_ns(), b"{}", b"h" * 32)
    try:
        queue.flush(incarnation, Flush(1, rows=[row]))  # type: ignore[arg-type]
    except BaseException as error:
        raised.append(error)


def _dead_at(scene: Scene, incarnation: int) -> int | None:
    query = "SELECT (extract(epoch FROM dead_at) * 1e9)::bigint FROM kronos.incarnations WHERE id = %s"
    return scene.sql(query, incarnation)[0][0]
