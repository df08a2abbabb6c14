"""Restored checkpoints come to the recorded end; what does not is told, and fails a strict recovery."""

from __future__ import annotations

import json
import os

import pytest

import kronos
from kronos import Engine
from tests.outputs.drifting import Drifting
from tests.outputs.test_notebook import walk
from tests.terminal import type_here


@pytest.fixture(scope="module")
def typed(module_database_url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recovery")
    environment = {**os.environ, "DATABASE_URL": module_database_url, "KRONOS_DATA_DIR": str(folder / "data")}
    with Engine(database_url=module_database_url, data_dir=folder / "data") as engine:
        run_id = kronos.backtest(walk(30_000), Drifting, params={"fast": 3, "slow": 9}).push(engine)
        assert engine.app.wait(run_id, 60).phase.value == "completed"

    def type_command(*words: str, **more: str):
        return type_here(*words, folder=folder, environment={**environment, **more})

    return type_command, run_id


def test_a_restore_and_its_suffix_equal_the_full_run(typed):
    command, run_id = typed
    done = command("recover", run_id, "--checkpoints", "2", "--strict", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert 1 <= len(found) <= 2
    for each in found:
        assert each["ok"], each
        assert 0 < each["from_row"] < each["to_row"] == 30_000
        assert each["blocks"] >= 1


def test_a_suffix_that_differs_is_told_and_fails_a_strict_recovery(typed):
    command, run_id = typed
    told = command("recover", run_id, "--checkpoints", "1", "--json", KRONOS_TEST_DRIFT="1")
    assert told.returncode == 0, told.stderr
    (found,) = json.loads(told.stdout)
    assert not found["ok"]
    assert "from the record, first in rows 24576 to" in found["detail"]
    strict = command("recover", run_id, "--checkpoints", "1", "--strict", KRONOS_TEST_DRIFT="1")
    assert strict.returncode == 1
    assert "0 of 1 came to the recorded end" in strict.stderr
