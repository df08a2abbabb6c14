"""A fork goes back to a moment of a run, changes something, and runs on from there."""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kronos import StepContext, repeat_until, step, workflow
from kronos.app import Changes, Engine
from kronos.core.events import Kind, StepFacts
from kronos.core.state import Phase
from kronos.errors import Conflict, CorruptHistory, InvalidInput, NotFound
from kronos.ports.history import RunFilter
from kronos.settings import Settings
from tests.engine.conftest import facts, kinds

ran: Counter[str] = Counter()
gates: dict[str, threading.Event] = {}
shelf = {"price": 10, "failing": 0}


@dataclass
class Order:
    amount: int
    discount: int = 0


@step
def load(amount: int) -> int:
    ran["load"] += 1
    return amount


@step
def tax(amount: int, rate: int = 2) -> int:
    ran["tax"] += 1
    return amount * rate


@step(effect="read")
def quote(amount: int, ctx: StepContext) -> int:
    ran["quote"] += 1
    return amount * ctx.call(lambda: shelf["price"])


@step
def total(taxed: int, quoted: int, discount: int) -> int:
    ran["total"] += 1
    return taxed + quoted - discount


@step
def grade(value: int) -> str:
    ran["grade"] += 1
    return "large" if value > 50 else "small"


@step
def note(value: int, graded: str) -> str:
    ran["note"] += 1
    return f"{graded} {value // 1000}"


@workflow(version="1")
def billing(order: Order) -> str:
    loaded = load(order.amount)
    value = total(tax(loaded), quote(loaded), order.discount)
    return note(value, grade(value))


@step(retries=1, backoff="1ms")
def fragile(amount: int) -> int:
    ran["fragile"] += 1
    if shelf["failing"]:
        raise ValueError("the shelf is broken")
    return amount + 1


@step(effect="external")
def send(amount: int) -> str:
    ran["send"] += 1
    return f"sent {amount}"


@workflow(version="1")
def shipping(amount: int) -> str:
    return send(fragile(load(amount)))


@step
def picky(number: int) -> int:
    ran[f"picky {number}"] += 1
    if number == shelf["failing"]:
        raise ValueError(f"{number} is disliked")
    return 10 * number


@step
def together(numbers: list[int]) -> int:
    return sum(numbers)


@workflow(version="1")
def many(numbers: list[int]) -> int:
    return together(picky.map(numbers))


@step
def grow(number: int) -> int:
    return number + 1


@step
def is_grown(number: int) -> bool:
    return number >= 3


@workflow(version="1")
def nested(grid: list[list[int]]) -> list[list[int]]:
    return picky.map_nested(grid)


@workflow(version="1")
def growing(number: int) -> int:
    return repeat_until(grow, is_grown, initial=number, max=9)


@step
def held(amount: int) -> int:
    ran["held"] += 1
    assert gates["held"].wait(20), "the test never opened the gate"
    return amount


@workflow(version="1")
def patient(amount: int) -> int:
    return tax(held(load(amount)))


@pytest.fixture(scope="module")
def engine(postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine for this module, over a database of its own."""
    name = f"kronos_forks_{secrets.token_hex(4)}"
    head, mark, query = postgres_url.partition("?")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY")
    url = f"{head.rpartition('/')[0]}/{name}{mark}{query}"
    settings = Settings(data_dir=tmp_path_factory.mktemp("forks"), worker_concurrency=4)
    with Engine(workflows=[billing, many, shipping, patient], database_url=url, settings=settings) as running:
        yield running
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(autouse=True)
def start_afresh() -> Iterator[None]:
    ran.clear()
    shelf.update(price=10, failing=0)
    gates["held"] = threading.Event()
    yield
    gates["held"].set()


@pytest.fixture
def parent(engine: Engine) -> str:
    """A completed run: load 3, tax 6, quote 30, total 36, small."""
    run_id = engine.start(billing, Order(3)).run_id
    assert output(engine, run_id) == "small 0"
    ran.clear()
    return run_id


def output(engine: Engine, run_id: Any) -> Any:
    run = engine.app.wait(run_id, 20)
    assert run.phase is Phase.COMPLETED, run
    return json.loads(run.output)


def until(engine: Engine, run_id: Any, holds: Callable[[], bool]) -> None:
    """Wait until something holds, looking again at each event of a run."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        engine.app.events_since(run_id, engine.app.history.run(run_id).head_seq, wait_s=0.05)


def outputs(engine: Engine, run_id: Any) -> dict[str, Any]:
    steps = engine.app.history.state_at(run_id).steps
    return {name: json.loads(bytes(state.facts.output)) for name, state in steps.items()}


def executed(engine: Engine, run_id: Any) -> dict[str, StepFacts]:
    return {name: state.facts for name, state in engine.app.history.state_at(run_id).steps.items()}


# ── KO15, KO16: from a step on ──


def test_a_fork_from_a_step_runs_that_step_and_what_depends_on_it_and_nothing_else(engine, parent):
    fork = engine.app.fork(parent, at="total")
    assert output(engine, fork) == "small 0"
    assert ran == {"total": 1, "grade": 1, "note": 1}


def test_a_step_beside_the_fork_is_not_run_again_though_it_ended_later(engine, parent):
    begun = {each.step: each.seq for each in facts(engine.app, parent) if each.kind == Kind.STEP_SCHEDULED}
    first, other = sorted(("tax", "quote"), key=begun.__getitem__)
    fork = engine.app.fork(parent, at=first)
    assert output(engine, fork) == "small 0"
    assert ran == {first: 1, "total": 1, "grade": 1, "note": 1}
    origin = executed(engine, fork)[other].reused_from
    assert origin is not None
    assert (origin.run, origin.step) == (parent, other)


def test_a_fork_with_other_code_has_another_output_from_that_step_on(engine, parent):
    @step(name="total")
    def fixed(taxed: int, quoted: int, discount: int) -> int:
        return taxed + quoted - discount + 1000

    @workflow(version="2", name="billing")
    def repaired(order: Order) -> str:
        loaded = load(order.amount)
        value = fixed(tax(loaded), quote(loaded), order.discount)
        return note(value, grade(value))

    fork = engine.app.fork(parent, at="total", changes=Changes(workflow=repaired))
    assert output(engine, fork) == "large 1"
    assert outputs(engine, fork)["tax"] == 6
    assert "tax" not in ran
    assert engine.app.history.run(fork).version == "2"


def test_many_runs_are_forked_alike_and_a_refusal_is_that_runs_alone(engine):
    runs = [engine.start(many, {"numbers": [n, n]}).run_id for n in (4, 5)]
    other = engine.start(shipping, {"amount": 1}).run_id
    for run_id in (*runs, other):
        engine.app.wait(run_id, 20)
    found = [run for run in engine.app.forks.chosen(RunFilter()) if run.id in (*runs, other)]
    done = engine.app.forks.fork_many(found, changes=Changes(inputs={"picky[0]": {"number": 1}}))
    assert {each.run_id for each in done if each.refused} == {other}
    made = {each.run_id: each.fork for each in done}
    assert [output(engine, made[run_id]) for run_id in runs] == [50, 60]


# ── KX04: only what something changed for ──


def test_a_replaced_output_is_fed_to_descendants_and_is_not_executed(engine, parent):
    fork = engine.app.fork(parent, changes=Changes(outputs={"tax": 100}))
    assert output(engine, fork) == "large 0"
    assert ran == {"total": 1, "grade": 1, "note": 1}
    assert executed(engine, fork)["tax"].replaced
    assert outputs(engine, fork)["total"] == 130


def test_a_descendant_whose_inputs_came_out_the_same_is_not_run_again(engine, parent):
    fork = engine.app.fork(parent, changes=Changes(outputs={"grade": "small"}))
    assert output(engine, fork) == "small 0"
    assert ran == {}
    fork = engine.app.fork(parent, changes=Changes(inputs={"total": {"discount": 1}}))
    assert output(engine, fork) == "small 0"
    assert ran == {"total": 1, "grade": 1, "note": 1}


def test_a_replaced_run_input_runs_only_what_reads_what_changed(engine, parent):
    fork = engine.app.fork(parent, changes=Changes(input=Order(3, discount=5)))
    assert output(engine, fork) == "small 0"
    assert ran == {"total": 1, "grade": 1, "note": 1}
    assert outputs(engine, fork)["total"] == 31


def test_a_recorded_reading_of_the_world_is_reused_and_the_world_is_not_asked(engine, parent):
    shelf["price"] = 99
    fork = engine.app.fork(parent, changes=Changes(outputs={"tax": 7}))
    engine.app.wait(fork, 20)
    assert outputs(engine, fork)["quote"] == 30
    again = engine.app.fork(parent, at="quote")
    engine.app.wait(again, 20)
    assert outputs(engine, again)["quote"] == 297


def test_code_that_did_not_change_is_not_run_again_from_the_beginning(engine, parent):
    @step(name="grade")
    def lenient(value: int) -> str:
        return "huge"

    @workflow(version="3", name="billing")
    def renamed(order: Order) -> str:
        loaded = load(order.amount)
        value = total(tax(loaded), quote(loaded), order.discount)
        return note(value, lenient(value))

    fork = engine.app.fork(parent, changes=Changes(workflow=renamed))
    assert output(engine, fork) == "huge 0"
    assert ran == {"note": 1}


def test_code_that_dropped_a_step_that_had_failed_goes_on_without_it(engine):
    shelf["failing"] = 1
    parent = engine.start(shipping, {"amount": 5}).run_id
    assert engine.app.wait(parent, 20).failed_step == "fragile"

    @workflow(version="2", name="shipping")
    def direct(amount: int) -> str:
        return send(load(amount))

    changes = Changes(workflow=direct, allow_external=True)
    fork = engine.app.fork(parent, at_seq=engine.app.history.run(parent).head_seq - 1, changes=changes)
    assert output(engine, fork) == "sent 5"
    assert ran == {"load": 1, "fragile": 2, "send": 1}


# ── what a history is ──


def test_a_forks_history_is_one_log_whose_chain_crosses_the_boundary(engine, parent):
    fork = engine.app.fork(parent, at="total")
    engine.app.wait(fork, 20)
    shared = engine.app.history.run(fork).parent_seq
    whole, before = facts(engine.app, fork), facts(engine.app, parent)
    assert [each.seq for each in whole] == list(range(1, len(whole) + 1))
    assert whole[:shared] == before[:shared]
    assert (whole[shared].kind, whole[shared].facts.parent, whole[shared].facts.parent_seq) == (
        Kind.RUN_FORKED, parent, shared)  # fmt: skip
    assert engine.app.history.verify(fork) == len(whole)
    for seq in range(shared + 1):
        assert engine.app.history.state_at(fork, seq).steps == engine.app.history.state_at(parent, seq).steps


def test_a_run_can_be_forked_at_every_one_of_its_facts_but_its_end(engine, parent):
    head = engine.app.history.run(parent).head_seq
    forks = [engine.app.fork(parent, at_seq=seq) for seq in range(head)]
    for seq, fork in enumerate(forks):
        assert output(engine, fork) == "small 0", seq
        assert engine.app.history.verify(fork) > seq
        first = engine.app.history.events(fork, after=seq, limit=1)[0]
        assert (first.kind, first.seq) == (Kind.RUN_FORKED, seq + 1)


def test_a_fork_of_a_fork_is_flat_and_goes_on_in_its_parents_world(engine, parent):
    child = engine.app.fork(parent, changes=Changes(outputs={"tax": 100}))
    engine.app.wait(child, 20)
    ran.clear()
    grandchild = engine.app.fork(child, at="grade", changes=Changes(outputs={"grade": "odd"}))
    assert output(engine, grandchild) == "odd 0"
    assert outputs(engine, grandchild)["total"] == 130
    assert ran == {"note": 1}
    early = engine.app.fork(child, at="load")
    assert output(engine, early) == "large 0"
    assert outputs(engine, early)["tax"] == 100
    for each in (child, grandchild, early):
        assert engine.app.history.verify(each)
    with psycopg.connect(engine.app.url) as connection:
        rows = connection.execute(
            "SELECT ancestor::text, after_seq FROM kronos.run_ancestry WHERE run_id = %s ORDER BY place", [grandchild]
        ).fetchall()
        assert [row[0] for row in rows] == [parent, child]
        assert connection.execute("SELECT count(*) FROM kronos.run_ancestry WHERE run_id = %s", [early]).fetchone() == (
            1,
        )


def test_a_forged_event_of_the_parent_is_found_when_the_fork_is_verified(engine, parent):
    fork = engine.app.fork(parent, at="note")
    engine.app.wait(fork, 20)
    with psycopg.connect(engine.app.url, autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("ALTER TABLE kronos.events DISABLE TRIGGER append_only")
        owner.execute(
            "UPDATE kronos.events SET body = replace(convert_from(body, 'UTF8'), '\"output\":6', '\"output\":7')::bytea"
            " WHERE run_id = %s AND step = 'tax'",
            [parent],
        )
        owner.execute("ALTER TABLE kronos.events ENABLE ALWAYS TRIGGER append_only")
    with pytest.raises(CorruptHistory, match="does not match its hash"):
        engine.app.history.verify(fork)


def test_a_running_run_is_forked_in_its_past_and_goes_on_itself(engine):
    parent = engine.start(patient, {"amount": 4}).run_id
    until(engine, parent, lambda: "held" in engine.app.history.state_at(parent).steps)
    seq = engine.app.history.run(parent).head_seq
    fork = engine.app.fork(parent, at_seq=seq, changes=Changes(outputs={"tax": 1}))
    until(engine, fork, lambda: ran["held"] == 2)
    gates["held"].set()
    assert (output(engine, parent), output(engine, fork)) == (8, 1)
    lost = engine.app.history.state_at(fork).steps["held"]
    assert (lost.attempt, lost.failures) == (2, 0)
    assert "step_retried" in kinds(engine.app, fork, "held")


# ── the world outside ──


def test_an_external_step_is_executed_in_a_fork_only_where_that_was_allowed(engine):
    parent = engine.start(shipping, {"amount": 1}).run_id
    assert output(engine, parent) == "sent 2"
    ran.clear()
    refused = engine.app.wait(engine.app.fork(parent, at="fragile"), 20)
    assert (refused.phase, refused.failed_step) == (Phase.FAILED, "send")
    assert "allow_external=True" in refused.failure.message
    assert "send" not in ran
    allowed = engine.app.fork(parent, at="fragile", changes=Changes(allow_external=True))
    assert output(engine, allowed) == "sent 2"
    given = engine.app.fork(parent, at="fragile", changes=Changes(outputs={"send": "not sent"}))
    assert output(engine, given) == "not sent"
    assert ran["send"] == 1


# ── retry ──


def test_a_retry_keeps_what_completed_and_gives_what_failed_all_its_retries_again(engine):
    shelf["failing"] = 1
    parent = engine.start(shipping, {"amount": 5}).run_id
    assert engine.app.wait(parent, 20).phase is Phase.FAILED
    assert ran == {"load": 1, "fragile": 2}
    again = engine.app.wait(engine.app.forks.retry(parent), 20)
    assert (again.phase, again.failed_step) == (Phase.FAILED, "fragile")
    assert ran == {"load": 1, "fragile": 4}
    shelf["failing"] = 0
    fork = engine.app.forks.retry(again.id, allow_external=True)
    assert output(engine, fork) == "sent 6"
    assert ran == {"load": 1, "fragile": 5, "send": 1}
    assert engine.app.history.verify(fork)


def test_of_a_map_only_the_element_that_failed_is_retried_and_only_the_changed_one_run_again(engine):
    shelf["failing"] = 2
    parent = engine.start(many, {"numbers": [1, 2, 3]}).run_id
    assert engine.app.wait(parent, 20).failed_step == "picky[1]"
    shelf["failing"] = 0
    fork = engine.app.forks.retry(parent)
    assert output(engine, fork) == 60
    assert ran == {"picky 1": 1, "picky 2": 2, "picky 3": 1}
    other = engine.app.fork(fork, changes=Changes(inputs={"picky[2]": {"number": 7}}))
    assert output(engine, other) == 100
    again = engine.app.fork(other, at="picky[0]")
    assert output(engine, again) == 100
    assert ran == {"picky 1": 2, "picky 2": 2, "picky 3": 1, "picky 7": 1}
    longer = engine.app.fork(fork, changes=Changes(input={"numbers": [9, 1, 2, 3]}))
    assert output(engine, longer) == 150
    assert ran == {"picky 1": 2, "picky 2": 2, "picky 3": 1, "picky 7": 1, "picky 9": 1}
    assert engine.app.history.verify(longer)


def test_failed_runs_are_retried_in_bulk_once_each(engine):
    shelf["failing"] = 1
    failed = [engine.start(shipping, {"amount": n}).run_id for n in range(3)]
    for run_id in failed:
        assert engine.app.wait(run_id, 20).phase is Phase.FAILED
    shelf["failing"] = 0
    found = engine.app.forks.retriable(RunFilter(workflow="shipping"))
    assert {run.id for run in found} >= set(failed)
    done = engine.app.forks.retry_many(found, allow_external=True)
    assert [each.refused for each in done] == [None] * len(found)
    for each in done:
        assert engine.app.wait(each.fork, 20).phase is Phase.COMPLETED
    assert not {run.id for run in engine.app.forks.retriable(RunFilter(workflow="shipping"))} & set(failed)


# ── KO17: lineage ──


def test_a_family_shows_parent_and_children_and_what_each_changed(engine, parent):
    child = engine.app.fork(parent, changes=Changes(outputs={"tax": 100}))
    engine.app.wait(child, 20)
    grandchild = engine.app.fork(child, at="note", changes=Changes(inputs={"note": {"value": 5000}}))
    family = engine.app.forks.family(child)
    assert [kin.run_id for kin in family.ancestors] == [parent]
    assert [kin.run_id for kin in family.children] == [grandchild]
    assert family.run.changed == ["output of tax"]
    assert family.children[0].changed == ["note again", "input of note"]
    assert [kin.run_id for kin in engine.app.forks.family(parent).descendants] == [child, grandchild]
    assert engine.app.history.run(child).parent == parent


# ── refusals ──


@pytest.mark.parametrize(
    ("at", "at_seq", "changes", "error", "says"),
    [
        ("totl", None, None, InvalidInput, "no step 'totl' .did you mean 'total'"),
        (None, None, None, InvalidInput, "say where to fork"),
        ("total", 3, None, InvalidInput, "a step or a seq, not both"),
        (None, 999, None, InvalidInput, "seq 999 is outside"),
        (None, -1, None, InvalidInput, "seq -1 is outside"),
        (None, None, Changes(outputs={"toal": 1}), InvalidInput, "outputs: no step 'toal'"),
        (None, None, Changes(outputs={"tax": "six"}), InvalidInput, "output given for step 'tax' is not of its type"),
        (None, None, Changes(inputs={"tax": {"rat": 1}}), InvalidInput, "no argument 'rat' .did you mean 'rate'"),
        (None, None, Changes(inputs={"tax": {"rate": "x"}}), InvalidInput, "'rate' given for step 'tax' is not"),
        (None, None, Changes(input={"amount": "x"}), InvalidInput, "amount"),
        (None, 20, Changes(outputs={"load": 1}), InvalidInput, "step 'load' began at seq"),
        (None, None, Changes(version="nine"), NotFound, "no version 'nine'; known: "),
        (None, None, Changes(workflow=shipping), InvalidInput, "is of workflow 'billing'"),
    ],
)  # fmt: skip
def test_a_wrong_wish_is_refused_before_anything_is_on_record(engine, parent, at, at_seq, changes, error, says):
    with pytest.raises(error, match=says):
        engine.app.fork(parent, at=at, at_seq=at_seq, changes=changes)
    assert engine.app.forks.family(parent).descendants == []


def test_the_output_given_for_a_map_is_a_list_of_its_steps_type_and_for_an_element_the_thing(engine):
    parent = engine.start(many, {"numbers": [1, 2, 3]}).run_id
    assert output(engine, parent) == 60
    assert output(engine, engine.app.fork(parent, changes=Changes(outputs={"picky": [4, 5]}))) == 9
    assert output(engine, engine.app.fork(parent, changes=Changes(outputs={"picky[1]": 5}))) == 45
    grid = engine.start(nested, {"grid": [[1, 2], [3]]}).run_id
    assert output(engine, grid) == [[10, 20], [30]]
    assert output(engine, engine.app.fork(grid, changes=Changes(outputs={"picky": [[7], []]}))) == [[7], []]
    assert output(engine, engine.app.fork(grid, changes=Changes(outputs={"picky[0]": [8]}))) == [[8], [30]]
    for run, step_, given in (
        (parent, "picky", 5),
        (parent, "picky[1]", "x"),
        (grid, "picky", [7]),
        (grid, "picky[0]", 7),
    ):
        with pytest.raises(
            InvalidInput, match=f"given for step '{re.escape(step_)}' is not of its type: .*got"
        ) as refused:
            engine.app.fork(run, changes=Changes(outputs={step_: given}))
        assert refused.value.facts["field"] == f"outputs.{step_}"


@pytest.mark.parametrize(
    ("workflow_", "changes", "says"),
    [
        (many, Changes(outputs={"picky[3]": 1}), r"has no element 'picky\[3\]': there is picky\[0\] to picky\[2\]"),
        (many, Changes(outputs={"picky[0]": 1, "picky[99]": 1}), r"has no element 'picky\[99\]'"),
        (many, Changes(inputs={"picky[98]": {"number": 1}}), r"inputs: run .* has no element 'picky\[98\]'"),
        (many, Changes(outputs={"picky[1][2]": 1}), r"no element 'picky\[1\]\[2\]' .*: name one like picky\[0\], or"),
        (many, Changes(outputs={"picky[01]": 1}), "write the number without leading zeros"),
        (many, Changes(outputs={"picky[\u0663]": 1}), "write the number without leading zeros"),
        (many, Changes(outputs={"together[0]": 1}), "it is neither a map nor a loop; name it 'together'"),
        (nested, Changes(outputs={"picky[1][1]": 1}), r"there is picky\[1\]\[0\] to picky\[1\]\[0\]"),
        (nested, Changes(outputs={"picky[2][0]": 1}), r"there is picky\[0\] to picky\[1\]"),
        (nested, Changes(inputs={"picky[1]": {"number": 1}}), r"name one like picky\[0\]\[0\], or all of them picky"),
        (growing, Changes(outputs={"grow[3]": 1}), r"there is grow\[0\] to grow\[1\]"),
        (growing, Changes(outputs={"grow[9]": 1}), r"its rounds are grow\[0\] to grow\[8\]"),
        (growing, Changes(outputs={"grow.is_grown": True}), r"as in grow\[0\].is_grown"),
    ],
)  # fmt: skip
def test_a_change_of_an_element_that_does_not_exist_is_refused_with_those_that_do(engine, workflow_, changes, says):
    inputs = {many: {"numbers": [1, 2, 3]}, nested: {"grid": [[1, 2], [3]]}, growing: {"number": 1}}
    parent = engine.start(workflow_, inputs[workflow_]).run_id
    engine.app.wait(parent, 20)
    with pytest.raises(InvalidInput, match=says) as refused:
        engine.app.fork(parent, changes=changes)
    assert refused.value.facts["field"] in ("inputs", "outputs")
    assert refused.value.facts["value"] in {*changes.inputs, *changes.outputs}
    assert engine.app.forks.family(parent).descendants == []


def test_an_element_that_a_longer_list_will_have_may_be_replaced(engine):
    parent = engine.start(many, {"numbers": [1]}).run_id
    assert output(engine, parent) == 10
    longer = Changes(input={"numbers": [1, 2, 3]}, outputs={"picky[2]": 5})
    assert output(engine, engine.app.fork(parent, changes=longer)) == 35


def test_a_step_that_never_began_cannot_be_gone_back_to_and_a_good_run_not_retried(engine, parent):
    shelf["failing"] = 1
    failed = engine.start(shipping, {"amount": 5}).run_id
    engine.app.wait(failed, 20)
    with pytest.raises(Conflict, match=r"'send' of run .* has not begun"):
        engine.app.fork(failed, at="send")
    with pytest.raises(Conflict, match="is completed: nothing of it failed"):
        engine.app.forks.retry(parent)


# ── durability ──


def test_a_fork_survives_its_worker_and_another_goes_on(make_engine, tmp_path: Path):
    engine = make_engine(patient)
    gates["held"].set()
    parent = engine.start(patient, {"amount": 4}).run_id
    assert output(engine, parent) == 8
    gates["held"] = threading.Event()
    fork = engine.app.fork(parent, at="held")
    until(engine, fork, lambda: ran["held"] == 2 and "held" in engine.app.history.state_at(fork).steps)
    engine.close(0)
    gates["held"].set()
    other = make_engine(patient)
    assert output(other, fork) == 8
    assert ran["load"] == 1
    assert kinds(other.app, fork).count("run_forked") == 1
    assert other.app.history.verify(fork)
