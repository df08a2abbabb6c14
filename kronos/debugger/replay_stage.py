"""Where a replay executes a step: recorded answers, nothing stored, nothing that leaves.

Rule: an effect that the recording does not know, a socket, a process: each stops the step and is named.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from kronos.core.definition import StepDefinition
from kronos.core.events import Origin
from kronos.debugger.breakpoints import armed
from kronos.debugger.guard import guarded
from kronos.debugger.replay_journal import ReplayedJournal
from kronos.debugger.replay_recording import RecordedAttempt
from kronos.debugger.replay_shelf import ReadOnlyBlobs, ReadOnlyIndex
from kronos.engine.context import Services
from kronos.engine.effects import RecordedEffects
from kronos.engine.execution import execute
from kronos.engine.tasks import Outcome, Task
from kronos.errors import EffectBlocked
from kronos.kernel.ids import RunId, StepName
from kronos.ports import Blobs, DatasetIndex, Recordings

if TYPE_CHECKING:
    from kronos.market.catalog import Catalog

__all__ = ["Performed", "Stage"]

Step: TypeAlias = StepDefinition[Any, Any]


class Performed(NamedTuple):
    """What came of executing a step; `refused` says what it was stopped at, `unused` which answers nobody wanted."""

    outcome: Outcome
    refused: list[EffectBlocked]
    unused: int
    journal: ReplayedJournal


class Stage:
    """Executes the steps of one run, in this thread and without limits."""

    def __init__(
        self, run_id: RunId, *, recordings: Recordings, blobs: Blobs, index: DatasetIndex, cache_dir: Path
    ) -> None:
        self._run_id = run_id
        self._recordings = recordings
        self._blobs = ReadOnlyBlobs(blobs)
        self._index = ReadOnlyIndex(index)
        self._cache_dir = cache_dir

    @cached_property
    def _catalog(self) -> Catalog:
        from kronos.market.catalog import Catalog  # 0.2 s of every replay that opens no dataset

        return Catalog(self._blobs, self._index, self._cache_dir)

    def perform(
        self, step: str, definition: Step, data: bytes, recorded: RecordedAttempt | None, *, stop: bool
    ) -> Performed:
        """Execute a step on `data` with the answers of `recorded`; `stop` breaks on its first line."""
        effects = _ReplayedEffects(step, recorded)
        origin = None if recorded is None else recorded.origin
        journal = ReplayedJournal([] if origin is None else self._segments(origin), self._blobs)
        services = Services(
            now_ns=time.time_ns,
            entropy=_no_entropy,
            effects=lambda _task: effects,
            recorder=lambda _task: journal,
            blobs=self._blobs,
            index=self._index,
            open_datasets=lambda: self._catalog,
        )
        number = 1 if recorded is None else recorded.number
        task = Task(run_id=self._run_id, step=StepName(step), attempt=number, target=definition.target, input=data)
        with armed(definition.function) if stop else contextlib.nullcontext(), guarded(step) as stopped:
            outcome = execute(task, definition, services)
        return Performed(outcome, [*effects.refused, *stopped], len(effects.unused), journal)

    def _segments(self, origin: Origin) -> Any:
        return self._recordings.segments(RunId(origin.run), StepName(origin.step), origin.attempt)


class _ReplayedEffects(RecordedEffects):
    """A recording that remembers what it could not answer, also when the step swallowed the refusal."""

    def __init__(self, step: str, recorded: RecordedAttempt | None) -> None:
        super().__init__(() if recorded is None else recorded.effects)
        self._step = step
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
