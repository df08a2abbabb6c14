"""A recorded run, executed again here: the checked-out code on recorded inputs, compared step by step.

Rule 1: each step gets the input that the run gave it and the answers that the run got; what happened upstream in the
        replay changes nothing downstream, so the first difference is where the code differs.
Rule 2: nothing is stored (what a step writes goes nowhere) and nothing leaves: external steps are not executed, and an
        effect that was not recorded stops the step.
Rule 3: a failure that the run recorded is an outcome like any other: the same failure again is equal.
Rule 4: everything runs in this thread and without limits, so that a debugger may stand still in it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from kronos.core.definition import StepDefinition
from kronos.core.events import Failure
from kronos.core.graph import Graph, Node, node_name
from kronos.core.inputs import Inputs, steps_in_order
from kronos.debugger.breakpoints import armed
from kronos.debugger.compare import Difference, compare, compare_bytes
from kronos.debugger.guard import guarded
from kronos.debugger.replay_code import CheckedOutCode
from kronos.debugger.replay_journal import JournalDifference, ReplayedJournal
from kronos.debugger.replay_recording import RecordedAttempt, Recording, read_recording
from kronos.debugger.replay_shelf import ReadOnlyBlobs, ReadOnlyIndex
from kronos.engine.context import Services
from kronos.engine.effects import RecordedEffects
from kronos.engine.execution import execute, failure_of
from kronos.engine.tasks import Outcome, Task
from kronos.errors import EffectBlocked, InvalidInput
from kronos.kernel.ids import RunId
from kronos.market.catalog import Catalog
from kronos.ports import Blobs, DatasetIndex, Recordings
from kronos.ports.history import History

__all__ = ["Replay", "Status", "Verdict", "exit_code"]

Step: TypeAlias = StepDefinition[Any, Any]


class Status(StrEnum):
    """What became of one attempt in the replay."""

    OK = "OK"
    FAILED = "FAILED"
    DIVERGED = "DIVERGED"
    BLOCKED = "BLOCKED"
    SERVED = "SERVED"
    SKIPPED = "SKIPPED"


EXIT_CODES: Final = {Status.FAILED: 3, Status.DIVERGED: 4, Status.BLOCKED: 4}
"""A status that is not here is no reason to complain."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a replay.  `differences` are of the output, or of the input that the code would now be given."""

    step: str
    attempt: int
    status: Status
    detail: str = ""
    differences: list[Difference] = []
    code_changed: bool = False
    notes: list[str] = []
    seconds: float = 0.0


_EXECUTED: Final = frozenset({"step", "undo"})


def _is_of(step: str, wanted: str) -> bool:
    """Whether `step` is the one wanted, or one that the wanted node made."""
    return wanted in (step, node_name(step))


def exit_code(verdicts: Collection[Verdict]) -> int:
    """Return 0 when every outcome is equal, else what the first unequal one means (3 failed, 4 diverged, blocked)."""
    return next((EXIT_CODES[verdict.status] for verdict in verdicts if verdict.status in EXIT_CODES), 0)


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
        self._recordings = recordings
        self._blobs = ReadOnlyBlobs(blobs)
        self._index = ReadOnlyIndex(index)
        self._catalog = Catalog(self._blobs, self._index, cache_dir)

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
        node = self.recording.definition.graph.node(attempt.step)
        if node.options.effect in ("external", "tx"):
            what = f"{node.options.effect}: not executed, its recorded outcome stands"
            return _verdict(attempt, Status.SERVED, what)
        if attempt.failure is not None and attempt.failure.cause != "error":
            return _verdict(attempt, Status.SKIPPED, f"recorded as {attempt.failure.cause}: a replay has no such end")
        started = time.perf_counter()
        try:
            definition = self.code.step(node.target)
        except BaseException as error:  # whatever the user's module raises when it is imported
            return _verdict(attempt, Status.FAILED, _show(failure_of(error)))
        verdict = self._execute(node, attempt, definition, stop=stop)
        return msgspec.structs.replace(
            verdict,
            code_changed=self.code.has_changed(node.name, definition, attempt.code),
            seconds=time.perf_counter() - started,
        )

    def _execute(self, node: Node, attempt: RecordedAttempt, definition: Step, *, stop: bool) -> Verdict:
        data = self.recording.bound_input(attempt.step)
        if changed := self._input_differences(attempt.step, node, data):
            return _verdict(attempt, Status.DIVERGED, f"input {changed[0]}", changed)
        effects = _ReplayedEffects(attempt)
        journal = ReplayedJournal(
            self._recordings.segments(self.recording.run.id, attempt.step, attempt.number), self._blobs
        )
        services = Services(
            now_ns=time.time_ns,
            entropy=_no_entropy,
            effects=lambda _task: effects,
            recorder=lambda _task: journal,
            blobs=self._blobs,
            index=self._index,
            open_datasets=lambda: self._catalog,
        )
        task = Task(
            run_id=self.recording.run.id, step=attempt.step, attempt=attempt.number, target=node.target, input=data
        )
        with armed(definition.function) if stop else contextlib.nullcontext(), guarded(attempt.step) as stopped:
            outcome = execute(task, definition, services)
        if refused := [*effects.refused, *stopped]:
            return _verdict(attempt, Status.BLOCKED, refused[0].message)
        verdict = _compare_outcomes(attempt, outcome)
        verdict = self._with_journal(attempt, verdict, journal)
        if effects.unused and verdict.status is Status.OK:
            verdict = msgspec.structs.replace(
                verdict, notes=[*verdict.notes, f"{len(effects.unused)} recorded effects were not asked for"]
            )
        return verdict

    def _input_differences(self, step: str, node: Node, recorded: bytes) -> list[Difference]:
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
            bound = self._inputs_now(workflow.graph).of(step)
        except (LookupError, ValueError, InvalidInput) as error:
            return [Difference("$", node.args, f"cannot be bound: {error}")]
        return compare_bytes(recorded, bound)

    def _inputs_now(self, graph: Graph) -> Inputs:
        """Return what binds inputs as the checked-out workflow would; kept, since it reads each map's list once."""
        if self._now is None:
            self._now = Inputs(graph, self.recording.input, self.recording.outputs)
        return self._now

    def _with_journal(self, attempt: RecordedAttempt, verdict: Verdict, journal: ReplayedJournal) -> Verdict:
        if attempt.failure is not None:
            return verdict  # a step that failed midway sealed what the clock let it seal
        environment = self.recording.definition.environment
        apart = journal.difference(user=True)
        if apart is None:
            return verdict
        if apart.chain == "user" and not _same_machine(environment):
            note = f"{apart}, on another Python or machine: floats differ between CPUs; decisions are equal"
            return msgspec.structs.replace(verdict, notes=[*verdict.notes, note])
        if verdict.status is not Status.OK:
            return msgspec.structs.replace(verdict, notes=[*verdict.notes, str(apart)])
        return msgspec.structs.replace(verdict, status=Status.DIVERGED, detail=_journal_detail(apart))


class _ReplayedEffects(RecordedEffects):
    """A recording that remembers what it could not answer, also when the step swallowed the refusal."""

    def __init__(self, attempt: RecordedAttempt) -> None:
        super().__init__(attempt.effects)
        self._step = attempt.step
        self.refused: list[EffectBlocked] = []

    def learn(self, name: str, key: str, ask: Callable[[], bytes]) -> bytes:
        try:
            return super().learn(name, key, ask)
        except EffectBlocked as error:
            named = EffectBlocked(f"step {self._step!r}: {error.message}", step=self._step, **error.facts)
            self.refused.append(named)
            raise named from None


def _no_entropy(count: int) -> bytes:
    raise EffectBlocked(f"a replay draws no random numbers ({count} bytes were asked for)")


def _compare_outcomes(attempt: RecordedAttempt, outcome: Outcome) -> Verdict:
    if attempt.failure is None and outcome.failure is not None:
        return _verdict(attempt, Status.FAILED, _show(outcome.failure), traceback=outcome.failure.traceback)
    if attempt.failure is not None and outcome.failure is None:
        gone = Difference("$failure", _show(attempt.failure), "(absent)")
        return _verdict(attempt, Status.DIVERGED, str(gone), [gone])
    if attempt.failure is not None and outcome.failure is not None:
        found = compare(_facts(attempt.failure), _facts(outcome.failure))
    else:
        assert attempt.output is not None, "no failure means an output"
        assert outcome.output is not None, "no failure means an output"
        found = compare_bytes(attempt.output, outcome.output)
    if not found:
        return _verdict(attempt, Status.OK, "failed as recorded" if attempt.failure is not None else "")
    return _verdict(attempt, Status.DIVERGED, str(found[0]), found)


def _facts(failure: Failure) -> dict[str, str]:
    return {"type": failure.type, "message": failure.message}


def _show(failure: Failure) -> str:
    return f"{failure.type}: {failure.message}"


def _verdict(
    attempt: RecordedAttempt,
    status: Status,
    detail: str = "",
    differences: list[Difference] | None = None,
    *,
    traceback: str = "",
) -> Verdict:
    return Verdict(
        step=attempt.step,
        attempt=attempt.number,
        status=status,
        detail=detail,
        differences=differences or [],
        notes=[traceback.rstrip()] if traceback else [],
    )


def _journal_detail(apart: JournalDifference) -> str:
    return f"journal rows {apart.first_row}..{apart.last_row}: {apart}"


def _same_machine(environment: dict[str, str]) -> bool:
    import platform

    here = {"python": platform.python_version(), "machine": platform.machine()}
    return all(environment.get(key) == value for key, value in here.items())
