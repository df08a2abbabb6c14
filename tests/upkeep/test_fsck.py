"""Every fault of what is stored is found, and the finding names the row.

Each fault is planted by a superuser with the guards down, judged in the same transaction, and rolled back.
"""

from __future__ import annotations

import json
import random
import zlib

import pytest

from kronos.app.fsck import MEANINGS, Fsck
from kronos.app.fsck.chaining import GENESIS, successor
from kronos.core.chaining import head_after_body
from kronos.core.events import read_event
from kronos.errors import InvalidInput, NotFound
from tests.upkeep.faults import FAULTS, forged, with_guards_down, without_foreign_keys


def judge(owner, app, **options):
    return list(Fsck(owner, app.blobs).check(**options))


def test_a_database_in_which_everything_has_happened_is_sound(app, scene):
    assert list(app.upkeep.fsck()) == []
    for run in (
        *scene.completed,
        scene.failed,
        scene.cancelled,
        scene.pending,
        scene.asleep,
        scene.mother,
        scene.backtest,
        *scene.forks,
    ):
        assert list(app.upkeep.fsck(run)) == []


def test_the_chain_of_fsck_and_that_of_the_writer_are_two_and_agree(owner, scene):
    assert successor is not head_after_body
    head = GENESIS
    for row in owner.execute(
        "SELECT seq, count, kind::text, step, attempt, at_ns, body, hash FROM kronos.events"
        " WHERE run_id = %s ORDER BY seq",
        (scene.completed[0],),
    ):
        seq, count, kind, step, attempt, at, body, stored = row
        ours = successor(head, seq, count, attempt, at, kind, step, body)
        assert ours == head_after_body(head, read_event(*row[:7]), body) == stored
        head = ours


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_its_row_named(owner, app, scene, name):
    fault, chance = FAULTS[name], random.Random(zlib.crc32(name.encode()))
    run = chance.choice(scene.completed[:-1])
    seqs = [
        seq
        for (seq,) in owner.execute("SELECT seq FROM kronos.events WHERE run_id = %s ORDER BY seq", (run,)).fetchall()
    ]
    sleeping = "sleeps" in name
    with_guards_down(owner, (lambda: None) if sleeping else (lambda: fault.plant(owner, run, seqs)))
    if sleeping:
        fault.plant(owner, run, seqs)
    found = judge(owner, app)
    row = fault.row.replace("RUN", run).replace("SEQ", str(seqs[1]))
    assert [each for each in found if each.check == fault.check and each.row.startswith(row)], found
    assert all(each.means and each.do for each in found)


def test_at_least_twenty_faults_are_planted_and_every_check_is_among_them():
    assert len(FAULTS) >= 20
    planted = {fault.check for fault in FAULTS.values()}
    assert set(MEANINGS) - planted == {"anchor", "checkpoint", "partition"}


def test_a_fault_is_one_finding(owner, app, scene):
    """An edited row is named alone: neither those after it nor the run's end are called wrong too."""
    run = scene.completed[0]
    with_guards_down(
        owner,
        lambda: owner.execute(
            "UPDATE kronos.events SET at_ns = at_ns + 1 WHERE run_id = %s AND step = 'length'", (run,)
        ),
    )
    (found,) = judge(owner, app)
    (seq,) = owner.execute("SELECT seq FROM kronos.events WHERE run_id = %s AND step = 'length'", (run,)).fetchone()
    assert found.row == f"events: run {run} seq {seq}"


def test_a_fork_is_judged_by_what_it_shares_even_where_its_own_rows_are_sound(owner, app, scene):
    """Its ancestor's row is edited and hashed anew; the fork still says what the head was when it was made."""
    run = scene.completed[-1]
    seqs = [seq for (seq,) in owner.execute("SELECT seq FROM kronos.events WHERE run_id = %s ORDER BY seq", (run,))]
    with_guards_down(owner, lambda: forged(owner, run, seqs[:2]))
    found = {each.row for each in judge(owner, app) if each.check == "fork"}
    assert found == {f"run_ancestry: {fork}" for fork in scene.forks}


def test_one_run_is_judged_alone(owner, app, scene):
    with_guards_down(
        owner, lambda: owner.execute("UPDATE kronos.events SET at_ns = 1 WHERE run_id = %s", (scene.failed,))
    )
    assert judge(owner, app, run_id=scene.completed[0]) == []
    assert {each.check for each in judge(owner, app, run_id=scene.failed)} == {"chain"}


def test_an_unknown_run_is_refused_by_name(app):
    unknown = "00000000-0000-7000-8000-000000000000"
    with pytest.raises(NotFound, match=unknown):
        list(app.upkeep.fsck(unknown))


def test_weeks_without_a_partition_are_found(owner, app):
    owner.execute("SET LOCAL kronos.now = '2040-01-04 12:00+00'")
    found = [each for each in judge(owner, app) if each.row == "retention_classes: standard"]
    assert [each.what for each in found] == [
        "there is no partition for the week of 2040-01-02",
        "there is no partition for the week of 2040-01-09",
    ]


class TestAnchors:
    """Heads that were exported find what a forger did who rewrote the runs' rows too."""

    @pytest.fixture
    def anchor(self, app, tmp_path):
        path = tmp_path / "heads"
        assert app.upkeep.write_anchor(path) == 16
        return path

    def test_what_has_not_changed_is_sound(self, app, anchor):
        assert list(app.upkeep.fsck(anchor=anchor)) == []

    def test_a_forged_history_with_a_forged_head_is_found(self, owner, app, scene, anchor):
        run = scene.completed[0]
        seqs = [s for (s,) in owner.execute("SELECT seq FROM kronos.events WHERE run_id = %s ORDER BY 1", (run,))]
        with_guards_down(owner, lambda: forged(owner, run, seqs))
        owner.execute(
            "UPDATE kronos.runs SET head_hash = (SELECT hash FROM kronos.events WHERE run_id = id AND seq = head_seq)"
            " WHERE id = %s",
            (run,),
        )
        assert judge(owner, app) == []
        (found,) = judge(owner, app, anchor=anchor)
        assert (found.check, found.row) == ("anchor", f"events: run {run} seq {seqs[-1]}")
        (found,) = judge(owner, app, anchor=anchor, run_id=run)
        assert found.check == "anchor"

    def test_a_run_that_vanished_without_a_trace_is_found(self, owner, app, scene, anchor):
        gone = scene.completed[3]

        def vanish():
            without_foreign_keys("DELETE FROM kronos.events WHERE run_id = RUN", "", "").plant(owner, gone, [0, 0])
            owner.execute("DELETE FROM kronos.blob_refs WHERE owner = %s", (gone,))
            owner.execute("DELETE FROM kronos.runs WHERE id = %s", (gone,))

        with_guards_down(owner, vanish)
        assert judge(owner, app) == []
        (found,) = judge(owner, app, anchor=anchor)
        assert (found.check, found.row) == ("anchor", f"runs: {gone}")

    @pytest.mark.parametrize("content", ["", "{}", "not json", '{"format": "kronos heads 1"}\n{"run": 1}'])
    def test_a_file_that_is_no_anchor_is_refused_by_name(self, app, tmp_path, content):
        path = tmp_path / "other"
        path.write_text(content)
        with pytest.raises(InvalidInput, match=r"--anchor .*/other: this is no file of `kronos fsck --write-anchor`"):
            list(app.upkeep.fsck(anchor=path))

    def test_an_anchor_holds_the_last_hash_of_each_run_and_nothing_else(self, anchor, owner, scene):
        header, *lines = map(json.loads, anchor.read_text().splitlines())
        assert header == {"format": "kronos heads 1"}
        for line in lines:
            assert set(line) == {"class", "run", "seq", "hash"}
            row = owner.execute(
                "SELECT encode(hash, 'hex') FROM kronos.events WHERE run_id = %s ORDER BY seq DESC LIMIT 1",
                (line["run"],),
            ).fetchone()
            assert row == (line["hash"],)
