"""A worker is cut off in the middle of a COPY: its packets vanish, its backends wait, another takes over in time."""

from __future__ import annotations

import json
import time

import pytest

from tests.durability import flows
from tests.durability.audit import audit
from tests.durability.flows import Order
from tests.durability.network import Network
from tests.durability.proxy import Fault, Proxy
from tests.durability.scene import LEASE_S, Scene, until

pytestmark = [pytest.mark.durability, pytest.mark.timeout(100)]

RUNS = 40


def test_a_worker_that_is_cut_off_inside_a_copy_is_replaced_in_time_and_comes_back_as_another(scene: Scene) -> None:
    fleet = scene.fleet
    with Network() as network, Proxy(fleet.url, host=network.here) as proxy:
        cut_off = fleet.node("worker", url=proxy.url, before=network.inside)
        other = fleet.warm()
        until(lambda: len(scene.app.nodes.list()) == 1, 30, "it did not begin")
        scene.app.start_many(flows.storm, [Order(number, pace_ms=60) for number in range(RUNS)])
        until(lambda: scene.sql("SELECT count(*) FROM kronos.events")[0][0] > 100, 15, "nothing happens")
        ((doomed,),) = scene.sql("SELECT incarnation FROM kronos.nodes")
        fault = proxy.arm(Fault("kronos flush", b"copy data", "stall"))
        assert fault.fired.wait(10)
        network.cut()
        cut = time.monotonic()
        other.begin(wait=False)
        fault.release.set()  # the rows that were on their way arrive; what would end the COPY does not
        until(lambda: not _owned(scene, doomed), 15, "nobody took over", every_s=0.01)
        took_s = time.monotonic() - cut
        ((dead_at,),) = scene.sql(
            "SELECT (extract(epoch FROM dead_at) * 1e9)::bigint FROM kronos.incarnations WHERE id = %s", doomed
        )
        assert _backends(scene, doomed) == 0, "a backend of the dead worker still waits inside its COPY"
        scene.await_all(40)
        network.heal()
        until(lambda: _lives(scene, cut_off.pid) > 1, 20, "it did not come back as another")
        assert cut_off.process.poll() is None
        assert other.process.poll() is None
    runs = audit(fleet.url)
    assert len(runs) == RUNS
    assert {run.phase for run in runs.values()} == {"completed"}
    assert {run.output["value"] for run in runs.values()} == {flows.storm_result(number) for number in range(RUNS)}
    late = [
        (run.id, step)
        for run in runs.values()
        for _, _, kind, step, _, _, body, _ in run.rows
        if kind == "step_completed"
        and (facts := json.loads(body)).get("worker") == doomed
        and facts["finished"] > dead_at
    ]
    assert not late, "the dead incarnation has recorded something after its death"
    print(f"taken over {took_s:.2f} s after the cut, lease {LEASE_S} s")
    # lease 1 s + 1 s; two cores that also run Postgres and this test are given one more second
    assert took_s <= 3.0


def _owned(scene: Scene, incarnation: int) -> bool:
    return bool(scene.sql("SELECT 1 FROM kronos.runs WHERE owner = %s LIMIT 1", incarnation))


def _backends(scene: Scene, incarnation: int) -> int:
    (row,) = scene.sql(
        """SELECT count(*) FROM kronos.incarnation_backends b
           JOIN pg_stat_activity a ON a.pid = b.pid AND a.backend_start = b.backend_start WHERE b.incarnation = %s""",
        incarnation,
    )
    return int(row[0])


def _lives(scene: Scene, pid: int) -> int:
    (row,) = scene.sql("SELECT count(*) FROM kronos.incarnations WHERE pid = %s", pid)
    return int(row[0])
