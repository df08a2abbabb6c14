"""Where claims begin to look."""

from __future__ import annotations

import uuid

import pytest

from kronos.storage.low_water import MARGIN_S, RESCAN_S, RESCAN_SHARE, LowWater
from tests.storage.conftest import doubled


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def begin(water: LowWater, *definitions: str) -> int:
    with water.claim(definitions or ("a",)) as rank:
        return rank


def test_the_first_claim_and_one_every_second_look_from_the_front(time):
    water = LowWater(time)
    assert begin(water) == 0
    water.claimed([5_000_000, 7_000_000])
    assert begin(water) == 7_000_000 - MARGIN_S * 1e6
    time.now += RESCAN_S
    assert begin(water) == 0
    assert begin(water) > 0


def test_a_scan_that_takes_long_is_made_less_often(time):
    water = LowWater(time)
    with water.claim(("a",)):
        time.now += 2.0
    water.claimed([9_000_000])
    time.now += 2.0 / RESCAN_SHARE - 0.1
    assert begin(water) > 0
    time.now += 0.2
    assert begin(water) == 0


def test_a_claim_that_failed_is_made_from_the_front_again(time):
    water = LowWater(time)
    with pytest.raises(OSError), water.claim(("a",)):
        raise OSError
    assert begin(water) == 0


def test_for_other_definitions_it_begins_anew(time):
    water = LowWater(time)
    begin(water)
    water.claimed([9_000_000])
    assert begin(water) > 0
    assert begin(water, "a", "b") == 0


def test_runs_given_back_and_runs_submitted_meanwhile_are_claimed_at_once(app, make_desk, desk):
    """Though their ranks are older than what was claimed since."""
    old = desk.one()
    for _ in range(3):
        desk.one()
    desk.queue._low_water._rank = 2**60  # nothing that is fresh is found behind this mark
    desk.queue._low_water._next_scan = float("inf")
    desk.queue.release(desk.incarnation, [])
    desk.queue.disown(desk.incarnation, [])
    again = desk.claim(limit=10)
    assert old.id in [run.id for run in again]
    assert len(again) == 4


def test_a_run_whose_submission_took_long_to_commit_is_found_by_the_scan_from_the_front(app, desk, owner):
    desk.one()
    (run,) = owner.execute(
        "INSERT INTO kronos.runs (definition, workflow, version, input, rank)"
        " SELECT id, workflow, version, '\\x7b7d', 1 FROM kronos.definitions WHERE workflow = %s RETURNING id",
        (doubled.name,),
    ).fetchone()
    assert desk.claim(limit=10) == []
    desk.queue._low_water._next_scan = 0.0
    assert [each.id for each in desk.claim(limit=10)] == [str(uuid.UUID(str(run)))]
