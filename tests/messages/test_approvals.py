"""A person's word: who gave it and why is on record, and nothing happens without it."""

from __future__ import annotations

import time

import msgspec
import pytest

from kronos import approval, step, when, workflow
from kronos.app import Engine
from kronos.core.state import Phase
from kronos.errors import Conflict, InvalidInput
from kronos.settings import Settings

ran: list[str] = []


@step
def place(size: int) -> str:
    ran.append("placed")
    return f"placed {size}"


@step
def explain(approved: bool, by: str, reason: str) -> str:
    return f"{approved} {by} {reason}"


@workflow(version="1")
def guarded(size: int) -> str:
    gate = approval("risk desk", {"size": size}, name="risk")
    return place.named("place", after=[gate])(size)


@workflow(version="1")
def explained() -> str:
    gate = approval("risk desk", name="risk")
    return explain(gate.approved, gate.by, gate.reason)


@workflow(version="1")
def branched(size: int) -> str:
    return when(approval("desk", timeout="50ms").approved, lambda: place(size), lambda: "left alone")


@workflow(version="1")
def twofold() -> str:
    first, second = approval("a", name="first"), approval("b", name="second")
    return place.named("place", after=[first, second])(1)


def test_an_approved_run_goes_on_and_says_who_and_why(talk):
    run = talk.start(guarded, {"size": 3})
    assert talk.parked(run)["owner"] is None
    (asked,) = talk.app.approvals(run)
    assert (asked.step, asked.who, bytes(asked.message), asked.due) == ("risk", "risk desk", b'{"size":3}', None)
    assert talk.app.approve(run, by="ada", reason="within limits") == "risk"
    assert talk.result(run) == "placed 3"
    assert talk.app.approvals(run) == []
    said = next(event for event in talk.facts(run) if event.kind == "run_signalled")
    assert (said.facts.step, said.facts.by, said.facts.reason, bytes(said.facts.value)) == (
        "risk",
        "ada",
        "within limits",
        b"true",
    )
    decided = talk.app.history.state_at(run).steps["risk"].facts.output
    assert bytes(decided) == b'{"approved":true,"by":"ada","reason":"within limits","timed_out":false}'


def test_a_rejection_that_nobody_reads_fails_the_run_and_nothing_is_done(talk):
    ran.clear()
    run = talk.start(guarded, {"size": 3})
    talk.parked(run)
    talk.app.reject(run, "risk", by="ada", reason="too large")
    ended = talk.end(run)
    assert (ended.phase, ended.failed_step, ended.failure.type) == (Phase.FAILED, "risk", "Rejected")
    assert ended.failure.message == "ada rejected 'risk': too large"
    assert ran == []


def test_a_rejection_that_a_step_reads_is_its_to_deal_with(talk):
    run = talk.start(explained)
    talk.parked(run)
    talk.app.reject(run, by="ada", reason="no")
    assert talk.result(run) == "False ada no"


def test_an_approval_that_nobody_gives_in_time_is_none(talk):
    assert talk.result(talk.start(branched, {"size": 1})) == "left alone"


def test_a_decision_needs_a_name_a_place_and_a_run_that_waits_for_it(talk):
    run = talk.start(twofold)
    talk.until(run, lambda state: len(state.steps) == 2)
    with pytest.raises(InvalidInput, match="say who decides"):
        talk.app.approve(run, "first", by="")
    with pytest.raises(InvalidInput, match="name one: first, second"):
        talk.app.approve(run, by="ada")
    with pytest.raises(Conflict, match="waits for first, second, not for 'third'"):
        talk.app.approve(run, "third", by="ada")
    talk.app.approve(run, "first", by="ada")
    talk.until(run, lambda state: state.steps["first"].status == "completed")
    with pytest.raises(Conflict, match="not for 'first'"):
        talk.app.reject(run, "first", by="eve")
    talk.app.approve(run, by="bob")
    assert talk.result(run) == "placed 1"
    with pytest.raises(Conflict, match="waits for no approval"):
        talk.app.approve(run, by="ada")


def test_a_rejection_of_a_held_run_is_recorded_and_fails_it_when_it_is_let_go(talk):
    run = talk.start(guarded, {"size": 3})
    talk.parked(run)
    talk.app.pause(run, by="ops")
    talk.until(run, lambda state: state.notes.pause)
    talk.app.reject(run, by="ada", reason="too large")
    talk.until(run, lambda state: state.steps["risk"].status == "failed")
    assert talk.parked(run)["phase"] == "waiting"
    talk.app.resume(run, by="ops")
    ended = talk.end(run)
    assert (ended.phase, ended.failed_step, ended.failure.type) == (Phase.FAILED, "risk", "Rejected")
    assert [kind for kind in talk.kinds(run) if kind in ("run_resumed", "run_failed")] == ["run_resumed", "run_failed"]


def test_a_second_decision_is_refused_before_anybody_has_read_the_first(talk, tmp_path):
    @workflow(version="1")
    def elsewhere() -> str:
        gate = approval("risk desk", name="risk")
        return explain(gate.approved, gate.by, gate.reason)

    with Engine(database_url=talk.url, settings=Settings(data_dir=tmp_path)) as other:
        run = other.app.start(elsewhere, {})
        talk.parked(run)
    talk.app.approve(run, by="ada", reason="first")  # no worker serves it: nobody reads this
    with pytest.raises(Conflict, match=r"somebody has decided 'risk' of run .* already"):
        talk.app.reject(run, by="eve", reason="second")
    with Engine(database_url=talk.url, settings=Settings(data_dir=tmp_path)) as other:
        other.app.serve(elsewhere)
        assert talk.result(run) == "True ada first"


@pytest.mark.parametrize("said", [{"by": "a\x00da"}, {"by": "ada", "reason": "fi\x00ne"}])
def test_a_nul_in_who_or_why_is_refused_by_name(talk, said):
    run = talk.start(explained)
    talk.parked(run)
    with pytest.raises(InvalidInput, match=r"(by|reason) '.*' has a NUL"):
        talk.app.approve(run, **said)
    talk.app.cancel(run)


def test_of_two_decisions_at_once_the_first_counts_and_the_second_is_told(talk, monkeypatch):
    run = talk.start(twofold)
    talk.parked(run)
    history, pending = talk.app.history, talk.app.history.state_at(run)
    talk.app.approve(run, "first", by="ada", reason="first")
    while history.state_at(run).steps["first"].facts.output is msgspec.UNSET:
        time.sleep(0.005)
    looks = iter([pending])  # it looked before the other had decided, and sent its word after that was on record
    state_at = history.state_at
    monkeypatch.setattr(history, "state_at", lambda run: next(looks, None) or state_at(run))
    with pytest.raises(Conflict, match=r"somebody has decided 'first' of run .* already"):
        talk.app.reject(run, "first", by="eve", reason="second")
    talk.app.approve(run, "second", by="ada")
    assert talk.result(run) == "placed 1"
