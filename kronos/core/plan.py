"""What of a run is done, what comes next, and when nothing is left: the graph and the outcomes, nothing else.

Rule 1: equal graphs and outcomes give equal plans, in whatever order the outcomes came: so a takeover goes on where the
        record ends (`resume`).
Rule 2: a node that holds others (a map, a branch, a loop) is opened, and ends when the last step inside it has ended;
        whoever needs it waits for its end.
Rule 3: of the elements of all maps at most WINDOW are begun and not ended, those of the newest map first: a wide map
        costs no more memory in slots and timers than a narrow one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from kronos.core.events import Failure
from kronos.core.graph import Graph
from kronos.core.inputs import UNDO, Inputs, RunOutputs, mark_of_map
from kronos.core.state import StepState, StepStatus

__all__ = ["WINDOW", "Plan", "is_open"]

WINDOW: Final = 2_048


class _Spread:
    """A map under way: how many of its elements have not ended, and which have not begun."""

    __slots__ = ("count", "left", "waiting")

    def __init__(self, count: int, done: int, waiting: Iterable[int]) -> None:
        self.count: Final = count
        self.left = count - done
        self.waiting: Final[Iterator[int]] = iter(waiting)


class Plan:
    """Belongs to one run.  `ready` are steps to begin, `ended` nodes whose inside has ended; the owner empties both."""

    __slots__ = (
        "_arms",
        "_graph",
        "_in_hand",
        "_left",
        "_open",
        "_rounds",
        "_run_input",
        "_spreads",
        "_widening",
        "ended",
        "inputs",
        "outputs",
        "ready",
    )

    def __init__(self, graph: Graph, run_input: bytes, outputs: RunOutputs | None = None) -> None:
        self.outputs: Final = RunOutputs() if outputs is None else outputs
        self.inputs: Final = Inputs(graph, run_input, self.outputs)
        self.ready: Final[deque[str]] = deque()
        self.ended: Final[deque[str]] = deque()
        self._graph: Final = graph
        self._run_input: Final = run_input
        self._left: Final = dict(graph.waits)
        self._open: Final = {scope: len(steps) for scope, steps in graph.scopes.items()}
        self._spreads: Final[dict[str, _Spread]] = {}
        self._widening: Final[list[tuple[str, _Spread]]] = []
        self._in_hand = 0
        self._arms: Final[dict[str, str]] = {}
        self._rounds: Final[dict[str, int]] = {}

    def begin(self) -> None:
        """Make ready what waits for nobody."""
        self.ready.extend(self._graph.roots)

    @property
    def is_done(self) -> bool:
        """Whether every step of the workflow has ended."""
        return not self._open[""]

    # ── outcomes ──

    def complete(self, step: str, output: bytes) -> None:
        """Take the output of a step, as recorded; make ready what waited for it alone."""
        self.outputs.put(step, output)
        if step.startswith(UNDO):
            return
        if step in self._left:
            self._end_node(step)
        elif step[-1] == "]":
            self._end_element(step)
        else:
            self._end_round(step, output)

    def _end_node(self, step: str) -> None:
        left = self._left
        for follower in self._graph.followers[step]:
            left[follower] -= 1
            if not left[follower]:
                self.ready.append(follower)
        scope = self._graph.by_name[step].within
        self._open[scope] -= 1
        if scope and not self._open[scope]:
            self.ended.append(scope.partition("/")[0])

    def _end_element(self, step: str) -> None:
        container = step[: step.rindex("[")]
        spread = self._spreads.get(container)
        if spread is None:
            self.ready.append(f"{step}.{self._condition(container)}")
            return
        self._in_hand -= step not in self._spreads
        spread.left -= 1
        if not spread.left:
            self.ended.append(container)

    def _end_round(self, step: str, output: bytes) -> None:
        element, _, _ = step.rpartition(".")
        container, _, index = element[:-1].rpartition("[")
        self._rounds[container] = int(index) + 1
        if output == b"true" or int(index) + 1 >= self._graph.by_name[container].control.rounds_max:
            self.ended.append(container)
        else:
            self.ready.append(f"{container}[{int(index) + 1}]")

    def _condition(self, loop: str) -> str:
        return self._graph.scopes[f"{loop}/until"][0].rpartition(".")[2]

    # ── nodes that hold others ──

    def spread(self, step: str) -> int:
        """Open a map and return how many elements it has; raise `InvalidInput` when it is given no list."""
        count = len(self.inputs.items(step))
        self._spread(step, count, 0, range(count))
        return count

    def _spread(self, step: str, count: int, done: int, waiting: Iterable[int]) -> None:
        spread = self._spreads[step] = _Spread(count, done, waiting)
        if spread.left:
            self._widening.append((step, spread))
        else:
            self.ended.append(step)

    def more(self) -> bool:
        """Make ready elements of maps as the window allows; return whether there were any."""
        found = False
        while self._widening and self._in_hand < WINDOW and not self.ready:
            step, spread = self._widening[-1]
            for index in spread.waiting:
                found = True
                self.ready.append(f"{step}[{index}]")
                if not self._graph.is_leaf(step):
                    break
                self._in_hand += 1
                if self._in_hand >= WINDOW:
                    break
            else:
                self._widening.remove((step, spread))
        return found

    def choose(self, step: str, arm: str) -> list[str]:
        """Open one arm of a branch, and return every step that will not be taken."""
        self._arms[step] = arm
        chosen = f"{step}/{arm}"
        for name in self._graph.scopes.get(chosen, ()):
            self._left[name] -= 1
            if not self._left[name]:
                self.ready.append(name)
        if not self._open.get(chosen):
            self.ended.append(step)
        other = "otherwise" if arm == "then" else "then"
        return list(self._inside(f"{step}/{other}"))

    def _inside(self, scope: str) -> Iterator[str]:
        for name in self._graph.scopes.get(scope, ()):
            yield name
            for arm in self._graph.by_name[name].control.results:
                yield from self._inside(f"{name}/{arm}")

    def repeat(self, step: str) -> None:
        """Open a loop."""
        self._rounds[step] = 0
        self.ready.append(f"{step}[0]")

    def result_of(self, step: str) -> bytes | Failure:
        """Return what is recorded as the output of a node that has ended inside; raise `InvalidInput` where a path
        leads nowhere.
        """
        spread = self._spreads.pop(step, None)
        if spread is not None:
            self.inputs.forget(step)
            return mark_of_map(spread.count)
        if step in self._arms:
            return self._graph.arms[f"{step}/{self._arms[step]}"].bytes_of(self._run_input, self.outputs)
        control, last = self._graph.by_name[step].control, self._rounds[step] - 1
        condition = f"{step}[{last}].{self._condition(step)}"
        if self.outputs[condition] == b"true" or control.returns_last:
            return self.outputs[f"{step}[{last}]"]
        return Failure(
            type="NotReached",
            message=f"step {step!r} was repeated max={control.rounds_max} times and {condition!r} was still false",
            retryable=False,
        )

    # ── takeover ──

    def resume(self, steps: Mapping[str, StepState]) -> None:
        """Go on where `steps` stand, whose outputs are given; what has an attempt on record is not made ready."""
        self.begin()
        for node in self._graph.nodes:
            known = steps.get(node.name)
            if known is None or node.kind == "undo":
                continue
            if known.status is StepStatus.COMPLETED:
                self._end_node(node.name)
            elif is_open(known):
                self._reopen(node.name, known, steps)
        ready = [step for step in self.ready if step not in steps]
        ended = [step for step in dict.fromkeys(self.ended) if is_open(steps[step])]
        self.ready.clear()
        self.ended.clear()
        self.ready.extend(ready)
        self.ended.extend(ended)

    def _reopen(self, step: str, known: StepState, steps: Mapping[str, StepState]) -> None:
        kind = self._graph.kind_of(step)
        if kind == "branch" and known.facts.arm is not None:
            self.choose(step, known.facts.arm)
        elif kind == "loop":
            self._reopen_loop(step, steps)
        elif kind == "map" and known.facts.elements is not None:
            self._reopen_map(step, known.facts.elements, steps)

    def _reopen_map(self, step: str, count: int, steps: Mapping[str, StepState]) -> None:
        done, waiting = 0, []
        for index in range(count):
            element = steps.get(f"{step}[{index}]")
            if element is None:
                waiting.append(index)
            elif element.status is StepStatus.COMPLETED:
                done += 1
            elif self._graph.is_leaf(step):
                self._in_hand += 1
            elif is_open(element):
                self._reopen(f"{step}[{index}]", element, steps)
        self._spread(step, count, done, waiting)

    def _reopen_loop(self, step: str, steps: Mapping[str, StepState]) -> None:
        self.repeat(step)
        index = 0
        while (element := steps.get(f"{step}[{index}]")) is not None and element.status is StepStatus.COMPLETED:
            condition = f"{step}[{index}].{self._condition(step)}"
            self.ready.append(condition)
            if condition in steps and steps[condition].status is StepStatus.COMPLETED:
                self._end_round(condition, self.outputs[condition])
            index += 1


def is_open(step: StepState) -> bool:
    """Whether a step is a node that holds others, and was opened."""
    return step.status is StepStatus.RUNNING and (step.facts.elements is not None or step.facts.arm is not None)
