"""A plan follows from the graph and the outcomes alone: so whoever takes over goes on where the record ends."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.core.control import repeat_until, when
from kronos.core.decorators import step, workflow
from kronos.core.events import StepFacts
from kronos.core.inputs import Inputs, RunOutputs
from kronos.core.plan import WINDOW, Plan
from kronos.core.state import StepState, StepStatus
from kronos.kernel import canonical


@step
def numbers(n: int) -> list[list[int]]:
    return [list(range(i)) for i in range(n)]


@step
def halved(x: int) -> float:
    return x / 2


@step
def summed(x: list[float]) -> float:
    return sum(x)


@step
def grown(x: float) -> float:
    return x + 1


@step
def is_big(x: float) -> bool:
    return x >= 3


@step
def said(x: float, word: str) -> str:
    return f"{word} {x:g}"


@workflow(version="1")
def everything(n: int) -> str:
    sums = summed.map(halved.map_nested(numbers(n)))
    total = summed.named("total")(sums)
    big = repeat_until(grown, is_big, total, max=5)
    return when(
        is_big.named("very_big")(big),
        then=lambda: said.named("after")(grown.named("more")(big), "big"),
        otherwise=lambda: said(when(is_big.named("odd")(total), lambda: total, lambda: big), "small"),
    )


FUNCTIONS = {each.target: each.function for each in (numbers, halved, summed, grown, is_big, said)}


class Player:
    """Plays a run by its plan; may lose everything but the record at any step."""

    def __init__(self, n: int) -> None:
        self.graph = everything.graph
        self.input = canonical.encode({"n": n})
        self.steps: dict[str, StepState] = {}
        self.outputs: dict[str, bytes] = {}
        self.ran: list[str] = []
        self.in_hand: list[str] = []
        self.plan = Plan(self.graph, self.input)
        self.plan.begin()

    def take_over(self) -> None:
        self.in_hand = []
        self.plan = Plan(self.graph, self.input, RunOutputs(self.outputs))
        self.plan.resume(self.steps)

    def turn(self) -> None:
        """Do what the owner does between two outcomes."""
        plan = self.plan
        while True:
            if plan.ended:
                step = plan.ended.popleft()
                result = plan.result_of(step)
                assert isinstance(result, bytes)
                self._completed(step, result)
            elif plan.ready:
                self._begin(plan.ready.popleft())
            elif not plan.more():
                return

    def _begin(self, step: str) -> None:
        kind, facts = self.graph.kind_of(step), StepFacts()
        if kind == "step":
            self.in_hand.append(step)
            return
        if kind == "map":
            facts = StepFacts(elements=self.plan.spread(step))
        elif kind == "loop":
            self.plan.repeat(step)
            facts = StepFacts(elements=5)
        else:
            arm = "then" if b"true" in self.plan.inputs.of(step) else "otherwise"
            facts = StepFacts(arm=arm)
            for name in self.plan.choose(step, arm):
                self.steps[name] = StepState(status=StepStatus.SKIPPED, attempt=1, facts=StepFacts())
        self.steps[step] = StepState(status=StepStatus.RUNNING, attempt=1, facts=facts)

    def execute(self, index: int) -> None:
        step = self.in_hand.pop(index % len(self.in_hand))
        arguments = canonical.decode(self.plan.inputs.of(step))
        self.ran.append(step)
        self._completed(step, canonical.encode(FUNCTIONS[self.graph.node(step).target](**arguments)))

    def _completed(self, step: str, output: bytes) -> None:
        known = self.steps.get(step)
        facts = msgspec.structs.replace(StepFacts() if known is None else known.facts, output=msgspec.Raw(output))
        self.steps[step] = StepState(status=StepStatus.COMPLETED, attempt=1, facts=facts)
        self.outputs[step] = output
        self.plan.complete(step, output)

    @property
    def result(self) -> bytes:
        return self.graph.result.bytes_of(self.input, self.plan.outputs)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4), st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=100, max_size=100))
def test_whatever_the_order_of_outcomes_and_takeovers_each_step_runs_once_and_the_result_is_the_same(n, choices):
    player = Player(n)
    for choice, lost in choices:
        player.turn()
        if player.plan.is_done:
            break
        player.execute(choice)
        if lost:
            player.take_over()
    player.turn()
    assert player.plan.is_done
    assert canonical.decode(player.result) == everything(n)
    assert len(player.ran) == len(set(player.ran))


def test_the_input_of_every_step_is_bound_again_from_the_record():
    player, given_to = Player(4), dict[str, bytes]()
    while not player.plan.is_done:
        player.turn()
        for name in player.in_hand:
            given_to[name] = player.plan.inputs.of(name)
        if player.in_hand:
            player.execute(0)
    again = Inputs(player.graph, player.input, RunOutputs(player.outputs))
    assert {name: again.of(name) for name in given_to} == given_to
    assert given_to["halved[3][2]"] == b'{"x":2}'
    assert given_to["grown[0].is_big"] == b'{"x":3.0}'


@step
def same(x: int) -> int:
    return x


@workflow(version="1")
def wide(xs: list[int]) -> list[int]:
    return same.map(xs)


def test_a_wide_map_is_handed_out_in_windows():
    plan = Plan(wide.graph, canonical.encode({"xs": list(range(WINDOW + 2))}))
    plan.begin()
    assert plan.spread(plan.ready.popleft()) == WINDOW + 2
    assert plan.more()
    assert len(plan.ready) == WINDOW
    plan.ready.clear()
    assert not plan.more()
    plan.complete("same[7]", b"7")
    assert plan.more()
    assert list(plan.ready) == [f"same[{WINDOW}]"]


@pytest.mark.parametrize("known", [0, 3])
def test_a_map_that_was_taken_over_begins_only_what_has_no_attempt_on_record(known):
    facts = StepFacts(elements=5)
    steps = {"same": StepState(status=StepStatus.RUNNING, attempt=1, facts=facts)}
    steps |= {f"same[{i}]": StepState(status=StepStatus.RETRYING, attempt=2, facts=StepFacts()) for i in range(known)}
    plan = Plan(wide.graph, b'{"xs":[1,2,3,4,5]}')
    plan.resume(steps)
    plan.more()
    assert list(plan.ready) == [f"same[{i}]" for i in range(known, 5)]
