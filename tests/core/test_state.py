"""A run is the fold of its events, at every seq."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kronos.core.chaining import head_after
from kronos.core.events import LEADING, Event, Kind, RunFacts, StepFacts, expand, truncate
from kronos.core.state import ALLOWED, STEP_ALLOWED, Phase, StepStatus, apply, fold, new_run
from kronos.errors import TransitionError
from kronos.kernel.hashing import GENESIS
from kronos.kernel.ids import RunId
from tests.core.histories import histories, whole_attempt

RUN = RunId("01890a5d-ac96-774b-bcce-b302099a8057")
BEGUN = Event(seq=1, kind=Kind.RUN_STARTED, at=1, facts=RunFacts(workflow="w"))
FINAL = [phase for phase in Phase if phase.is_final]


def facts_for(kind: Kind) -> RunFacts | StepFacts:
    return RunFacts() if kind.startswith("run_") else StepFacts()


@given(histories())
def test_the_fold_of_rows_is_the_fold_of_their_single_facts_at_every_seq(history):
    singles = [single for event in history for single in expand(event)]
    assert [single.seq for single in singles] == list(range(1, history[-1].seq + 1))
    for seq in range(history[-1].seq + 1):
        assert fold(RUN, history, upto=seq) == fold(RUN, singles[:seq])


@given(histories(), st.data())
def test_where_the_rows_were_cut_does_not_matter(history, data):
    seq = data.draw(st.integers(1, history[-1].seq))
    cut: list[Event] = []
    for event in history:
        if event.first_seq <= seq < event.seq:
            rest = msgspec.structs.replace(event, count=event.seq - seq)
            cut += [truncate(event, seq), rest]
        else:
            cut.append(event)
    assert fold(RUN, cut) == fold(RUN, history)


@given(histories())
def test_applying_never_changes_the_state_it_is_applied_to(history):
    state = new_run(RUN)
    for event in history:
        before = (state.seq, state.phase, dict(state.steps))
        after = apply(state, event)
        assert (state.seq, state.phase, dict(state.steps)) == before
        assert after.seq == event.seq
        state = after


@given(histories(), st.data())
def test_a_gap_or_a_repetition_in_seq_is_refused(history, data):
    at = data.draw(st.integers(0, len(history) - 1))
    state = fold(RUN, history[:at])
    for off in (-1, 1, 5):
        wrong = msgspec.structs.replace(history[at], seq=history[at].seq + off)
        with pytest.raises(TransitionError, match=f"expected {state.seq + 1}") as refused:
            apply(state, wrong)
        assert refused.value.facts["run_id"] == RUN
    with pytest.raises(TransitionError):
        fold(RUN, [*history[: at + 1], history[at]])


@given(histories(), st.data())
def test_a_missing_row_is_noticed(history, data):
    if len(history) < 2:
        return
    at = data.draw(st.integers(0, len(history) - 2))
    with pytest.raises(TransitionError):
        fold(RUN, history[:at] + history[at + 1 :])


@given(histories())
def test_only_errors_and_timeouts_use_up_a_retry(history):
    state = fold(RUN, history)
    for name, step in state.steps.items():
        failed = [
            single
            for event in history
            if event.step == name
            for single in expand(event)
            if single.kind is Kind.STEP_FAILED and single.facts.failure.cause != "lost"
        ]
        assert step.failures == len(failed)


@given(histories())
def test_two_folds_of_one_history_have_one_head(history):
    def head(events):
        at = GENESIS
        for event in events:
            at = head_after(at, event)
        return at

    assert head(history) == head(list(history))
    assert head(history[:-1]) != head(history)


def test_inside_a_coalesced_row_there_is_no_output_before_it_was_recorded():
    done = whole_attempt(Kind.STEP_COMPLETED, first_seq=2)
    seen = [fold(RUN, [BEGUN, done], upto=seq).steps.get("a") for seq in range(1, 7)]
    assert seen[0] is None
    statuses = [step.status for step in seen[1:]]
    assert statuses == [
        StepStatus.SCHEDULED,
        StepStatus.RUNNING,
        StepStatus.RUNNING,
        StepStatus.RUNNING,
        StepStatus.COMPLETED,
    ]
    outputs = [step.facts.output for step in seen[1:]]
    assert all(output is msgspec.UNSET for output in outputs[:3])
    assert all(bytes(output) == b'{"a":1}' for output in outputs[3:])


def test_inside_a_coalesced_retry_the_step_fails_before_it_is_retried():
    retried = whole_attempt(Kind.STEP_RETRIED, first_seq=2)
    failed = fold(RUN, [BEGUN, retried], upto=5).steps["a"]
    assert (failed.status, failed.failures, failed.facts.retry_due) == (StepStatus.FAILED, 1, None)
    again = fold(RUN, [BEGUN, retried]).steps["a"]
    assert (again.status, again.failures) == (StepStatus.RETRYING, 1)


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("kind", list(Kind))
def test_what_a_phase_does_not_allow_is_refused(phase, kind):
    state = msgspec.structs.replace(new_run(RUN), phase=phase)
    step = "" if kind.startswith("run_") else "a"
    event = Event(seq=1, kind=kind, at=1, facts=facts_for(kind), step=step, attempt=1 if step else 0)
    if kind in ALLOWED[phase] and (not step or kind in STEP_ALLOWED[StepStatus.PENDING]):
        assert apply(state, event).seq == 1
    else:
        with pytest.raises(TransitionError, match=str(kind)):
            apply(state, event)


@pytest.mark.parametrize("status", list(StepStatus))
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.startswith("step_")])
def test_what_a_step_does_not_allow_is_refused(status, kind):
    path = {
        StepStatus.PENDING: [],
        StepStatus.SCHEDULED: [Kind.STEP_SCHEDULED],
        StepStatus.RUNNING: [Kind.STEP_SCHEDULED, Kind.STEP_STARTED],
        StepStatus.RETRYING: [*LEADING[Kind.STEP_RETRIED]],
        StepStatus.COMPLETED: [*LEADING[Kind.STEP_COMPLETED]],
        StepStatus.FAILED: [*LEADING[Kind.STEP_FAILED]],
        StepStatus.SKIPPED: [*LEADING[Kind.STEP_SKIPPED]],
    }[status]
    state = apply(new_run(RUN), BEGUN)
    for fact in path:
        state = apply(state, Event(seq=state.seq + 1, kind=fact, at=1, facts=StepFacts(), step="a", attempt=1))
    assert (state.steps["a"].status if path else StepStatus.PENDING) is status
    attempt = 2 if status is StepStatus.RETRYING else 1
    event = Event(seq=state.seq + 1, kind=kind, at=1, facts=StepFacts(), step="a", attempt=attempt)
    if kind in STEP_ALLOWED[status]:
        assert apply(state, event).seq == event.seq
    else:
        with pytest.raises(TransitionError, match=f"'a' is {status}"):
            apply(state, event)


@pytest.mark.parametrize("attempt", [0, 2, 7])
def test_an_attempt_out_of_order_is_refused(attempt):
    state = apply(new_run(RUN), BEGUN)
    event = Event(seq=2, kind=Kind.STEP_SCHEDULED, at=1, facts=StepFacts(), step="a", attempt=attempt)
    with pytest.raises(TransitionError, match=f"names attempt {attempt}, expected 1"):
        apply(state, event)


def test_the_tables_are_closed():
    assert set(ALLOWED) == set(Phase)
    assert set(STEP_ALLOWED) == set(StepStatus)
    assert all(ALLOWED[phase] == frozenset() for phase in FINAL)
    assert all(ALLOWED[phase] for phase in Phase if not phase.is_final)
    reachable = frozenset().union(*STEP_ALLOWED.values())
    assert reachable == {kind for kind in Kind if kind.startswith("step_")}
    assert frozenset().union(*ALLOWED.values()) == set(Kind)


@pytest.mark.parametrize(
    ("kind", "facts", "phase"),
    [
        (Kind.RUN_COMPLETED, RunFacts(output=msgspec.Raw(b"1")), Phase.COMPLETED),
        (Kind.RUN_FAILED, RunFacts(step="a"), Phase.FAILED),
        (Kind.RUN_FAILED, RunFacts(dead=True), Phase.DEAD),
        (Kind.RUN_CANCELLED, RunFacts(reason="enough"), Phase.CANCELLED),
    ],
)
def test_an_end_is_final_and_keeps_what_the_run_was(kind, facts, phase):
    state = fold(RUN, [BEGUN, Event(seq=2, kind=kind, at=5, facts=facts)])
    assert (state.phase, state.started, state.finished) == (phase, 1, 5)
    assert state.facts.workflow == "w"
    for after in Kind:
        with pytest.raises(TransitionError):
            apply(state, Event(seq=3, kind=after, at=6, facts=facts_for(after), step="a", attempt=1))
