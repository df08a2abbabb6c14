"""How several facts travel as one event, and come apart again."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kronos.core.events import (
    LEADING,
    Event,
    Kind,
    RunFacts,
    StepFacts,
    decode_facts,
    encode_facts,
    expand,
    read_event,
    truncate,
)
from kronos.errors import CorruptHistory, InvalidInput
from tests.core.histories import attempt_facts, histories, whole_attempt

STEP_KINDS = [kind for kind in Kind if kind.startswith("step_")]
ENDS = [Kind.STEP_COMPLETED, Kind.STEP_FAILED, Kind.STEP_RETRIED]
OTHERS = [Kind.STEP_SKIPPED, Kind.STEP_EXPANDED]
COUNTED = [(kind, count) for kind in STEP_KINDS for count in range(1, len(LEADING[kind]) + 1)]


def event_of(kind: Kind, count: int) -> Event:
    if kind in ENDS:
        return msgspec.structs.replace(whole_attempt(kind, first_seq=11), count=count)
    if kind in OTHERS:
        last = 10 + len(LEADING[kind])
        facts = StepFacts() if kind is Kind.STEP_SKIPPED else attempt_facts(kind)
        return Event(seq=last, kind=kind, at=7, facts=facts, step="a", attempt=1, count=count)
    whole = whole_attempt(Kind.STEP_COMPLETED, first_seq=11)
    prefix = truncate(whole, 10 + len(LEADING[kind]))
    return msgspec.structs.replace(prefix, count=count)


@pytest.mark.parametrize(("kind", "count"), COUNTED)
def test_an_event_stands_for_the_facts_that_lead_up_to_it(kind, count):
    event = event_of(kind, count)
    singles = expand(event)
    assert [single.kind for single in singles] == list(LEADING[kind][-count:])
    assert [single.seq for single in singles] == list(range(event.first_seq, event.seq + 1))
    assert all(single.count == 1 for single in singles)
    assert singles[-1].facts == event.facts


@pytest.mark.parametrize(("kind", "count"), COUNTED)
def test_every_prefix_of_an_event_is_an_event_of_its_last_fact(kind, count):
    event = event_of(kind, count)
    for seq in range(event.first_seq, event.seq + 1):
        prefix = truncate(event, seq)
        assert prefix.first_seq == event.first_seq
        assert prefix.seq == seq
        assert expand(prefix) == expand(event)[: seq - event.first_seq + 1]
        for earlier in range(event.first_seq, seq + 1):
            assert truncate(prefix, earlier) == truncate(event, earlier)


@pytest.mark.parametrize(("kind", "count"), COUNTED)
def test_a_seq_outside_an_event_is_refused(kind, count):
    event = event_of(kind, count)
    for seq in (event.first_seq - 1, event.seq + 1, 0, -3):
        with pytest.raises(InvalidInput, match=rf"{event.first_seq}\.\.{event.seq}"):
            truncate(event, seq)


@pytest.mark.parametrize("kind", ENDS)
def test_no_prefix_knows_what_had_not_happened_yet(kind):
    singles = {single.kind: single.facts for single in expand(whole_attempt(kind))}
    before_end = [facts for each, facts in singles.items() if each in (Kind.STEP_SCHEDULED, Kind.STEP_STARTED)]
    for facts in (*before_end, singles[Kind.STEP_INPUT_RECORDED]):
        assert facts.output is msgspec.UNSET
        assert facts.failure is None
        assert facts.finished is None
        assert facts.effects == ()
    assert singles[Kind.STEP_SCHEDULED].started is None
    assert singles[Kind.STEP_STARTED].input is None
    if kind is Kind.STEP_RETRIED:
        assert singles[Kind.STEP_FAILED].retry_due is None
        assert singles[Kind.STEP_RETRIED].retry_due is not None


@given(histories())
def test_times_never_go_back_within_an_attempt(history):
    for event in history:
        times = [single.at for single in expand(event)]
        assert times == sorted(times)


@given(histories())
def test_what_is_stored_reads_back_as_it_was(history):
    for event in history:
        body = encode_facts(event.facts)
        row = (event.seq, event.count, str(event.kind), event.step, event.attempt, event.at, body)
        assert read_event(*row) == event
        assert encode_facts(read_event(*row).facts) == body


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"scheduled":"soon"}', b'{"failure":{"type":1}}'])
def test_damaged_facts_are_corrupt_history(body):
    with pytest.raises(CorruptHistory, match="step_completed"):
        decode_facts(Kind.STEP_COMPLETED, body)


def test_kinds_are_the_ones_of_the_schema_and_each_leads_to_itself():
    assert set(LEADING) == set(Kind)
    assert all(leading[-1] is kind for kind, leading in LEADING.items())
    assert max(len(leading) for leading in LEADING.values()) == 5


def test_facts_of_runs_and_steps_are_told_apart_by_kind():
    assert isinstance(decode_facts(Kind.RUN_FAILED, b"{}"), RunFacts)
    assert isinstance(decode_facts(Kind.STEP_FAILED, b"{}"), StepFacts)


@given(st.sampled_from(ENDS))
def test_the_bytes_of_facts_do_not_depend_on_the_order_of_fields(kind):
    data = encode_facts(attempt_facts(kind))
    keys = list(msgspec.json.decode(data))
    assert keys == sorted(keys)
