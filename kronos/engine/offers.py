"""Steps that other workers may execute: how they are offered as jobs, and what comes of them.

Rule 1: an offer is durable before anybody can take it, and is gone in the very transaction that brings its outcomes.
Rule 2: steps that name a queue are offered one by one and stay offered when their run changes hands; what a wide run
        merely spreads is offered in chunks, and taken back then.
Rule 3: nobody takes an attempt whose outcome is on record: an offer that was made anew meanwhile goes in that flush.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from kronos.core.graph import Graph, node_name
from kronos.core.jobs import APART_LOSSES, CHUNK
from kronos.core.options import STEPS_QUEUE, Executor, StepOptions
from kronos.engine.outcomes import SentOutcome, sent_outcome
from kronos.engine.serving import Serving
from kronos.engine.tasks import Outcome, Task
from kronos.kernel.ids import DefinitionId, IncarnationId, RunId, StepName
from kronos.ports.jobs import ClaimedJob, SentSteps
from kronos.ports.queue import StepJob

__all__ = ["Hand", "offer_name", "offer_one", "offer_target", "spread", "tasks_of", "unreadable_offer"]


class _Offered(msgspec.Struct, frozen=True, array_like=True):
    step: str
    attempt: int
    input: msgspec.Raw


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(list[_Offered]).decode


def offer_target(definition: DefinitionId, executor: Executor) -> str:
    """Return what a worker asks for that has room for steps of a definition."""
    return f"{definition}/process" if executor == "process" else definition


def offer_name(task: Task) -> str:
    """Return under which name the attempt of a step that names a queue is offered."""
    return f"step:{task.run_id}/{task.step}/{task.attempt}"


def offer_one(definition: DefinitionId, task: Task, options: StepOptions) -> StepJob:
    """Return the job of a step that names its queue."""
    assert options.queue is not None, "a step that names its queue"
    target = offer_target(definition, options.executor)
    return StepJob(uuid.UUID(task.run_id), options.queue, target, _encode([_offered(task)]), offer_name(task))


def spread(definition: DefinitionId, tasks: Sequence[Task]) -> Iterator[StepJob]:
    """Yield jobs of up to CHUNK steps each; all of them are of one run."""
    for first in range(0, len(tasks), CHUNK):
        chunk = tasks[first : first + CHUNK]
        body = _encode([_offered(task) for task in chunk])
        yield StepJob(uuid.UUID(chunk[0].run_id), STEPS_QUEUE, definition, body, None)


def _offered(task: Task) -> _Offered:
    return _Offered(task.step, task.attempt, msgspec.Raw(task.input))


def tasks_of(job: ClaimedJob, serving: Serving) -> list[Task]:
    """Return the attempts that a claimed job of a run asks for."""
    assert job.run_id is not None, "a job of a run"
    graph = serving.get(DefinitionId(job.target.partition("/")[0])).graph
    return [_task(job, job.run_id, one, graph) for one in _decode(job.input)]


def _task(job: ClaimedJob, run: RunId, one: _Offered, graph: Graph) -> Task:
    node = graph.by_name[node_name(one.step)]
    options = node.options
    executor: Executor = "process" if job.losses >= APART_LOSSES else options.executor
    return Task(
        run,
        StepName(one.step),
        one.attempt,
        node.target,
        bytes(one.input),
        options.timeout_s,
        executor,
        job.id,
        options.heartbeat_timeout_s,
    )


def unreadable_offer(job: ClaimedJob, error: Exception) -> SentSteps:
    """Return what the run of an offer is told that cannot be read: its owner puts that on record, as it stands here."""
    said = f"the steps that job {job.id} offered cannot be read: {type(error).__name__}: {error}"
    return SentSteps(job.id, job.attempt, uuid.uuid5(uuid.UUID(job.id), str(job.attempt)), _encode(said))


class Hand:
    """One claimed job with its attempts: one, or a chunk of a run's steps that come back together."""

    __slots__ = ("job", "outcomes", "tasks")

    def __init__(self, job: ClaimedJob, tasks: Iterable[Task]) -> None:
        self.job: Final = job
        self.tasks: Final = tuple(tasks)
        self.outcomes: list[SentOutcome] = []

    def take(self, task: Task, outcome: Outcome, worker: IncarnationId) -> SentSteps | None:
        """Note how one attempt ended; return what is to be sent once all have."""
        self.outcomes.append(sent_outcome(task.step, task.attempt, outcome, worker=worker))
        if len(self.outcomes) < len(self.tasks):
            return None
        job = self.job
        return SentSteps(job.id, job.attempt, uuid.uuid5(uuid.UUID(job.id), str(job.attempt)), _encode(self.outcomes))
