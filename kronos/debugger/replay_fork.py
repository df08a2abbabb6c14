"""A replay that goes another way: what stands before a step is served from the record, the rest is executed here, and
what it gives is fed to what depends on it.

Rule 1: the order is the plan's, by which the engine runs; only what an outcome is, served or executed, is decided here.
Rule 2: nothing is stored and nothing leaves: waits and steps that touch the world outside are served from the record,
        and where that has nothing for them they stop the replay.
Rule 3: every executed step is held against what the record has of it, so that the first that differs is named.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from kronos.core.events import Failure
from kronos.core.forking import REUSABLE, check_steps, downstream
from kronos.core.graph import Graph, node_name
from kronos.core.inputs import RunOutputs
from kronos.core.plan import Plan
from kronos.debugger.compare import Difference, compare_bytes
from kronos.debugger.replay import Replay
from kronos.debugger.replay_recording import RecordedAttempt
from kronos.debugger.replay_verdict import Status, Verdict, compare_outcomes, show, with_journal
from kronos.engine.execution import failure_of
from kronos.engine.forking import check_output
from kronos.errors import InvalidInput, KronosError
from kronos.kernel import canonical

__all__ = ["ForkedReplay"]


class ForkedReplay:
    """One replay from step `at` on; `outputs` (canonical JSON) stand for executing steps.

    Raises `InvalidInput`, naming the nearest, for a step that the checked-out workflow does not have, and for an output
    that is not of its step's type, or of a step that comes before `at`.
    """

    def __init__(self, replay: Replay, at: str, outputs: Mapping[str, bytes]) -> None:
        self._replay = replay
        self._recording = replay.recording
        workflow = replay.code.workflow()
        self._graph: Final[Graph] = self._recording.definition.graph if workflow is None else workflow.graph
        check_steps(self._graph, [at], "fork_from")
        check_steps(self._graph, outputs, "set_output")
        whole = downstream(self._graph, at)
        self._again: Final = whole - {node_name(at)} | {at}
        self._opened: Final = _around(self._graph, at)
        for step, output in outputs.items():
            if node_name(step) not in whole:
                raise InvalidInput(
                    f"step {step!r} does not depend on {at!r}: fork from it, or from a step before both",
                    field="set_output",
                    value=step,
                )
            if workflow is not None and (code := workflow.steps.get(node_name(step))) is not None:
                check_output(self._graph, step, output, code)
        self._outputs: Final = outputs
        kept = {step: output for step, output in self._recording.recorded_outputs() if not self._is_again(step)}
        self._plan = Plan(self._graph, self._recording.input, RunOutputs(kept))
        self.result: list[Difference] | None = None
        """How the run's result differs from the recorded one; None where one of the two has none."""

    def run(self, *, break_at: str | None = None) -> Iterator[Verdict]:
        """Yield a verdict on each step, in the order in which they become ready."""
        plan = self._plan
        plan.begin()
        while True:
            if plan.ended:
                yield from self._close(plan.ended.popleft())
            elif plan.ready:
                yield from self._begin(plan.ready.popleft(), break_at)
            elif not plan.more():
                break
        self._compare_result()

    # ── one step ──

    def _begin(self, step: str, break_at: str | None) -> Iterator[Verdict]:
        recorded = self._recording.last_attempt(step)
        try:
            if step in self._outputs:
                yield self._serve(step, recorded, self._outputs[step], "its output was given")
            elif not self._is_again(step) and (output := self._recording.recorded_output(step)) is not None:
                yield from self._serve_upstream(step, recorded, output)
            else:
                yield from self._go(step, recorded, stop=break_at in (step, node_name(step)))
        except InvalidInput as error:
            yield _line(step, recorded, Status.FAILED, f"its input cannot be bound: {error.message}")

    def _is_again(self, step: str) -> bool:
        return step in self._again or node_name(step) in self._again or step in self._opened

    def _serve_upstream(self, step: str, recorded: RecordedAttempt | None, output: bytes) -> Iterator[Verdict]:
        if self._graph.kind_of(step) == "step":
            yield self._serve(step, recorded, output, "recorded")
        else:
            self._plan.complete(step, output)

    def _serve(self, step: str, recorded: RecordedAttempt | None, output: bytes, why: str) -> Verdict:
        self._plan.complete(step, output)
        return _line(step, recorded, Status.SERVED, why)

    def _go(self, step: str, recorded: RecordedAttempt | None, *, stop: bool) -> Iterator[Verdict]:
        plan, kind = self._plan, self._graph.kind_of(step)
        match kind:
            case "map":
                plan.spread(step)
            case "loop":
                plan.repeat(step)
            case "branch":
                condition = canonical.decode(plan.inputs.of(step))["condition"]
                plan.choose(step, "then" if condition else "otherwise")
            case "step" | "undo" | "until" if self._graph.by_name[node_name(step)].options.effect in REUSABLE:
                yield self._execute(step, recorded, stop=stop)
            case _:
                yield self._world(step, kind, recorded)

    def _world(self, step: str, kind: str, recorded: RecordedAttempt | None) -> Verdict:
        what = self._graph.by_name[node_name(step)].options.effect if kind == "step" else kind
        output = self._recording.recorded_output(step)
        if output is None:
            return _line(
                step, recorded, Status.BLOCKED,
                f"{what}: not executed, and the recording has no outcome; give one with --set-output {step}=JSON",
            )  # fmt: skip
        return self._serve(step, recorded, output, f"{what}: not executed, its recorded outcome stands")

    def _execute(self, step: str, recorded: RecordedAttempt | None, *, stop: bool) -> Verdict:
        started = time.perf_counter()
        data = self._recording.scope.replaced(step, self._plan.inputs.of(step))
        node = self._graph.by_name[node_name(step)]
        try:
            definition = self._replay.code.step(node.target)
        except BaseException as error:  # whatever the user's module raises when it is imported
            return _line(step, recorded, Status.FAILED, show(failure_of(error)))
        done = self._replay.stage.perform(step, definition, data, recorded, stop=stop)
        if done.refused:
            return _line(step, recorded, Status.BLOCKED, done.refused[0].message)
        if done.outcome.output is not None:
            self._plan.complete(step, done.outcome.output)
        if recorded is None or (recorded.failure is not None and recorded.failure.cause != "error"):
            verdict = _unrecorded(step, recorded, done.outcome.failure)
        else:
            verdict = compare_outcomes(recorded, done.outcome)
            verdict = with_journal(recorded, verdict, done.journal, recorded.scope.definition.environment)
        return msgspec.structs.replace(
            verdict,
            input_changed=self._input_changed(step, recorded, data),
            code_changed=self._replay.code.has_changed(
                node.name, definition, None if recorded is None else recorded.code
            ),
            seconds=time.perf_counter() - started,
        )

    def _input_changed(self, step: str, recorded: RecordedAttempt | None, data: bytes) -> bool:
        if recorded is None:
            return False
        try:
            return recorded.scope.bound_input(step) != data
        except (LookupError, KronosError):
            return True

    def _close(self, step: str) -> Iterator[Verdict]:
        recorded = self._recording.last_attempt(step)
        try:
            result = self._plan.result_of(step)
        except InvalidInput as error:
            yield _line(step, recorded, Status.FAILED, error.message)
            return
        if isinstance(result, bytes):
            self._plan.complete(step, result)
        else:
            yield _line(step, recorded, Status.FAILED, show(result))

    # ── the whole ──

    def _compare_result(self) -> None:
        recorded = self._recording.result
        if recorded is None or not self._plan.is_done:
            return
        self.result = compare_bytes(recorded, self._graph.result.bytes_of(self._recording.input, self._plan.outputs))


def _around(graph: Graph, step: str) -> frozenset[str]:
    """Return what holds a step, and so is opened again: the map of an element, the branch of an arm."""
    found: set[str] = set()
    while True:
        if step.endswith("]"):
            step = step[: step.rindex("[")]
        elif container := graph.by_name[node_name(step)].within.partition("/")[0]:
            step = container
        else:
            return frozenset(found)
        found.add(step)


def _unrecorded(step: str, recorded: RecordedAttempt | None, failure: Failure | None) -> Verdict:
    cause = None if recorded is None or recorded.failure is None else recorded.failure.cause
    what = "not in the recording" if cause is None else f"recorded as {cause}"
    if failure is not None:
        return _line(step, recorded, Status.FAILED, show(failure))
    return _line(step, recorded, Status.OK, what)


def _line(step: str, recorded: RecordedAttempt | None, status: Status, detail: str) -> Verdict:
    return Verdict(step=step, attempt=1 if recorded is None else recorded.number, status=status, detail=detail)
