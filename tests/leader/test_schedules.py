"""A slot is fired once, whoever leads; what a schedule says of lateness, overlap and input is what happens."""

from __future__ import annotations

import time

import pytest

from kronos import step, workflow
from kronos.errors import Conflict, InvalidInput, NotFound
from kronos.ports.history import RunFilter
from tests.leader.conftest import echoed


def make_due(app, name, ago):
    """Let a schedule's next slot lie in the past, as if nobody had led since.

    Who counts firings takes a cron that has no slot of its own between then and now.
    """
    with app._session.connection() as connection:
        connection.execute(
            "UPDATE kronos.schedules SET next_at = date_trunc('second', kronos.now()) - %s::interval WHERE name = %s",
            (ago, name),
        )


def runs(app):
    return {run.id for run in app.history.runs(RunFilter(limit=1000)).runs}


@pytest.fixture
def leader(make_hand):
    hand = make_hand(lease_s=30)
    hand.candidate.turn()
    return hand


def test_each_due_slot_gets_one_run_with_the_schedules_input(app, leader):
    app.schedules.add("yearly", "@yearly", echoed, {"number": 7}, zone="Europe/Zurich")
    make_due(app, "yearly", "10 seconds")
    assert leader.schedules.fire_due(leader.candidate.term) == 1
    assert leader.schedules.fire_due(leader.candidate.term) == 0
    (firing,) = app.schedules.firings("yearly")
    assert (firing.outcome, firing.phase, firing.missed) == ("started", "pending", 0)
    run = app.history.run(firing.run_id)
    assert (run.workflow, run.input) == ("echoed", b'{"number":7}')
    assert app.schedules.get("yearly").next_at > app.schedules._store.now()


def test_two_leaders_of_one_moment_fire_a_slot_once(app, make_hand, leader):
    """The second takes over between the first one's look and its firing; nothing is fired by an epoch that is over."""
    app.schedules.add("each-second", "* * * * * *", echoed)
    other = make_hand(lease_s=30)
    first_term = leader.candidate.term
    deadline = time.monotonic() + 1.2
    while time.monotonic() < deadline:
        leader.schedules.fire_due(first_term)
        time.sleep(0.02)
    leader.store.resign(first_term)
    leader.store.close()
    other.candidate.turn()
    other.schedules.fire_due(other.candidate.term)
    with pytest.raises(Exception, match="epoch 1 is over"):
        leader.schedules.fire_due(first_term)
    times = [firing.nominal_time for firing in app.schedules.firings("each-second")]
    assert len(times) == len(set(times)) >= 1
    assert len(runs(app)) == len(times)


def test_a_slot_that_was_fired_is_not_fired_again_even_if_its_schedule_is_set_back(app, leader):
    app.schedules.add("yearly", "@yearly", echoed)
    make_due(app, "yearly", "10 seconds")
    with app._session.connection() as connection:
        (slot,) = connection.execute("SELECT next_at FROM kronos.schedules").fetchone()
    leader.schedules.fire_due(leader.candidate.term)
    with app._session.connection() as connection:
        connection.execute("UPDATE kronos.schedules SET next_at = %s", (slot,))
    leader.schedules.fire_due(leader.candidate.term)
    assert len(runs(app)) == 1


def test_after_a_time_without_a_leader_the_latest_slot_is_fired_and_the_others_are_counted(app, leader):
    app.schedules.add("minutes", "* * * * *", echoed)
    make_due(app, "minutes", "30 minutes")
    leader.schedules.fire_due(leader.candidate.term)
    (firing,) = app.schedules.firings("minutes")
    assert firing.outcome == "started"
    assert 28 <= firing.missed <= 31


def test_with_catch_up_all_each_slot_gets_its_run(app, leader):
    app.schedules.add("minutes", "* * * * *", echoed, catch_up="all")
    make_due(app, "minutes", "5 minutes")
    leader.schedules.fire_due(leader.candidate.term)
    assert len(runs(app)) == len(app.schedules.firings("minutes")) >= 5


def test_with_catch_up_none_a_late_slot_is_on_record_as_missed(app, leader):
    app.schedules.add("yearly", "0 0 1 1 *", echoed, catch_up="none")
    make_due(app, "yearly", "5 minutes")
    leader.schedules.fire_due(leader.candidate.term)
    (firing,) = app.schedules.firings("yearly")
    assert (firing.outcome, firing.run_id) == ("skipped", None)
    assert "missed" in firing.detail


def test_skip_leaves_out_a_slot_while_the_last_run_is_open_and_only_then(app, leader):
    app.schedules.add("yearly", "@yearly", echoed, overlap="skip")
    for ago in ("3 hours", "2 hours"):
        make_due(app, "yearly", ago)
        leader.schedules.fire_due(leader.candidate.term)
    skipped, started = app.schedules.firings("yearly")
    assert (started.outcome, skipped.outcome, skipped.detail) == ("started", "skipped", "the last run is still open")
    worker = app.worker().start()
    app.wait(started.run_id, 10)
    worker.stop()
    make_due(app, "yearly", "1 hour")
    leader.schedules.fire_due(leader.candidate.term)
    assert app.schedules.firings("yearly")[0].outcome == "started"


def test_cancel_previous_asks_the_last_run_to_end(app, leader):
    app.schedules.add("yearly", "@yearly", echoed, overlap="cancel_previous")
    for ago in ("3 hours", "2 hours"):
        make_due(app, "yearly", ago)
        leader.schedules.fire_due(leader.candidate.term)
    second, first = app.schedules.firings("yearly")
    worker = app.worker().start()
    assert app.wait(first.run_id, 10).phase == "cancelled"
    assert app.wait(second.run_id, 10).phase == "completed"
    worker.stop()


def test_jitter_delays_the_run_and_not_the_slot(app, leader):
    app.schedules.add("minutes", "* * * * *", echoed, jitter="1h")
    make_due(app, "minutes", "1 second")
    leader.schedules.fire_due(leader.candidate.term)
    with app._session.connection() as connection:
        (delayed,) = connection.execute(
            "SELECT r.wake_at > f.nominal_time FROM kronos.runs r JOIN kronos.schedule_firings f ON f.run_id = r.id"
        ).fetchone()
    assert delayed


def test_a_paused_schedule_fires_nothing_and_goes_on_with_the_next_slot_when_resumed(app, leader):
    app.schedules.add("minutes", "* * * * *", echoed)
    assert app.schedules.pause("minutes").paused_at is not None
    make_due(app, "minutes", "2 hours")
    assert leader.schedules.fire_due(leader.candidate.term) == 0
    assert app.schedules.upcoming("minutes") == []
    resumed = app.schedules.resume("minutes")
    assert resumed.next_at > app.schedules._store.now()
    assert leader.schedules.fire_due(leader.candidate.term) == 0
    assert len(app.schedules.upcoming("minutes", 3)) == 3


def test_a_schedule_can_be_triggered_by_hand_also_while_paused(app, leader):
    app.schedules.add("yearly", "@yearly", echoed, {"number": 3})
    app.schedules.pause("yearly")
    run = app.schedules.trigger("yearly")
    assert app.history.run(run).input == b'{"number":3}'
    assert app.schedules.firings("yearly")[0].outcome == "triggered"


def test_a_deleted_schedule_fires_no_more_and_its_runs_stay(app, leader):
    app.schedules.add("minutes", "* * * * *", echoed)
    run = app.schedules.trigger("minutes")
    app.schedules.delete("minutes")
    assert app.schedules.list() == []
    assert app.history.run(run).phase == "pending"
    with pytest.raises(NotFound):
        app.schedules.delete("minutes")


@step
def echo_text(number: str) -> str:
    return number


@workflow(version="2", name="echoed")
def echoed_of_text(number: str) -> str:
    return echo_text(number)


def test_a_slot_takes_the_version_registered_last_and_says_why_its_input_does_not_fit(app, leader):
    app.schedules.add("pinned", "* * * * *", echoed, {"number": 1}, version="1")
    app.schedules.add("newest", "* * * * *", echoed, {"number": 1})
    app.serve(echoed_of_text)
    for name in ("pinned", "newest"):
        make_due(app, name, "1 second")
    assert leader.schedules.fire_due(leader.candidate.term) == 2
    assert app.history.run(app.schedules.firings("pinned")[0].run_id).version == "1"
    (firing,) = app.schedules.firings("newest")
    assert (firing.outcome, firing.run_id) == ("refused", None)
    assert "$.number" in firing.detail
    assert app.schedules.get("newest").next_at > app.schedules._store.now(), "it goes on with the next slot"


def test_adding_the_same_again_changes_nothing_and_another_under_its_name_is_refused(app):
    first = app.schedules.add("minutes", "* * * * *", echoed)
    assert app.schedules.add("minutes", "* * * * *", echoed).id == first.id
    with pytest.raises(Conflict, match="another cron"):
        app.schedules.add("minutes", "*/5 * * * *", echoed)


@pytest.mark.parametrize(
    ("options", "error", "field"),
    [
        ({"cron": "* 99 * * *"}, InvalidInput, "cron"),
        ({"zone": "Europe/Nowhere"}, InvalidInput, "zone"),
        ({"catch_up": "some"}, InvalidInput, "catch_up"),
        ({"overlap": "both"}, InvalidInput, "overlap"),
        ({"jitter": "soon"}, InvalidInput, "jitter"),
        ({"name": " "}, InvalidInput, "name"),
        ({"workflow": "nothing"}, NotFound, "workflow_name"),
        ({"run_input": {"number": "seven"}}, InvalidInput, "$.number"),
    ],
)
def test_a_schedule_that_could_not_work_is_refused_with_the_field(app, options, error, field):
    known = {"name": "n", "cron": "* * * * *", "workflow": echoed, "run_input": {"number": 1}}
    with pytest.raises(error) as raised:
        app.schedules.add(**known | options)
    assert raised.value.facts["field"] == field
    assert app.schedules.list() == []


def test_a_worker_that_leads_fires_by_itself(app):
    app.schedules.add("seconds", "* * * * * *", echoed, {"number": 5})
    worker = app.worker().start()
    try:
        deadline = time.monotonic() + 20
        while not (done := [one for one in app.schedules.firings("seconds") if one.phase == "completed"]):
            assert time.monotonic() < deadline, "no slot was fired"
            time.sleep(0.02)
    finally:
        worker.stop()
    firing = done[0]
    assert 0 <= (firing.fired_at - firing.nominal_time).total_seconds() < 10, "the slot of its second, no later one's"


@pytest.mark.parametrize(
    ("damage", "said", "paused"),
    [
        ("zone = 'Mars/Olympus'", "Mars/Olympus", True),
        ("cron = '99 * * * *'", "99", True),
        ("jitter_ms = 9000000000000000000", "OverflowError", True),
        ("input = '{'", "its input does not fit", False),
    ],
)
def test_a_schedule_that_cannot_be_read_says_why_and_costs_the_others_nothing(app, leader, damage, said, paused):
    for name in ("broken", "sound"):
        app.schedules.add(name, "* * * * *", echoed)
        make_due(app, name, "1 second")
    with app._session.connection() as connection:
        connection.execute(f"UPDATE kronos.schedules SET {damage} WHERE name = 'broken'")
    leader.schedules.fire_due(leader.candidate.term)
    assert app.schedules.firings("sound")[0].outcome == "started"
    assert (app.schedules.get("broken").paused_at is not None) == paused
    (firing,) = app.schedules.firings("broken")
    assert (firing.outcome, firing.run_id) == ("refused", None)
    assert said in firing.detail


@pytest.mark.parametrize("name", ["", " ", "a\0", None, 5, "x" * 201])
def test_a_name_that_cannot_be_one_is_refused_by_everything_that_takes_a_name(app, name):
    schedules = app.schedules
    calls = [lambda: schedules.add(name, "@daily", echoed, {"number": 1})]
    if name != " ":
        calls += [
            lambda by=by: by(name)
            for by in (schedules.get, schedules.pause, schedules.resume, schedules.trigger, schedules.delete)
        ]
    for call in calls:
        with pytest.raises(InvalidInput) as refused:
            call()
        assert refused.value.facts["field"] == "name"


@pytest.mark.parametrize(
    ("field", "value"),
    [("zone", 5), ("zone", "localtime"), ("cron", None), ("jitter", "soon"), ("timeout", "99999999999d")],
)
def test_a_wrong_value_of_a_schedule_is_refused_as_bad_input_naming_its_field(app, field, value):
    given = {"cron": "@daily", field: value}
    with pytest.raises(InvalidInput) as refused:
        app.schedules.add("wrong", given.pop("cron"), echoed, {"number": 1}, **given)
    assert (type(refused.value), refused.value.facts["field"]) == (InvalidInput, field)
