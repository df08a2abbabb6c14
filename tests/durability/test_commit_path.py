"""The connection breaks at every statement of the commit path, before it, after it and half-way through its rows.

Rule: whatever breaks, no outcome is lost, none is doubled, and no step stands half recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kronos import Engine
from kronos.settings import read_settings
from tests.durability import flows
from tests.durability.audit import audit, check_executions, read_ledger
from tests.durability.flows import Order
from tests.durability.proxy import Fault, Proxy, opening

pytestmark = [pytest.mark.durability, pytest.mark.timeout(100)]

WITHIN_S = 15
ENDING = opening("finish_runs")

WAYS = {
    "BEGIN": ("before", "after", "late"),
    "fence": ("before", "after"),
    "check_alive": ("before", "after"),
    "put_blobs": ("before", "after"),
    "refer_blobs": ("before", "after"),
    "finish_runs": ("before", "after"),
    "insert_flush": ("before", "after"),
    "copy_events": ("before", "after"),
    "copy data": ("before", "middle", "after"),
    "COMMIT": ("before", "after", "late", "middle"),
}
"""Every statement that a flush may send, and how the link breaks there; commands have a test of their own."""


def text_of(statement: str) -> bytes:
    return statement.encode() if statement in ("BEGIN", "COMMIT", "copy data") else opening(statement)


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    with Proxy(database_url) as proxy:
        yield proxy


@pytest.fixture
def engine(proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("KRONOS_TEST_LEDGER", str(tmp_path / "ledger"))
    settings = replace(read_settings({}), data_dir=tmp_path)
    with Engine(workflows=[flows.storm, flows.one_nap], database_url=proxy.url, settings=settings) as engine:
        yield engine


def test_a_link_that_breaks_at_any_statement_of_a_flush_loses_and_doubles_nothing(
    engine: Engine, proxy: Proxy, database_url: str, tmp_path: Path
) -> None:
    cases = [(statement, way, False) for statement, ways in WAYS.items() for way in ways]
    cases += [(statement, way, True) for statement in ("copy data", "COMMIT") for way in WAYS[statement]]
    number = 0
    for statement, way, at_the_end in cases:
        fault = proxy.arm(
            Fault("kronos flush", text_of(statement), way, after_text=ENDING if at_the_end else None)  # type: ignore[arg-type]
        )
        number += 1
        result = engine.start(flows.storm, Order(number, pace_ms=1)).result(timeout=WITHIN_S)
        assert result.value == flows.storm_result(number), (statement, way)
        assert fault.fired.is_set(), f"{way} {statement} was never reached"
    runs = audit(database_url)
    assert len(runs) == number
    assert all(run.completed.keys() == flows.STORM_STEPS for run in runs.values())
    wasted = check_executions(runs, read_ledger(tmp_path / "ledger"))
    assert wasted == number // 3, "each third order fails once by design; nothing else was executed twice"
    print(f"{number} faults, one life: incarnation {engine._worker.worker.incarnation}")


@pytest.mark.parametrize("way", ["before", "after", "late"])
def test_a_claim_whose_answer_is_lost_strands_no_run(engine: Engine, proxy: Proxy, database_url: str, way: str) -> None:
    fault = proxy.arm(
        Fault("kronos intake", b"COMMIT", way, after_text=opening("claim_runs"))  # type: ignore[arg-type]
    )
    result = engine.start(flows.storm, Order(1, pace_ms=1)).result(timeout=WITHIN_S)
    assert fault.fired.is_set()
    assert result.value == flows.storm_result(1)
    audit(database_url)


@pytest.mark.parametrize(
    ("statement", "way"),
    [(statement, way) for statement in ("finish_runs", "delete_inbox") for way in ("before", "after")]
    + [("copy data", "middle"), ("COMMIT", "before"), ("COMMIT", "after"), ("COMMIT", "late")],
)
def test_a_cancel_is_neither_lost_nor_doubled(
    engine: Engine, proxy: Proxy, database_url: str, statement: str, way: str
) -> None:
    handle = engine.start(flows.one_nap, Order(1, pace_ms=1_000))
    fault = proxy.arm(
        Fault(
            "kronos flush",
            text_of(statement),
            way,  # type: ignore[arg-type]
            after_text=opening("delete_inbox") if statement in ("copy data", "COMMIT") else None,
        )
    )
    engine.app.cancel(handle.run_id)
    run = engine.app.wait(handle.run_id, WITHIN_S)
    assert fault.fired.is_set()
    assert run.phase == "cancelled"
    audit(database_url)
