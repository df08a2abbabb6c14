"""Fills reach a declared sink once, whole and in order; replay reaches none; a sink that fails is no lost fill."""

from __future__ import annotations

import json
import os
import time
from decimal import Decimal

import pytest

import kronos
from kronos.engine.context import Services, StepContext
from kronos.engine.tasks import Task
from kronos.flows import sinks
from kronos.kernel.ids import RunId, StepName
from kronos.trading import SmaCross
from tests.outputs.test_notebook import walk
from tests.terminal import type_here


@pytest.fixture(scope="module")
def typed(module_database_url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sinks")
    walk(2_000).rename_axis("time").to_csv(folder / "bars.csv")
    environment = {
        **os.environ, "DATABASE_URL": module_database_url, "KRONOS_DATA_DIR": str(folder / "data"),
        "KRONOS_TEST_SINK": str(folder / "fills.jsonl"),
    }  # fmt: skip

    def type_command(*words: str):
        return type_here(*words, folder=folder, environment=environment)

    type_command.kept = folder / "fills.jsonl"
    return type_command


def backtest(typed, *words):
    return typed(
        "backtest", "--data", "bars.csv", "--strategy", "kronos.trading:SmaCross",
        "--set", "fast=3", "--set", "slow=9", *words, "--json",
    )  # fmt: skip


def test_fills_reach_the_sink_once_and_a_replay_reaches_none(typed):
    done = backtest(typed, "--sink", "tests.outputs.keeping:keep")
    assert done.returncode == 0, done.stderr
    run_id = json.loads(done.stdout)["run_id"]
    (line,) = typed.kept.read_text().splitlines()
    batch = json.loads(line)
    assert batch["key"] == f"{run_id}/backtest/0"
    beside = kronos.backtest(walk(2_000), SmaCross, params={"fast": 3, "slow": 9})
    assert [(f["row"], f["sub"], Decimal(f["price"])) for f in batch["fills"]] == [
        (f.row, f.sub, f.price) for f in beside.ledger.fills()
    ]
    replayed = typed("replay", run_id)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert len(typed.kept.read_text().splitlines()) == 1


def test_many_fills_come_in_batches_in_order(tmp_path, monkeypatch):
    monkeypatch.setenv("KRONOS_TEST_SINK", str(tmp_path / "fills.jsonl"))
    monkeypatch.setattr(sinks, "BATCH_FILLS", 7)
    fills = kronos.backtest(walk(2_000), SmaCross, params={"fast": 3, "slow": 9}).ledger.fills()
    task = Task(RunId("run"), StepName("step"), 1, "a:b", b"{}")
    context = StepContext(task, Services(now_ns=time.time_ns, entropy=os.urandom))
    assert sinks.deliver(context, ("tests.outputs.keeping:keep",), fills) == -(-len(fills) // 7) > 5
    kept = [json.loads(line) for line in (tmp_path / "fills.jsonl").read_text().splitlines()]
    assert [row["row"] for batch in kept for row in batch["fills"]] == [fill.row for fill in fills]
    assert [batch["key"] for batch in kept] == [f"run/step/{number}" for number in range(len(kept))]
    assert len(context.effects.learned) == len(kept)


def test_a_sink_that_fails_fails_the_step_with_its_words(typed):
    done = backtest(typed, "--sink", "tests.outputs.keeping:refuse")
    assert done.returncode == 1
    assert json.loads(done.stdout)["failure"]["message"] == "the ledger of the house does not answer"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("keep", "sink 'keep' is not module:function"),
        ("no.such:keep", "No module named 'no'"),
        ("tests.outputs.keeping:nope", "has no function 'nope'"),
        ("tests.outputs.keeping:not_callable", "has no function 'not_callable'"),
    ],
)
def test_a_sink_that_is_none_is_told_before_a_run_is_on_record(typed, name, message):
    done = backtest(typed, "--sink", name)
    assert done.returncode == 2
    assert message in done.stderr
