"""Histories as Parquet hold what the histories hold, with types."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kronos.core.events import encode_facts, expand
from kronos.core.state import Phase
from kronos.errors import InvalidInput, NotFound
from kronos.ports.history import RunFilter


def tables(folder):
    return {name: pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("runs", "events", "steps")}


def ns(folder, table, column):
    return pq.read_table(folder / f"{table}.parquet")[column].cast(pa.int64()).to_pylist()


def test_every_fact_of_a_run_is_a_row_with_its_time(app, scene, tmp_path):
    run = scene.completed[0]
    written = app.upkeep.export(tmp_path / "out", [run])
    found = tables(tmp_path / "out")["events"]
    facts = [fact for event in app.history.events(run) for fact in expand(event)]
    assert [row["seq"] for row in found] == list(range(1, len(facts) + 1))
    assert [row["kind"] for row in found] == [fact.kind for fact in facts]
    assert [row["step"] or "" for row in found] == [fact.step for fact in facts]
    assert [row["facts"].encode() for row in found] == [encode_facts(fact.facts) for fact in facts]
    assert ns(tmp_path / "out", "events", "at") == [fact.at for fact in facts]
    assert (written.runs, written.events, written.steps) == (1, len(facts), 3)


def test_every_attempt_is_a_row_with_its_output_or_its_failure(app, scene, tmp_path):
    app.upkeep.export(tmp_path, [scene.failed, scene.completed[0]])
    steps = tables(tmp_path)["steps"]
    tried = [(s["attempt"], s["status"], s["failure_type"], s["failure"]) for s in steps if s["step"] == "fails"]
    assert tried == [(1, "retried", "ValueError", "1 is disliked"), (2, "failed", "ValueError", "1 is disliked")]
    by_name = {s["step"]: s for s in steps if s["run_id"] == scene.completed[0]}
    assert json.loads(by_name["long_text"]["output"]) == "x" * 10_000, "a blob is exported as what it holds"
    assert by_name["length"]["output"] == "10000"
    assert all(s["duration_ns"] >= 0 for s in steps)
    known = app.history.state_at(scene.completed[0]).steps["length"].facts
    assert by_name["length"]["duration_ns"] == known.finished - known.started


def test_runs_have_typed_columns(app, scene, tmp_path):
    app.upkeep.export(tmp_path, [scene.forks[0]])
    schema = pq.read_schema(tmp_path / "runs.parquet")
    assert schema.field("created_at").type == pa.timestamp("ns", "UTC")
    assert schema.field("events").type == pa.int32()
    (run,) = tables(tmp_path)["runs"]
    line = app.history.run(scene.forks[0])
    assert (run["run_id"], run["phase"], run["parent"], run["parent_seq"]) == (
        line.id, "completed", line.parent, line.parent_seq
    )  # fmt: skip
    assert json.loads(run["input"]) == {"size": 10_005}
    events = tables(tmp_path)["events"]
    assert [event["seq"] for event in events] == list(range(1, line.head_seq + 1)), "of a fork, what it shares too"


def test_runs_are_chosen_by_workflow_phase_and_time(app, scene, tmp_path):
    def chosen(name, filter_, **times):
        app.upkeep.export_where(tmp_path / name, filter_, **times)
        return {row["run_id"] for row in tables(tmp_path / name)["runs"]}

    texts = {*scene.completed, *scene.forks, scene.pending}
    assert chosen("a", RunFilter(workflow="texts")) == texts
    assert chosen("b", RunFilter(phases=(Phase.FAILED,))) == {scene.failed}
    first = app.history.run(scene.completed[2]).created_at
    last = app.history.run(scene.completed[4]).created_at
    assert chosen("c", RunFilter(workflow="texts"), since_ns=first, until_ns=last) == set(scene.completed[2:4])


def test_progress_counts_runs(app, scene, tmp_path):
    seen = []
    app.upkeep.export(tmp_path, scene.completed, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 6) for i in range(1, 7)]


def test_nothing_is_replaced_and_a_broken_export_leaves_nothing(app, scene, tmp_path):
    app.upkeep.export(tmp_path / "out", [scene.failed])
    with pytest.raises(InvalidInput, match=r"holds runs\.parquet already") as refused:
        app.upkeep.export(tmp_path / "out", [scene.failed])
    assert refused.value.facts["field"] == "to"
    with pytest.raises(NotFound, match="00000000-0000-7000-8000-000000000000"):
        app.upkeep.export(tmp_path / "none", ["00000000-0000-7000-8000-000000000000"])
    assert not (tmp_path / "none").exists()

    def broken(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        app.upkeep.export(tmp_path / "half", [scene.failed], progress=broken)
    assert list((tmp_path / "half").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(app, scene, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match=r"--to .*/file/out: cannot be made"):
        app.upkeep.export(tmp_path / "file" / "out", [scene.failed])
