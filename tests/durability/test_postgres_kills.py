"""Postgres is killed (-9), sometimes with every backend, under a worker that lives on."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from kronos import Kronos
from kronos.errors import Unavailable
from kronos.settings import read_settings
from kronos.storage.embedded import EmbeddedPostgres
from tests.durability.scene import LEASE_S, Fleet, Scene
from tests.durability.storm import Storm

pytestmark = [pytest.mark.durability, pytest.mark.timeout(150)]

KILLS = 10


class Server:
    """An embedded server that can be killed."""

    def __init__(self, folder: Path) -> None:
        self._postgres = EmbeddedPostgres(folder)
        self.url = self._postgres.start()

    def kill(self, *, with_backends: bool) -> None:
        pid = self._postgres.server_pid()
        assert pid is not None
        children = psutil.Process(pid).children(recursive=True) if with_backends else []
        os.kill(pid, signal.SIGKILL)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()

    def restart(self) -> int:
        """Start again, trying until the old backends have let go of the shared memory; return the tries it took."""
        deadline = time.monotonic() + 30
        tries = 0
        while True:
            tries += 1
            try:
                assert self._postgres.start() == self.url
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return tries


@pytest.fixture
def server(data_folder: Path) -> Server:
    return Server(data_folder)


def test_runs_survive_ten_kills_of_postgres(server: Server, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    settings = replace(read_settings({}), data_dir=tmp_path / "client", lease=LEASE_S)
    with Fleet(server.url, tmp_path) as fleet, Kronos.open(settings, database_url=server.url) as app:
        scene = Scene(app, fleet)
        worker = fleet.worker()
        storm = Storm(scene, dice)
        storm.top_up()
        tries = []
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.1, 1.4))
            server.kill(with_backends=dice.random() < 0.5)
            time.sleep(dice.choice([0.0, 0.3, 1.2]))  # shorter and longer than the lease
            tries.append(server.restart())
            storm.top_up()
        scene.await_all(60)
        assert worker.process.poll() is None, "the worker outlives its database"
        storm.check(scene, at_least=200)
        incarnations = scene.sql("SELECT count(*) FROM kronos.incarnations")
        print(f"tries to restart {tries}; lives of the one worker: {incarnations[0][0]}")
