"""A held run begins nothing; a cancel reaches what runs; silence is noticed; budgets and costs are exact."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from decimal import Decimal

import psycopg
import pytest

from kronos import Budget, StepContext, step, wait_for_signal, workflow
from kronos.core.state import Phase
from kronos.engine.attempts import ROOM_MAX
from kronos.errors import Cancelled, InvalidInput
from kronos.ports.history import RunFilter
from kronos.storage.statements import statement

SLOTS = 4  # of the engine of these tests
gates: dict[str, threading.Event] = {}
seen: dict[str, object] = {}


def gate(name: str) -> threading.Event:
    return gates.setdefault(name, threading.Event())


@step
def first(name: str) -> str:
    assert gate(name).wait(15)
    return name


@step
def second(name: str) -> str:
    seen[name] = time.monotonic()
    return f"{name} done"


@workflow(version="1")
def two(name: str) -> str:
    return second(first(name))


# ── pause and resume ──


def test_a_held_run_lets_run_what_runs_and_begins_nothing_until_it_is_let_go(talk):
    run = talk.start(two, {"name": "held"})
    talk.until(run, lambda state: "first" in state.steps)
    talk.app.pause(run, by="ops", reason="let me look")
    talk.until(run, lambda state: state.notes.pause)
    gate("held").set()
    talk.until(run, lambda state: state.steps["first"].status == "completed")
    talk.parked(run)
    assert "held" not in seen
    assert "second" not in talk.app.history.state_at(run).steps
    talk.app.resume(run, by="ops")
    assert talk.result(run) == "held done"
    kinds = talk.kinds(run)
    assert [kind for kind in kinds if kind.startswith(("run_p", "run_r"))] == ["run_paused", "run_resumed"]


def test_a_run_that_was_paused_before_anybody_claimed_it_does_not_begin(talk):
    gate("early").set()
    with psycopg.connect(talk.url) as connection:  # one transaction: nobody can claim it unpaused
        run = talk.start(two, {"name": "early"}, conn=connection)
        at = {"run": run, "command": uuid.uuid4(), "kind": "pause", "body": b'{"by":"ops","reason":""}'}
        assert connection.execute(statement("send_to_inbox"), at).fetchone() is not None
    talk.parked(run)
    assert set(talk.app.history.state_at(run).steps) == set()
    talk.app.resume(run)
    assert talk.result(run) == "early done"


def test_a_held_run_can_be_cancelled(talk):
    run = talk.start(two, {"name": "dropped"})
    talk.app.pause(run)
    talk.until(run, lambda state: state.notes.pause)
    talk.app.cancel(run, by="ops")
    assert talk.end(run).phase is Phase.CANCELLED
    gate("dropped").set()


# ── cancelling what runs ──


@step
def loop(name: str, ctx: StepContext) -> None:
    gate(name).set()
    try:
        for _ in range(3_000):
            ctx.check_cancelled()
            time.sleep(0.005)
    except Cancelled:
        seen[name] = "thread"
        raise


@step
async def wait_long(name: str) -> None:
    gate(name).set()
    try:
        await asyncio.sleep(20)
    except asyncio.CancelledError:
        seen[name] = "coroutine"
        raise


@workflow(version="1")
def looping(name: str) -> None:
    loop(name)


@workflow(version="1")
def awaiting(name: str) -> None:
    wait_long(name)


@pytest.mark.parametrize(("flow", "kind"), [(looping, "thread"), (awaiting, "coroutine")])
def test_a_cancel_reaches_the_step_that_runs(talk, flow, kind):
    run = talk.start(flow, {"name": f"cancel-{kind}"})
    assert gate(f"cancel-{kind}").wait(10)
    began = time.monotonic()
    talk.app.cancel(run)
    assert talk.end(run).phase is Phase.CANCELLED
    while seen.get(f"cancel-{kind}") != kind:
        assert time.monotonic() - began < 5
        time.sleep(0.005)


@step
def doze(name: str, ctx: StepContext) -> None:
    gate(name).set()
    while True:
        time.sleep(1.5)
        ctx.check_cancelled()


@workflow(version="1")
def dozing(name: str) -> None:
    doze(name)


def test_cancelling_many_steps_at_once_does_not_end_the_life_of_their_worker(talk):
    life = talk.engine._worker.worker.incarnation
    for batch in range(4):
        runs = [talk.start(dozing, {"name": f"many-{batch}-{i}"}) for i in range(4)]
        for i in range(4):
            assert gate(f"many-{batch}-{i}").wait(10)
        for run in runs:
            talk.app.cancel(run)
        assert {talk.end(run).phase for run in runs} == {Phase.CANCELLED}
    assert talk.engine._worker.worker.incarnation == life


# ── signs of life ──


@step(heartbeat_timeout="200ms", retries=1, backoff="10ms")
def breathe(ctx: StepContext) -> int:
    for done in range(6):
        if ctx.attempt == 1 and done == 2:
            time.sleep(1.5)
        ctx.heartbeat({"done": done})
        time.sleep(0.05)
    return ctx.attempt


@workflow(version="1")
def breathing() -> int:
    return breathe()


def test_a_step_that_goes_silent_is_given_up_and_tried_again(talk):
    run = talk.start(breathing)
    assert talk.result(run) == 2
    retried = next(event for event in talk.facts(run) if event.kind == "step_retried")
    assert (retried.facts.failure.type, retried.facts.failure.cause) == ("HeartbeatTimeout", "timeout")
    assert "no sign of life for 0.2 s" in retried.facts.failure.message


@step
def long_work(name: str, ctx: StepContext) -> None:
    ctx.progress(3, 10)
    assert gate(name).wait(15)


@workflow(version="1")
def working(name: str) -> None:
    long_work(name)


def test_how_far_a_step_is_can_be_seen_while_it_runs_and_not_after(talk):
    run = talk.start(working, {"name": "seen"})
    deadline = time.monotonic() + 10
    while not (shown := talk.app.query(run, "progress")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [(each["step"], each["attempt"], each["progress"]) for each in shown] == [
        ("long_work", 1, {"done": 3, "total": 10})
    ]
    gate("seen").set()
    talk.result(run)
    while talk.app.query(run, "progress"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ── costs and budgets ──


@step(retries=1, backoff="5ms")
def ask_model(ctx: StepContext) -> str:
    ctx.cost(usd=Decimal("0.1"), tokens_in=100, tokens_out=7)
    ctx.cost(usd="0.2", tokens_in=1)
    ctx.set_attribute("model", "m-1")
    if ctx.attempt == 1:
        raise ValueError("the answer was no JSON")
    return "answer"


@step
def ask_more(text: str) -> str:
    seen["more"] = True
    return text


@workflow(version="1")
def asking() -> str:
    return ask_more(ask_model())


@workflow(version="1", budget=Budget(usd="0.5"))
def frugal() -> str:
    return ask_more(ask_model())


@workflow(version="1", budget=Budget(attempts=1))
def once() -> str:
    return ask_more(ask_model())


def test_what_attempts_cost_is_on_record_each_and_summed_failed_ones_too(talk):
    run = talk.start(asking)
    assert talk.result(run) == "answer"
    state = talk.app.history.state_at(run)
    assert (state.costs.usd, state.costs.calls, state.costs.tokens_in, state.costs.tokens_out) == ("0.6", 4, 202, 14)
    spent = talk.app.history.run(run).spent
    assert (spent.costs.usd, spent.attempts) == ("0.6", 3)
    failed = next(event for event in talk.facts(run) if event.kind == "step_failed")
    assert (failed.facts.costs.usd, failed.facts.costs.tokens_in) == ("0.3", 101)
    assert talk.app.query(run, "costs")["usd"] == "0.6"
    assert talk.app.attributes(run) == {"model": "m-1"}


def test_a_budget_that_is_used_up_stops_the_run_before_its_next_step(talk):
    seen.pop("more", None)
    run = talk.end(talk.start(frugal))
    assert (run.phase, run.failed_step, run.failure.type) == (Phase.FAILED, "ask_more", "BudgetExceeded")
    assert "budget usd=0.5 is used up: the attempts so far cost 0.6 USD" in run.failure.message
    assert "more" not in seen


def test_attempts_are_limited_too(talk):
    run = talk.end(talk.start(once))
    assert (run.phase, run.failed_step, run.failure.type) == (Phase.FAILED, "ask_model", "BudgetExceeded")
    assert "budget attempts=1 is used up: 1 attempts were made" in run.failure.message


@step
def pay(element: int, ctx: StepContext) -> int:
    ctx.cost(usd="0.30")
    return element


@step(executor="async")
async def pay_async(element: int, ctx: StepContext) -> int:
    ctx.cost(usd="0.30")
    await asyncio.sleep(0.001)
    return element


@step(retries=1, backoff="5ms")
def pay_twice(element: int, ctx: StepContext) -> int:
    ctx.cost(usd="0.01")
    if ctx.attempt == 1:
        raise ValueError("once more")
    return element


@workflow(version="1", budget=Budget(usd="1"))
def wide(elements: list[int]) -> list[int]:
    return pay.map(elements)


@workflow(version="1", budget=Budget(usd="1"))
def wide_async(elements: list[int]) -> list[int]:
    return pay_async.map(elements)


@workflow(version="1", budget=Budget(usd="100"))
def wide_within(elements: list[int]) -> list[int]:
    return pay_twice.map(elements)


@pytest.mark.parametrize(("flow", "slots"), [(wide, SLOTS), (wide_async, ROOM_MAX)])
def test_a_wide_map_spends_at_most_its_budget_and_what_the_slots_are_at(talk, flow, slots):
    run = talk.end(talk.start(flow, {"elements": list(range(100))}))
    assert (run.phase, run.failure.type) == (Phase.FAILED, "BudgetExceeded")
    assert Decimal(1) <= Decimal(run.spent.costs.usd) <= 1 + slots * Decimal("0.30")


def test_a_wide_map_within_its_budget_ends_whole_though_each_element_fails_once(talk):
    run = talk.start(wide_within, {"elements": list(range(60))})
    assert talk.result(run) == list(range(60))
    assert talk.app.history.run(run).spent.costs.usd == "1.2"


@step
def spend(ctx: StepContext) -> None:
    ctx.cost(usd=0.1)  # type: ignore[arg-type]


@workflow(version="1")
def careless() -> None:
    spend()


def test_a_float_is_no_money(talk):
    run = talk.end(talk.start(careless))
    assert (run.phase, run.failure.type) == (Phase.FAILED, "InvalidInput")
    assert "not a float" in run.failure.message


# ── attributes and bulk cancelling ──


@workflow(version="1")
def idle(name: str) -> int:
    return wait_for_signal("go", int)


def test_runs_are_found_by_their_attributes_and_cancelled_in_bulk(talk):
    runs = [
        talk.start(idle, {"name": "bulk"}, attributes={"symbol": "BTC" if i % 3 else "ETH", "batch": 7, "n": i})
        for i in range(9)
    ]
    found = talk.app.history.runs(RunFilter(where={"symbol": "BTC", "batch": "7"})).runs
    assert {run.id for run in found} == {run for i, run in enumerate(runs) if i % 3}
    for run in runs:
        talk.until(run, lambda state: state.notes.attributes)
    assert dict(talk.app.history.state_at(runs[1]).notes.attributes) == {"symbol": "BTC", "batch": 7, "n": 1}
    chosen = RunFilter(where={"symbol": "BTC", "batch": "7"})
    assert talk.app.cancel_all(chosen, dry_run=True).matched == 6
    told: list[tuple[int, int]] = []
    report = talk.app.cancel_all(chosen, reason="wrong market", on_progress=lambda *at: told.append(at))
    assert (report.matched, report.asked, told) == (6, 6, [(6, 6)])
    for i, run in enumerate(runs):
        if i % 3:
            assert talk.end(run).phase is Phase.CANCELLED
    left = [run for i, run in enumerate(runs) if not i % 3]
    for run in left:
        talk.app.signal(run, "go", 1)
    assert {talk.end(run).phase for run in left} == {Phase.COMPLETED}


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_bulk_cancel_that_names_no_runs_is_refused_and_ends_none(talk, dry_run):
    run = talk.start(idle, {"name": "kept"})
    with pytest.raises(InvalidInput, match="means every open run: say which"):
        talk.app.cancel_all(RunFilter(), dry_run=dry_run)
    talk.app.signal(run, "go", 1)
    assert talk.end(run).phase is Phase.COMPLETED


@pytest.mark.parametrize("attributes", [{"": 1}, {"a=b": 1}, {"a": [1]}, {"a": float("nan")}, {"a": "nul\x00"}])
def test_an_attribute_that_cannot_be_searched_is_refused_by_name(talk, attributes):
    with pytest.raises(InvalidInput, match="attribute"):
        talk.start(two, {"name": "x"}, attributes=attributes)
