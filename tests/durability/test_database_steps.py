"""Workers are killed (-9) at the worst instants of a database step; its rows are there once, with its outcome."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack

import pytest

from tests.durability import flows
from tests.durability.audit import audit, read_ledger
from tests.durability.flows import Order
from tests.durability.proxy import Fault, Mode, Proxy, opening
from tests.durability.scene import Scene

pytestmark = [pytest.mark.durability, pytest.mark.timeout(100)]

INSTANTS: dict[str, tuple[bytes, Mode]] = {
    "its own rows are written": (b"INSERT INTO bookings", "mute"),
    "the fence is asked for": (opening("fence"), "stall"),
    "the fence is held": (opening("check_alive_in_step"), "mute"),
    "the outcome is written": (opening("send_step_outcome"), "mute"),
    "the commit has not arrived": (b"COMMIT", "stall"),
    "the commit has happened and nobody was told": (b"COMMIT", "mute"),
}
STORM = 50
KILLS = 4


def check_bookings(scene: Scene, wanted: set[str]) -> None:
    """Each run completed, and the booking of the recorded attempt is there, once; no other is."""
    runs = audit(scene.fleet.url, workflow="booked")
    assert runs.keys() == wanted
    assert {run.phase for run in runs.values()} == {"completed"}
    booked = scene.sql("SELECT run, token FROM bookings ORDER BY run, token")
    recorded = sorted((run.id, run.completed["book"]["token"]) for run in runs.values())
    assert booked == recorded, "one row for each completed step, of the very execution that is on record"


def test_a_worker_that_dies_at_the_worst_instant_of_a_database_step_books_once(scene: Scene) -> None:
    fleet = scene.fleet
    scene.execute(flows.BOOKINGS)
    scene.app.serve(flows.booked)
    wanted = set()
    with ExitStack() as proxies:
        links = {name: proxies.enter_context(Proxy(fleet.url)) for name in INSTANTS}
        workers = {
            name: fleet.warm(url=link.url, KRONOS_LEASE="3s", WORKER_CONCURRENCY="1") for name, link in links.items()
        }
        for number, (name, (text, mode)) in enumerate(INSTANTS.items()):
            fault = links[name].arm(Fault("kronos step", text, mode))
            wanted |= set(scene.app.start_many("booked", [Order(number, pace_ms=1)]))
            workers[name].begin()
            assert fault.fired.wait(10), f"{name}: never reached"
            workers[name].kill()
        taker = fleet.worker()
        scene.await_all(30)
        assert taker.process.poll() is None
    check_bookings(scene, wanted)
    executed = sum(each.step == "book" for each in read_ledger(fleet.ledger))
    assert executed == 2 * len(INSTANTS) - 1, "only where the commit had happened was it not run again"


def test_bookings_survive_a_storm_of_kills(scene: Scene, seed: int) -> None:
    dice = random.Random(seed)
    scene.execute(flows.BOOKINGS)
    scene.app.serve(flows.booked)
    orders = [Order(number, pace_ms=dice.randrange(5, 60)) for number in range(STORM)]
    wanted = set(scene.app.start_many("booked", orders))
    worker, spare = scene.fleet.worker(), scene.fleet.warm()
    for _ in range(KILLS):
        time.sleep(dice.uniform(0.2, 0.6))
        worker.kill()
        worker, spare = spare.begin(), scene.fleet.warm()
    scene.await_all(40)
    check_bookings(scene, wanted)
    executed = sum(each.step == "book" for each in read_ledger(scene.fleet.ledger))
    print(f"{STORM} bookings, {executed} executions, {KILLS} kills")
