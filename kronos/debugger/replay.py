"""A recorded run, executed again here: the checked-out code on recorded inputs, compared step by step.

Rule 1: each step gets the input that the run gave it and the answers that the run got; what happened upstream in the
        replay changes nothing downstream, so the first difference is where the code differs.
Rule 2: nothing is stored (what a step writes goes nowhere) and nothing leaves: external steps are not executed, and an
        effect that was not recorded stops the step.
Rule 3: a failure that the run recorded is an outcome like any other: the same failure again is equal.
Rule 4: everything runs in this thread and without limits, so that a debugger may stand still in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from kronos.core.definition import StepDefinition
from kronos.core.graph import Graph, Node, node_name
from kronos.core.inputs import Inputs, steps_in_order
from kronos.debugger.compare import Difference, compare_bytes
from kronos.debugger.replay_code import CheckedOutCode
from kronos.debugger.replay_recording import RecordedAttempt, Recording, read_recording
from kronos.debugger.replay_stage import Stage
from kronos.debugger.replay_verdict import Status, Verdict, compare_outcomes, show, verdict_of, with_journal
from kronos.engine.execution import failure_of
from kronos.errors import InvalidInput
from kronos.kernel.ids import RunId
from kronos.ports import Blobs, DatasetIndex, Recordings
from kronos.ports.history import History

__all__ = ["Replay"]

Step: TypeAlias = StepDefinition[Any, Any]


_EXECUTED: Final = frozenset({"step", "undo"})


def _is_of(step: str, wanted: str) -> bool:
    """Whether `step` is the one wanted, or one that the wanted node made."""
    return wanted in (step, node_name(step))


class Replay:
    """One run, ready to be replayed; raises `NotFound` for an unknown run.

    `root` is where the checked-out code lies, `cache_dir` where datasets are mapped from; `known_steps` are steps that
    no import can reach, by target.
    """

    def __init__(
        self,
        run_id: RunId,
        *,
        history: History,
        recordings: Recordings,
        blobs: Blobs,
        index: DatasetIndex,
        cache_dir: Path,
        root: Path,
        known_steps: dict[str, Step] | None = None,
    ) -> None:
        self.recording: Final[Recording] = read_recording(history, run_id)
        self.code: Final = CheckedOutCode(self.recording.definition, root, known_steps)
        self._now: Inputs | None = None
        self.stage: Final = Stage(run_id, recordings=recordings, blobs=blobs, index=index, cache_dir=cache_dir)

    @property
    def steps(self) -> list[str]:
        """The names of the run's steps, in order, without maps, branches and loops: those are their elements."""
        graph = self.recording.definition.graph
        return [step for step in steps_in_order(graph, self.recording.attempts) if graph.kind_of(step) in _EXECUTED]

    def check_step(self, name: str) -> None:
        """Raise `NotFound`, naming the nearest, when the run has no such step."""
        self.recording.definition.graph.node(name)

    def run(self, *, step: str | None = None, break_at: str | None = None) -> Iterator[Verdict]:
        """Replay every ended attempt (of `step` only), in the order of the graph, and yield a verdict for each.

        With `break_at`, `breakpoint()` is called on the first line of that step's function.
        """
        for name in (step, break_at):
            if name is not None:
                self.check_step(name)
        for name in self.steps:
            if step is not None and not _is_of(name, step):
                continue
            for attempt in self.recording.attempts.get(name, ()):
                yield self._replay(attempt, stop=break_at is not None and _is_of(name, break_at))

    def _replay(self, attempt: RecordedAttempt, *, stop: bool) -> Verdict:
        node = attempt.scope.definition.graph.node(attempt.step)
        if attempt.replaced:
            return verdict_of(attempt, Status.SERVED, "not executed: whoever forked the run gave its output")
        if node.options.effect in ("external", "tx"):
            what = f"{node.options.effect}: not executed, its recorded outcome stands"
            return verdict_of(attempt, Status.SERVED, what)
        if attempt.failure is not None and attempt.failure.cause != "error":
            return verdict_of(attempt, Status.SKIPPED, f"recorded as {attempt.failure.cause}: a replay has no such end")
        started = time.perf_counter()
        try:
            definition = self.code.step(node.target)
        except BaseException as error:  # whatever the user's module raises when it is imported
            return verdict_of(attempt, Status.FAILED, show(failure_of(error)))
        verdict = self._execute(node, attempt, definition, stop=stop)
        return msgspec.structs.replace(
            verdict,
            code_changed=self.code.has_changed(node.name, definition, attempt.code),
            seconds=time.perf_counter() - started,
        )

    def _execute(self, node: Node, attempt: RecordedAttempt, definition: Step, *, stop: bool) -> Verdict:
        data = self.recording.bound_input(attempt)
        if changed := self._input_differences(attempt, node, data):
            return verdict_of(attempt, Status.DIVERGED, f"input {changed[0]}", changed)
        done = self.stage.perform(attempt.step, definition, data, attempt, stop=stop)
        if done.refused:
            return verdict_of(attempt, Status.BLOCKED, done.refused[0].message)
        verdict = compare_outcomes(attempt, done.outcome)
        verdict = with_journal(attempt, verdict, done.journal, attempt.scope.definition.environment)
        if done.unused and verdict.status is Status.OK:
            note = f"{done.unused} recorded effects were not asked for"
            verdict = msgspec.structs.replace(verdict, notes=[*verdict.notes, note])
        return verdict

    def _input_differences(self, attempt: RecordedAttempt, node: Node, recorded: bytes) -> list[Difference]:
        """Return how the input differs that the workflow, as checked out, would give to the step."""
        workflow = self.code.workflow()
        if workflow is None:
            return []
        now = workflow.graph.by_name.get(node.name)
        if now is None:
            return [Difference("$", f"step of {workflow.name}", f"no step of {workflow.name} as checked out")]
        if now.args == node.args and now.control == node.control:
            return []
        try:
            bound = attempt.scope.replaced(attempt.step, self._inputs_now(workflow.graph).of(attempt.step))
        except (LookupError, ValueError, InvalidInput) as error:
            return [Difference("$", node.args, f"cannot be bound: {error}")]
        return compare_bytes(recorded, bound)

    def _inputs_now(self, graph: Graph) -> Inputs:
        """Return what binds inputs as the checked-out workflow would; kept, since it reads each map's list once."""
        if self._now is None:
            self._now = Inputs(graph, self.recording.input, self.recording.outputs)
        return self._now
