"""What is said to a run is part of its state, at every seq."""

from __future__ import annotations

import msgspec

from kronos.core.events import Event, Kind, RunFacts, StepFacts
from kronos.core.state import fold
from tests.core.test_state import RUN

RAW = msgspec.Raw


def facts(kind, seq, **said) -> Event:
    return Event(seq=seq, kind=kind, at=seq, facts=RunFacts(**said))


HISTORY = [
    facts(Kind.RUN_STARTED, 1, workflow="w"),
    facts(Kind.RUN_SIGNALLED, 2, signal="price", value=RAW(b"1"), by="desk"),
    facts(Kind.RUN_ATTRIBUTED, 3, attributes={"symbol": "BTC", "size": 3}),
    facts(Kind.RUN_SIGNALLED, 4, signal="price", value=RAW(b"2"), by="desk"),
    facts(Kind.RUN_PAUSED, 5, by="ops", reason="look"),
    Event(
        seq=10,
        kind=Kind.STEP_COMPLETED,
        at=10,
        facts=StepFacts(wait="signal", signal=2, started=5, finished=9, output=RAW(b"1")),
        step="price",
        attempt=1,
        count=5,
    ),
    facts(Kind.RUN_ATTRIBUTED, 11, attributes={"size": None, "side": "buy"}),
    facts(Kind.RUN_RESUMED, 12, by="ops"),
]


def test_messages_are_kept_in_order_until_a_step_takes_them_once():
    def waiting(upto):
        return [(s.seq, s.name, bytes(s.value)) for s in fold(RUN, HISTORY, upto=upto).notes.signals]

    assert waiting(4) == [(2, "price", b"1"), (4, "price", b"2")]
    assert waiting(10) == [(4, "price", b"2")]
    assert waiting(12) == [(4, "price", b"2")]


def test_a_run_knows_who_holds_it_and_why_until_it_is_let_go():
    assert fold(RUN, HISTORY, upto=4).notes.pause is None
    pause = fold(RUN, HISTORY, upto=11).notes.pause
    assert pause is not None
    assert (pause.by, pause.reason, pause.at) == ("ops", "look", 5)
    assert fold(RUN, HISTORY).notes.pause is None


def test_attributes_are_set_replaced_and_removed():
    assert dict(fold(RUN, HISTORY, upto=3).notes.attributes) == {"symbol": "BTC", "size": 3}
    assert dict(fold(RUN, HISTORY).notes.attributes) == {"symbol": "BTC", "side": "buy"}


def test_a_step_that_waits_is_no_attempt_and_no_work():
    run = fold(RUN, HISTORY)
    assert (run.attempts, run.worked_ns) == (0, 0)
