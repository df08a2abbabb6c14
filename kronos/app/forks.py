"""Forks of runs: go back to a moment of a run, change something, and run on from there.

Rule: a wish is checked whole before anything is on record, and a refusal names the field, the value and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from kronos.app.changes import Changes
from kronos.app.fork_many import Forked, fork_each, matching
from kronos.core.definition import WorkflowDefinition
from kronos.core.elements import check_elements_exist, is_steady
from kronos.core.forking import Fork, Reuse, check_arguments, check_steps, inherit
from kronos.core.graph import node_name
from kronos.core.state import Phase
from kronos.engine.forking import check_given, check_output
from kronos.engine.serving import Serving
from kronos.errors import Conflict, InvalidInput
from kronos.kernel import canonical
from kronos.kernel.ids import RunId, parse_run_id
from kronos.kernel.schema import check_against
from kronos.ports.history import Definition, History, RunFilter, RunSummary
from kronos.ports.lineage import Family, ForkWish, Lineage

__all__ = ["Forks"]

RETRIABLE: Final = (Phase.FAILED, Phase.CANCELLED, Phase.DEAD)


class Registry(Protocol):
    """What is registered, here and in the store."""

    @property
    def history(self) -> History:
        """What is on record."""
        ...

    @property
    def definitions(self) -> Serving:
        """What this process has the code of."""
        ...

    def serve(self, *workflows: WorkflowDefinition[Any, Any] | str) -> None:
        """Register workflows."""
        ...

    def registered(self, name: str, version: str | None) -> Definition:
        """Return a registered definition; raise `NotFound`."""
        ...


class Forks:
    """`app.forks`."""

    def __init__(self, app: Registry, lineage: Lineage) -> None:
        self._app = app
        self._lineage = lineage

    def fork(
        self, run_id: RunId, *, at: str | None = None, at_seq: int | None = None, changes: Changes | None = None
    ) -> RunId:
        """Fork a run before the step `at` began, or after the fact at `at_seq`; return the new run's id.

        Without either, the fork begins before the earliest step whose input or output is replaced, or at the
        beginning where the run's input or code is.  What completed before is kept.  What follows runs again: without
        changes all that depends on `at` does, with changes only that for which something changed, by content hash.
        Raises `NotFound`, `InvalidInput`, and `Conflict` for a position that cannot be gone back to.
        """
        changes, run_id = changes or Changes(), parse_run_id(run_id)
        parent = self._app.history.run(run_id)
        definition = self._definition(parent, changes)
        own = self._fork(parent, definition, at, at_seq, changes)
        seq = self._seq(parent, at, at_seq, changes)
        self._check_elements(parent, seq, changes)
        self._check_not_undone(parent, seq)
        return self._lineage.fork(
            ForkWish(
                parent=run_id,
                seq=seq,
                definition=definition.id,
                input=self._input(parent, definition, changes),
                fork=inherit(self._app.history.scopes(run_id)[-1].fork, own),
                timeout_s=definition.graph.timeout_s,
            )
        )

    def retry(self, run_id: RunId, *, allow_external: bool = False) -> RunId:
        """Run again what failed, or did not come to its end, in a fork that keeps all that completed; return its id.

        Raises `Conflict` for a run that completed or is still open.
        """
        run_id = parse_run_id(run_id)
        parent = self._app.history.run(run_id)
        if parent.phase not in RETRIABLE:
            todo = (
                "nothing of it failed: fork it" if parent.phase is Phase.COMPLETED else "wait for its end, or cancel it"
            )
            raise Conflict(f"run {run_id} is {parent.phase}: {todo}", run_id=run_id, phase=parent.phase)
        return self.fork(run_id, at_seq=parent.head_seq - 1, changes=Changes(allow_external=allow_external))

    def retriable(self, chosen: RunFilter) -> list[RunSummary]:
        """Return the runs that a bulk retry takes: those that `chosen` describes (its phases; none: failed) and that
        have no fork yet, newest first, at most BULK_MAX.
        """
        wrong = [phase for phase in chosen.phases if phase not in RETRIABLE]
        if wrong:
            known = ", ".join(RETRIABLE)
            raise InvalidInput(f"phase {wrong[0]} cannot be retried; these can: {known}", field="phase", value=wrong[0])
        phases = chosen.phases or (Phase.FAILED,)
        return matching(self._app.history, msgspec.structs.replace(chosen, phases=phases, is_forked=False))

    def retry_many(self, runs: Sequence[RunSummary], *, allow_external: bool = False) -> list[Forked]:
        """Retry each of `runs`; one that is refused does not keep the others."""
        return fork_each(runs, lambda run: self.retry(run.id, allow_external=allow_external))

    def chosen(self, chosen: RunFilter) -> list[RunSummary]:
        """Return the runs that a bulk fork takes, newest first, at most BULK_MAX."""
        return matching(self._app.history, chosen)

    def fork_many(
        self,
        runs: Sequence[RunSummary],
        *,
        at: str | None = None,
        at_seq: int | None = None,
        changes: Changes | None = None,
    ) -> list[Forked]:
        """Fork each of `runs` alike; one that is refused does not keep the others."""
        return fork_each(runs, lambda run: self.fork(run.id, at=at, at_seq=at_seq, changes=changes))

    def family(self, run_id: RunId) -> Family:
        """Return the runs that a run comes from, and those that come from it."""
        return self._lineage.family(parse_run_id(run_id))

    # ── checks ──

    def _definition(self, parent: RunSummary, changes: Changes) -> Definition:
        if changes.workflow is not None:
            if changes.version is not None:
                raise InvalidInput("give a version or a workflow, not both", field="version", value=changes.version)
            if changes.workflow.name != parent.workflow:
                raise InvalidInput(
                    f"run {parent.id} is of workflow {parent.workflow!r}, this one is {changes.workflow.name!r}",
                    field="workflow",
                    value=changes.workflow.name,
                )
            self._app.serve(changes.workflow)
            served = self._app.definitions.holds(changes.workflow)
            assert served is not None, "it is served since the line above"
            return served.definition
        if changes.version is not None:
            return self._app.registered(parent.workflow, changes.version)
        return self._app.history.definition(parent.definition)

    def _input(self, parent: RunSummary, definition: Definition, changes: Changes) -> bytes:
        if changes.input is msgspec.UNSET:
            return parent.input
        data = canonical.encode(changes.input)
        served = self._app.definitions.find(definition.id)
        return check_against(definition.input_schema, data) if served is None else served.workflow.check_input(data)

    def _fork(
        self, parent: RunSummary, definition: Definition, at: str | None, at_seq: int | None, changes: Changes
    ) -> Fork:
        graph = definition.graph
        check_steps(graph, changes.inputs, "inputs")
        check_steps(graph, changes.outputs, "outputs")
        for step, given in changes.inputs.items():
            if not isinstance(given, Mapping):
                raise InvalidInput(
                    f'inputs.{step} is {given!r}: give arguments by name, such as {{"threshold": 3}}',
                    field=f"inputs.{step}",
                    value=given,
                )
            check_arguments(graph.by_name[node_name(step)], given, f"inputs.{step}")
            if step in changes.outputs:
                raise InvalidInput(
                    f"step {step!r} is given an output, so its input is not asked for: give one of them",
                    field=f"inputs.{step}",
                )
        self._check_inputs(definition, changes.inputs)
        self._check_outputs(definition, changes.outputs)
        return Fork(
            at=at,
            inputs={
                step: {name: _raw(value) for name, value in given.items()} for step, given in changes.inputs.items()
            },
            outputs={step: _raw(value) for step, value in changes.outputs.items()},
            reuse=_reuse(at, changes),
            allow_external=changes.allow_external,
        )

    def _check_inputs(self, definition: Definition, inputs: Mapping[str, Mapping[str, object]]) -> None:
        """Hold given arguments against the types of the steps that execute code, where it is at hand."""
        served = self._app.definitions.find(definition.id)
        for step, given in inputs.items():
            code = None if served is None else served.workflow.steps.get(node_name(step))
            if code is not None and definition.graph.kind_of(step) == "step":
                check_given(step, {name: _raw(value) for name, value in given.items()}, code)

    def _check_outputs(self, definition: Definition, outputs: Mapping[str, object]) -> None:
        """Hold given outputs against the steps' types, where their code is at hand; else their worker does."""
        served = self._app.definitions.find(definition.id)
        for step, value in outputs.items():
            code = None if served is None else served.workflow.steps.get(node_name(step))
            if code is not None:
                check_output(definition.graph, step, _raw(value), code)

    def _seq(self, parent: RunSummary, at: str | None, at_seq: int | None, changes: Changes) -> int:
        last = parent.head_seq - parent.phase.is_final
        touched = [*changes.inputs, *changes.outputs]
        if at is not None and at_seq is not None:
            raise InvalidInput("give a step or a seq, not both", field="at_seq", value=at_seq)
        if at is not None:
            check_steps(self._app.history.definition(parent.definition).graph, [at], "at")
        first = self._lineage.first_seq(parent.id, [*touched, *([at] if at else [])])
        if at is not None:
            if at not in first:
                raise Conflict(
                    f"step {at!r} of run {parent.id} has not begun: there is nothing of it to run again", field="at"
                )
            seq = first[at] - 1
        elif at_seq is not None:
            seq = _checked_seq(parent, at_seq, last)
        elif changes.is_nothing:
            raise InvalidInput(
                "say where to fork: at a step, or at a seq (`kronos runs events RUN` shows both)", field="at"
            )
        elif touched and changes.input is msgspec.UNSET and not (changes.version or changes.workflow):
            seq = min((first[step] - 1 for step in touched if step in first), default=last)
        else:
            seq = 0
        self._check_touched(seq, {step: first[step] for step in touched if step in first})
        return seq

    def _check_elements(self, parent: RunSummary, seq: int, changes: Changes) -> None:
        """Refuse a change of an element that the fork will not have, where that is known."""
        for field, touched in (("inputs", changes.inputs), ("outputs", changes.outputs)):
            named = [step for step in touched if "[" in step]
            begun = self._lineage.first_seq(parent.id, named) if named else {}
            absent = [step for step in named if step not in begun]
            if not absent:
                continue
            kept = self._app.history.state_at(parent.id, seq)
            check_elements_exist(kept, absent, field)
            if changes.input is msgspec.UNSET and not (changes.version or changes.workflow):
                graph = self._app.history.definition(parent.definition).graph
                steady = [step for step in absent if is_steady(graph, step, kept)]
                check_elements_exist(self._app.history.state_at(parent.id), steady, field)

    def _check_not_undone(self, parent: RunSummary, seq: int) -> None:
        """Refuse to keep outcomes that were taken back."""
        if not self._app.history.definition(parent.definition).graph.undoable:
            return
        if self._app.history.state_at(parent.id, seq).compensating is not None:
            raise Conflict(
                f"run {parent.id} has undone what it did by seq {seq}: start it anew, or fork it at an earlier step",
                run_id=parent.id,
                seq=seq,
            )

    @staticmethod
    def _check_touched(seq: int, first: Mapping[str, int]) -> None:
        for step, begun in first.items():
            if begun <= seq:
                raise InvalidInput(
                    f"step {step!r} began at seq {begun}, before the fork at {seq}, where nothing of it can be "
                    f"replaced: fork at seq {begun - 1} or earlier",
                    field="at_seq",
                    value=seq,
                )


def _checked_seq(parent: RunSummary, seq: int, last: int) -> int:
    if type(seq) is not int:
        raise InvalidInput(f"at_seq {seq!r} is not a whole number: give 0 to {last}", field="at_seq", value=seq)
    if not 0 <= seq <= last:
        end = f" (its end, {parent.head_seq}, is shared with nobody)" if parent.phase.is_final else ""
        raise InvalidInput(
            f"seq {seq} is outside the seqs of run {parent.id} at which it can be forked: 0 to {last}{end}",
            field="at_seq",
            value=seq,
        )
    return seq


def _reuse(at: str | None, changes: Changes) -> Reuse:
    if not changes.is_nothing:
        return "unchanged"
    return "none" if at is None else "beside"


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(canonical.encode(value))
