"""Which instants a cron expression names, on the days when clocks are set too."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.core.cron import parse_cron
from kronos.core.schedules import Schedule, delay_of, plan
from kronos.errors import InvalidInput


def at(*parts):
    return datetime(*parts, tzinfo=UTC)


def slots(cron, zone, first, last):
    return [slot.strftime("%d %H:%M") for slot in parse_cron(cron, zone).slots(first, last, 100)]


def test_slots_follow_the_wall_clock_of_the_zone_through_the_year():
    times = parse_cron("0 9 * * mon-fri", "Europe/Zurich")
    found = times.slots(at(2026, 1, 1), at(2027, 1, 1), 1_000)
    local = {slot.astimezone(ZoneInfo("Europe/Zurich")).strftime("%H:%M") for slot in found}
    assert local == {"09:00"}
    assert {slot.hour for slot in found} == {7, 8}
    assert len(found) == sum(datetime.fromordinal(n).weekday() < 5 for n in range(739617, 739617 + 365))


def test_a_time_that_the_clock_skips_is_fired_once_as_if_it_had_not_been_set_forward():
    # in Zurich the clock goes from 02:00 to 03:00 on 29 March 2026, at 01:00 UTC
    assert slots("30 2 * * *", "Europe/Zurich", at(2026, 3, 27, 12), at(2026, 3, 30, 12)) == [
        "28 01:30",
        "29 01:30",
        "30 00:30",
    ]


def test_a_time_that_happens_twice_is_fired_once_the_first_time():
    # in Zurich the clock goes from 03:00 back to 02:00 on 25 October 2026, at 01:00 UTC
    assert slots("30 2 * * *", "Europe/Zurich", at(2026, 10, 24), at(2026, 10, 26, 12)) == [
        "24 00:30",
        "25 00:30",
        "26 01:30",
    ]


def test_every_hour_means_every_hour_on_those_days_too():
    spring = slots("0 * * * *", "Europe/Zurich", at(2026, 3, 28, 23), at(2026, 3, 29, 4))
    assert spring == ["29 00:00", "29 01:00", "29 02:00", "29 03:00", "29 04:00"]
    autumn = slots("0 * * * *", "Europe/Zurich", at(2026, 10, 24, 23), at(2026, 10, 25, 4))
    assert autumn == ["25 00:00", "25 01:00", "25 02:00", "25 03:00", "25 04:00"]


def test_midnight_where_midnight_does_not_exist():
    assert slots("0 0 * * *", "America/Sao_Paulo", at(2018, 11, 3), at(2018, 11, 5, 12)) == [
        "03 03:00",
        "04 03:00",
        "05 02:00",
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["*/20 * * * *", "15,45 1-3 * * *", "30 2 * * *", "0 0,2,3 * * sun"]),
    st.sampled_from(["Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    st.integers(0, 365 * 24),
)
def test_slots_only_go_forward_and_none_depends_on_where_one_began_to_look(cron, zone, hour):
    times = parse_cron(cron, zone)
    start = datetime.fromtimestamp(1_767_225_600 + hour * 3_600, UTC)
    found = times.slots(start, at(2028, 1, 1), 12)
    assert found == sorted(set(found))
    for i, slot in enumerate(found[:-1]):
        assert times.next_after(slot) == found[i + 1]
        between = slot + (found[i + 1] - slot) / 2
        assert times.next_after(between) == found[i + 1]


def test_six_fields_begin_with_seconds():
    found = parse_cron("*/20 0 0 * * *", "UTC").slots(at(2026, 1, 1), at(2026, 1, 3), 10)
    assert [slot.strftime("%d %H:%M:%S") for slot in found] == [
        "01 00:00:20",
        "01 00:00:40",
        "02 00:00:00",
        "02 00:00:20",
        "02 00:00:40",
        "03 00:00:00",
    ]


@pytest.mark.parametrize(
    ("cron", "place", "name"),
    [
        ("61 * * * *", 1, "minute"),
        ("* 25 * * *", 2, "hour"),
        ("* * 0 * *", 3, "day of the month"),
        ("* * * 13 *", 4, "month"),
        ("* * * * mon-xyz", 5, "day of the week"),
        ("99 * * * * *", 1, "second"),
        ("*/0 * * * *", 1, "minute"),
        ("1,,2 * * * *", 1, "minute"),
        ("R * * * *", 1, "minute"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(cron, place, name):
    with pytest.raises(InvalidInput) as raised:
        parse_cron(cron, "UTC")
    assert raised.value.facts["position"] == place
    assert f"field {place}, the {name}," in raised.value.message


@pytest.mark.parametrize(
    ("cron", "says"), [("* * *", "3 fields"), ("0 0 30 2 *", "no day that exists"), ("", "0 fields")]
)
def test_what_can_never_fire_is_refused(cron, says):
    with pytest.raises(InvalidInput) as raised:
        parse_cron(cron, "UTC")
    assert says in raised.value.message


def test_an_unknown_zone_is_refused():
    with pytest.raises(InvalidInput) as raised:
        parse_cron("* * * * *", "Mars/Olympus")
    assert raised.value.facts["field"] == "zone"


def scheduled(catch_up="latest", **options):
    known = {"id": 7, "name": "n", "cron": "0 * * * *", "zone": "UTC", "workflow": "w", "version": None, "input": b"{}"}
    known |= {"overlap": "allow", "jitter_s": 0.0, "timeout_s": None, "created_at": at(2025, 1, 1), "paused_at": None}
    return Schedule(**known | options, catch_up=catch_up, next_at=at(2026, 1, 1))


def test_of_several_slots_that_were_missed_the_latest_is_fired_and_the_others_are_counted():
    decided = plan(scheduled(), at(2026, 1, 1, 5, 30))
    assert decided.fire == [at(2026, 1, 1, 5)]
    assert decided.missed == 5
    assert decided.next_at == at(2026, 1, 1, 6)


def test_all_are_caught_up_a_hundred_at_a_time():
    decided = plan(scheduled("all"), at(2026, 1, 11))
    assert len(decided.fire) == 100
    assert decided.missed == 0
    assert decided.next_at == decided.fire[-1].replace(hour=decided.fire[-1].hour + 1)


def test_with_no_catching_up_a_slot_is_fired_in_its_minute_or_never():
    assert plan(scheduled("none"), at(2026, 1, 1, 0, 0, 59)).fire == [at(2026, 1, 1)]
    late = plan(scheduled("none"), at(2026, 1, 1, 3, 2))
    assert (late.fire, late.missed, late.next_at) == ([], 4, at(2026, 1, 1, 4))


def test_jitter_is_the_same_for_a_slot_and_spread_over_slots():
    schedule = scheduled(jitter_s=60.0)
    delays = [delay_of(schedule, at(2026, 1, day)).total_seconds() for day in range(1, 29)]
    assert delays == [delay_of(schedule, at(2026, 1, day)).total_seconds() for day in range(1, 29)]
    assert 0 <= min(delays) < 20
    assert 40 < max(delays) < 60


@pytest.mark.parametrize("zone", ["localtime", "posixrules", "LocalTime", "", "Mars/Base", "a\0b", 5, None])
def test_a_zone_that_is_none_or_differs_from_machine_to_machine_is_refused(zone):
    with pytest.raises(InvalidInput) as refused:
        parse_cron("* * * * *", zone)
    assert refused.value.facts["field"] == "zone"


@pytest.mark.parametrize(
    ("cron", "place", "name"),
    [
        ("5-1 * * * *", 1, "the minute"),
        ("0 1,22-4/2 * * *", 2, "the hour"),
        ("0 0 1 dec-feb *", 4, "the month"),
        ("0 0 * * fri-mon", 5, "the day of the week"),
    ],
)
def test_a_range_that_runs_backwards_is_refused_with_its_field(cron, place, name):
    with pytest.raises(InvalidInput, match=f"field {place}, {name}.*never backwards") as refused:
        parse_cron(cron, "UTC")
    assert refused.value.facts["position"] == place


def test_a_week_may_end_on_its_sunday():
    for days in ("sat-sun", "6-7", "6-0"):
        found = parse_cron(f"0 0 * * {days}", "UTC").slots(at(2026, 1, 1), at(2026, 1, 12), 10)
        assert [slot.day for slot in found] == [3, 4, 10, 11]


@pytest.mark.parametrize("cron", [None, 5, "* * * * \0"])
def test_a_cron_expression_that_is_no_text_is_refused(cron):
    with pytest.raises(InvalidInput) as refused:
        parse_cron(cron, "UTC")
    assert refused.value.facts["field"] == "cron"
