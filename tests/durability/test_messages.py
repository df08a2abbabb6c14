"""Messages reach their runs once and in order, whoever dies while they are sent."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kronos import Kronos
from kronos.app.messages import pending_approvals
from kronos.core.events import expand
from kronos.errors import Conflict, Unavailable
from kronos.settings import read_settings
from tests.durability import flows
from tests.durability.audit import audit
from tests.durability.scene import LEASE_S, Fleet, Scene, until
from tests.durability.test_postgres_kills import Server

pytestmark = [pytest.mark.durability, pytest.mark.timeout(100)]


def send_all(app: Kronos, run: str, dice: random.Random, *, gap_s: float) -> None:
    """Send the numbers, each as often as it takes to know that it was accepted."""
    for number in range(flows.NUMBERS):
        while True:
            try:
                app.signal(run, "n", number, key=f"n{number}")
                break
            except Unavailable:
                time.sleep(0.05)
        time.sleep(dice.uniform(0, gap_s))


def check(app: Kronos, run: str) -> None:
    assert app.wait(run, 30).output == b"[%s]" % b",".join(b"%d" % n for n in range(flows.NUMBERS)), run
    facts = [fact for event in app.history.events(run) for fact in expand(event)]
    said = [fact.facts for fact in facts if fact.kind == "run_signalled"]
    assert [each.key for each in said if each.signal] == [f"n{number}" for number in range(flows.NUMBERS)]
    assert [each.by for each in said if not each.signal] == ["ada"]
    takes = {fact.step: fact.facts.signal for fact in facts if fact.kind == "step_completed" and fact.facts.signal}
    assert len(set(takes.values())) == flows.NUMBERS
    app.history.verify(run)


def approve_all(app: Kronos, runs: list[str]) -> None:
    for run in runs:
        until(lambda run=run: pending_approvals(app.history.state_at(run)), 30, f"run {run} does not ask")  # type: ignore[misc]
        app.approve(run, by="ada", reason="fine")


def test_messages_sent_while_owners_die_arrive_once_and_in_order(scene: Scene, seed: int) -> None:
    dice = random.Random(seed)
    scene.app.serve(flows.listening)
    worker, spare = scene.fleet.worker(), scene.fleet.warm()
    runs = [scene.app.start(flows.listening) for _ in range(4)]
    senders = [
        threading.Thread(target=send_all, args=(scene.app, run, random.Random(dice.random())), kwargs={"gap_s": 0.4})
        for run in runs
    ]
    for sender in senders:
        sender.start()
    for _ in range(2):
        time.sleep(dice.uniform(0.1, 0.6))
        worker.kill()
        worker, spare = spare.begin(), scene.fleet.warm()
        time.sleep(LEASE_S)
    for sender in senders:
        sender.join()
    approve_all(scene.app, runs)
    for run in runs:
        check(scene.app, run)
    audit(scene.fleet.url)
    rows = scene.sql("SELECT inbox_n, inbox_seen, takeovers FROM kronos.runs")
    assert all(sent == seen and takeovers < 3 for sent, seen, takeovers in rows)
    assert scene.sql("SELECT count(*) FROM kronos.run_inbox") == [(0,)]
    with pytest.raises(Conflict, match="completed already"):
        scene.app.signal(runs[0], "n", 99)


def test_waiting_runs_and_their_messages_outlive_a_kill_of_postgres(data_folder: Path, tmp_path: Path) -> None:
    server = Server(data_folder)
    settings = replace(read_settings({}), data_dir=tmp_path / "client", lease=LEASE_S)
    with (
        Fleet(server.url, tmp_path) as fleet,
        Kronos.open(settings, database_url=server.url, workflows=[flows.listening]) as app,
    ):
        scene = Scene(app, fleet)
        fleet.worker()
        runs = [app.start(flows.listening) for _ in range(4)]
        until(lambda: scene.sql("SELECT count(*) FROM kronos.runs WHERE phase = 'waiting'") == [(4,)], 20, "not parked")
        senders = [
            threading.Thread(target=send_all, args=(app, run, random.Random(1)), kwargs={"gap_s": 0.1}) for run in runs
        ]
        for sender in senders:
            sender.start()
        time.sleep(0.2)
        server.kill(with_backends=True)
        server.restart()
        for sender in senders:
            sender.join()
        scene.reconnect()
        approve_all(app, runs)
        for run in runs:
            check(app, run)
