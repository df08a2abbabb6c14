"""A message reaches its run once and in order, however the run stands, and wherever its owner is."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass

import pytest

from kronos import sleep, step, wait_for_signal, when, workflow
from kronos.app import Changes, Kronos
from kronos.core.asking import is_waiting
from kronos.core.state import Phase
from kronos.errors import Conflict, InvalidInput, WorkflowDefinitionError


@dataclass
class Price:
    symbol: str
    price: float


@step
def pair(a: int, b: int) -> list[int]:
    return [a, b]


@step
def show(price: Price) -> str:
    return f"{price.symbol} {price.price}"


@workflow(version="1")
def quoted() -> str:
    return show(wait_for_signal("price", Price))


@workflow(version="1")
def paired() -> list[int]:
    first = wait_for_signal("n", int, step="first")
    second = wait_for_signal("n", int, step="second", after=["first"])
    return pair(first, second)


@workflow(version="1")
def impatient() -> int:
    return wait_for_signal("n", int, timeout="50ms")


@workflow(version="1")
def easy() -> int:
    return wait_for_signal("n", int, timeout="50ms", default=7)


def test_a_run_that_waits_for_a_message_goes_on_with_it(talk):
    run = talk.start(quoted)
    assert talk.parked(run)["owner"] is None
    talk.app.signal(run, "price", Price("BTC", 5.5), by="desk")
    assert talk.result(run) == "BTC 5.5"
    assert talk.row(run)["takeovers"] == 0
    said = next(event for event in talk.facts(run) if event.kind == "run_signalled")
    assert (said.facts.signal, bytes(said.facts.value), said.facts.by) == (
        "price",
        b'{"price":5.5,"symbol":"BTC"}',
        "desk",
    )
    taken = next(event for event in talk.facts(run) if event.kind == "step_completed")
    assert taken.facts.signal == said.seq


def test_messages_that_came_before_the_wait_are_kept_in_order_and_taken_once(talk):
    gate = threading.Event()

    @step
    def open_gate() -> None:
        assert gate.wait(10)

    @workflow(version="1")
    def late() -> list[int]:
        opened = open_gate()
        first = wait_for_signal("n", int, step="first", after=[opened])
        second = wait_for_signal("n", int, step="second", after=["first"])
        return pair(first, second)

    run = talk.start(late)
    for number in (1, 2, 3):
        talk.app.signal(run, "n", number)
    talk.until(run, lambda state: len(state.notes.signals) == 3)
    gate.set()
    assert talk.result(run) == [1, 2]
    state = talk.app.history.state_at(run)
    assert [bytes(signal.value) for signal in state.notes.signals] == [b"3"]
    first, second = (state.steps[name].facts.signal for name in ("first", "second"))
    assert first < second


def test_many_messages_sent_at_once_arrive_in_the_order_in_which_they_were_accepted(talk):
    @step
    def collect(numbers: list[int]) -> list[int]:
        return numbers

    @workflow(version="1")
    def ten() -> list[int]:
        taken = [wait_for_signal("n", int, step=f"n{i}", after=[f"n{i - 1}"] if i else []) for i in range(10)]
        return collect(taken)

    runs = [talk.start(ten) for _ in range(5)]

    def send(run):
        for number in range(10):
            talk.app.signal(run, "n", number)

    threads = [threading.Thread(target=send, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run in runs:
        assert talk.result(run) == list(range(10))
        assert talk.kinds(run).count("run_signalled") == 10
        row = talk.row(run)
        assert row["inbox_n"] == row["inbox_seen"] == 10


def test_a_message_with_a_key_that_is_sent_again_counts_once(talk):
    run = talk.start(paired)
    talk.app.signal(run, "n", 1, key="order-17")
    talk.until(run, lambda state: state.notes.keys)
    talk.app.signal(run, "n", 1, key="order-17")
    talk.app.signal(run, "n", 2, key="order-18")
    assert talk.result(run) == [1, 2]


def test_a_message_that_nobody_waits_for_and_one_that_does_not_fit_are_refused_by_name(talk):
    run = talk.start(quoted)
    with pytest.raises(InvalidInput, match=r"'prise'.*price"):
        talk.app.signal(run, "prise", {})
    with pytest.raises(InvalidInput) as refused:
        talk.app.signal(run, "price", {"symbol": "BTC", "price": "high"})
    assert refused.value.facts["field"] == "$.price"
    with pytest.raises(InvalidInput, match="65,536"):
        talk.app.signal(run, "price", {"symbol": "x" * 70_000, "price": 1})
    assert talk.row(run)["inbox_n"] == 0
    talk.app.cancel(run)
    assert talk.end(run).phase is Phase.CANCELLED
    with pytest.raises(Conflict, match="cancelled already"):
        talk.app.signal(run, "price", Price("BTC", 1))


def test_a_message_that_does_not_come_in_time_fails_the_run_and_says_which(talk):
    run = talk.end(talk.start(impatient))
    assert (run.phase, run.failed_step, run.failure.cause) == (Phase.FAILED, "n", "timeout")
    assert "no signal 'n' came within 0.05 s" in run.failure.message


def test_a_message_that_does_not_come_in_time_is_replaced_by_its_default(talk):
    assert talk.result(talk.start(easy)) == 7


def test_signalling_and_cancelling_at_once_loses_neither(talk):
    runs = [talk.start(quoted) for _ in range(20)]
    for run in runs:
        talk.app.signal(run, "price", Price("BTC", 1))
        with contextlib.suppress(Conflict):  # it may have completed already
            talk.app.cancel(run)
    for run in runs:
        assert talk.end(run).phase in (Phase.CANCELLED, Phase.COMPLETED)
        assert talk.kinds(run).count("run_signalled") == 1
        row = talk.row(run)
        assert row["inbox_n"] == row["inbox_seen"]


# ── timers ──


@step
def stamp() -> str:
    return "later"


@workflow(version="1")
def napping() -> str:
    nap = sleep("100ms", name="nap")
    return stamp.named("late", after=[nap])()


@workflow(version="1")
def long_sleep() -> str:
    nap = sleep("3d", name="nap")
    return stamp.named("late", after=[nap])()


def test_a_sleep_delays_what_comes_after_it(talk):
    run = talk.start(napping)
    assert talk.result(run) == "later"
    at = {(event.step, str(event.kind)): event.at for event in talk.facts(run)}
    assert 0.1e9 <= at["late", "step_started"] - at["nap", "step_started"] < 2e9


def test_a_sleep_of_days_costs_a_row(talk):
    run = talk.start(long_sleep)
    assert 3 * 86_400 - 60 < talk.parked(run)["sleep_s"] < 3 * 86_400
    assert is_waiting(talk.app.history.state_at(run).steps["nap"])
    talk.app.cancel(run)
    assert talk.end(run).phase is Phase.CANCELLED


def test_a_wait_stands_in_an_arm_of_a_branch(talk):
    @step
    def is_large(size: int) -> bool:
        return size > 10

    @workflow(version="1")
    def branching(size: int) -> int:
        return when(is_large(size), lambda: wait_for_signal("n", int), lambda: size)

    large, small = talk.start(branching, {"size": 11}), talk.start(branching, {"size": 1})
    assert talk.result(small) == 1
    talk.app.signal(large, "n", 42)
    assert talk.result(large) == 42


def test_what_cannot_be_waited_for_is_refused_where_it_is_written():
    with pytest.raises(WorkflowDefinitionError, match="belongs into a workflow function"):
        sleep("1s")
    with pytest.raises(WorkflowDefinitionError, match="used twice"):

        @workflow(version="1")
        def twice() -> None:
            sleep("1s")
            sleep("2s")

    with pytest.raises(WorkflowDefinitionError, match="give timeout= too"):

        @workflow(version="1")
        def never() -> int:
            return wait_for_signal("n", int, default=3)


def test_a_key_that_is_used_with_another_value_is_refused_and_the_same_again_is_harmless(talk):
    run = talk.start(paired)
    talk.app.signal(run, "n", 1, key="k")
    talk.app.signal(run, "n", 1, key="k")
    with pytest.raises(Conflict, match=r"key 'k' belongs to the message 'n'.*another value"):
        talk.app.signal(run, "n", 2, key="k")
    talk.until(run, lambda state: "k" in state.notes.keys)
    talk.app.signal(run, "n", 1, key="k")
    with pytest.raises(Conflict, match=r"key 'k'.*use another key"):
        talk.app.signal(run, "n", 2, key="k")
    talk.app.signal(run, "n", 2, key="other")
    assert talk.result(run) == [1, 2]


def test_a_message_that_a_run_received_is_received_also_after_its_end(talk):
    run = talk.start(paired)
    talk.app.signal(run, "n", 1, key="k")
    talk.app.signal(run, "n", 2, key="l")
    assert talk.result(run) == [1, 2]
    events = len(talk.facts(run))
    talk.app.signal(run, "n", 1, key="k")
    assert len(talk.facts(run)) == events
    with pytest.raises(Conflict, match=r"key 'k' belongs to the message 'n'.*another value"):
        talk.app.signal(run, "n", 2, key="k")
    for late in ("m", ""):
        with pytest.raises(Conflict, match="is completed already"):
            talk.app.signal(run, "n", 1, key=late)


def test_a_key_is_held_to_its_message_while_it_waits_in_the_inbox_too(database_url, tmp_path):
    with Kronos.open(database_url=database_url, data_dir=tmp_path, workflows=[paired]) as app:
        run = app.start(paired)
        app.signal(run, "n", 1, key="k")
        app.signal(run, "n", 1, key="k")
        with pytest.raises(Conflict, match=r"key 'k' belongs to the message 'n'"):
            app.signal(run, "n", 2, key="k")


NO_IDS = ("x", "", 5, None, True, "a\0")


@pytest.mark.parametrize("no_id", NO_IDS)
def test_what_is_no_run_id_is_refused_by_every_question_and_every_message(talk, no_id):
    app = talk.app
    calls = [
        lambda: app.cancel(no_id),
        lambda: app.pause(no_id),
        lambda: app.resume(no_id),
        lambda: app.signal(no_id, "n", 1),
        lambda: app.approve(no_id, by="me"),
        lambda: app.approvals(no_id),
        lambda: app.attributes(no_id),
        lambda: app.set_attributes(no_id, {"a": 1}),
        lambda: app.query(no_id, "steps"),
        lambda: app.wait(no_id, 0.1),
        lambda: app.events_since(no_id, 0),
        lambda: app.fork(no_id, at_seq=1),
        lambda: app.forks.retry(no_id),
        lambda: app.forks.family(no_id),
        lambda: app.history.run(no_id),
        lambda: app.history.events(no_id),
        lambda: app.history.state_at(no_id),
        lambda: app.history.scopes(no_id),
        lambda: app.history.progress(no_id),
        lambda: app.history.verify(no_id),
    ]
    calls += [] if no_id is None else [lambda: app.doctor(no_id)]
    for call in calls:
        with pytest.raises(InvalidInput, match="is not a UUID") as refused:
            call()
        assert refused.value.facts["field"] == "run_id"


def test_texts_that_cannot_be_kept_are_refused_naming_their_field(talk):
    run, app = talk.start(paired), talk.app
    wrong = [
        ("name", lambda: app.signal(run, "n\0", 1)),
        ("name", lambda: app.signal(run, 5, 1)),
        ("key", lambda: app.signal(run, "n", 1, key="a\0")),
        ("key", lambda: app.signal(run, "n", 1, key=5)),
        ("by", lambda: app.signal(run, "n", 1, by="x" * 1_001)),
        ("reason", lambda: app.cancel(run, reason=5)),
        ("by", lambda: app.pause(run, by=None)),
        ("reason", lambda: app.resume(run, reason="a\0")),
        ("by", lambda: app.approve(run, by=5)),
        ("at_seq", lambda: app.fork(run, at_seq=True)),
        ("at_seq", lambda: app.fork(run, at_seq=2.5)),
        ("inputs.pair", lambda: app.fork(run, changes=Changes(inputs={"pair": [1]}))),
        ("workflow_name", lambda: app.start(5)),
        ("workflow_name", lambda: app.start("a\0")),
        ("version", lambda: app.start("paired", version="1\0")),
        ("timeout", lambda: app.start(paired, timeout_s=float("nan"))),
        ("timeout", lambda: app.start(paired, timeout_s=1e15)),
    ]
    for field, call in wrong:
        with pytest.raises(InvalidInput) as refused:
            call()
        assert refused.value.facts["field"] == field
    app.cancel(run)
