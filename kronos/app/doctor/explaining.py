"""Why a run is not moving: from what is on record of it, and of those who could move it.

Rule 1: this decides nothing and changes nothing; the same row explains itself in the same way everywhere.
Rule 2: the first remark is the reason nearest to the run: what holds it, then who should move it, then its steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from kronos.app.doctor.remark import Remark, shown_s, shown_time
from kronos.core.graph import Graph
from kronos.core.state import Phase, Run, StepState, StepStatus

__all__ = ["QueueLine", "RunEvidence", "WorkerLine", "explain"]

SOON_S: Final = 5.0
"""A run that could be claimed is claimed sooner, where anybody serves it."""
STEPS_SHOWN_MAX: Final = 20


class WorkerLine(NamedTuple):
    """One living incarnation; times in s."""

    id: int
    name: str
    host: str
    pid: int
    lease_s: float
    silent_s: float | None
    runs: int
    serves: list[str]

    @property
    def is_silent(self) -> bool:
        """Whether its lease has run out."""
        return self.silent_s is None or self.silent_s > self.lease_s


class RunEvidence(NamedTuple):
    """One row of `sql/doctor/read_run.sql`."""

    phase: str
    workflow: str
    version: str
    definition: str
    owner: int | None
    owner_name: str | None
    owner_is_dead: bool
    silent_s: float | None
    lease_s: float | None
    sleeps: bool
    wake_ns: int | None
    commands: int
    takeovers: int
    now_ns: int
    age_s: float


class QueueLine(NamedTuple):
    """A queue in which jobs for steps of the run wait; `running` counts those of everybody."""

    name: str
    waiting: int
    since_s: float
    is_paused: bool
    paused_by: str | None
    concurrency: int | None
    running: int


def explain(
    row: RunEvidence, run: Run, graph: Graph, workers: Sequence[WorkerLine], queues: Sequence[QueueLine] = ()
) -> list[Remark]:
    """Return why the run stands where it stands, the nearest reason first."""
    if Phase(row.phase).is_final:
        return [_over(row, run), *_aside(run)]
    remarks = [*_held(row, run), *_aside(run), *(_unowned(row, workers) if row.owner is None else _owned(row))]
    return [*remarks, *map(_queued, queues), *_steps(row, run, graph)]


def _over(row: RunEvidence, run: Run) -> Remark:
    if row.phase == Phase.DEAD:
        why = run.failure.message if run.failure is not None else "its worker died each time"
        return Remark(
            topic="end",
            level="bad",
            what=f"it is dead: {why}",
            do="find out what kills the process; then start it again",
        )
    why = "" if run.failure is None else f": {run.failure.type}: {run.failure.message}"
    at = f" at step {run.failed_step!r}" if run.failed_step else ""
    return Remark(topic="end", level="ok", what=f"it is {row.phase}{at}{why}; nothing more will happen")


def _held(row: RunEvidence, run: Run) -> Iterator[Remark]:
    pause = run.notes.pause
    if pause is not None:
        who = f" by {pause.by}" if pause.by else ""
        why = f": {pause.reason}" if pause.reason else ""
        since = shown_s((row.now_ns - pause.at) / 1e9)
        yield Remark(topic="pause", level="note", what=f"it is held{who} since {since}{why}", do="resume it")


def _aside(run: Run) -> Iterator[Remark]:
    for each in run.notes.aside:
        do = "send it again, or cancel the run: what waited for it still waits"
        yield Remark(topic="inbox", level="bad", what=f"seq {each.seq}, at {shown_time(each.at)}: {each.why}", do=do)


def _unowned(row: RunEvidence, workers: Sequence[WorkerLine]) -> Iterator[Remark]:
    if row.sleeps and not row.commands:
        yield Remark(
            topic="wait", level="note", what="it sleeps until a message comes", do="send what its steps wait for"
        )
        return
    if row.wake_ns is not None and row.wake_ns > row.now_ns and not row.commands:
        left = shown_s((row.wake_ns - row.now_ns) / 1e9)
        yield Remark(topic="wait", level="note", what=f"it sleeps until {shown_time(row.wake_ns)}, {left} from now")
        return
    yield _unclaimed(row, [worker for worker in workers if not worker.is_silent])


def _unclaimed(row: RunEvidence, living: list[WorkerLine]) -> Remark:
    served = f"{row.workflow} {row.version} ({row.definition[:12]})"
    serving = sorted({worker.name for worker in living if row.definition in worker.serves})
    if not living:
        what = f"nobody owns it, and no worker lives that could claim it ({served})"
        return Remark(topic="worker", level="bad", what=what, do="start one: kronos worker --workflows MODULE")
    if not serving:
        names = ", ".join(sorted({worker.name for worker in living}))
        do = "start a worker with that version of the code, or adopt the run to another version"
        return Remark(topic="worker", level="bad", what=f"workers live ({names}), none of which serves {served}", do=do)
    names = ", ".join(serving)
    if row.age_s <= SOON_S:
        return Remark(topic="worker", level="note", what=f"it is about to be claimed by one of {names}")
    what = f"{names} serve it and have not claimed it: each has all the runs that it takes"
    return Remark(topic="worker", level="note", what=what, do="wait, or start another worker")


def _owned(row: RunEvidence) -> Iterator[Remark]:
    name = f"{row.owner_name or 'unknown'} (incarnation {row.owner})"
    if row.owner_is_dead:
        do = "start a worker: each gives back what the dead owned"
        yield Remark(topic="owner", level="bad", what=f"its owner {name} is dead", do=do)
    elif row.silent_s is None or (row.lease_s is not None and row.silent_s > row.lease_s):
        since = "ever" if row.silent_s is None else shown_s(row.silent_s)
        what = f"its owner {name} is silent since {since}; its lease was {row.lease_s:g} s"
        yield Remark(
            topic="owner",
            level="bad",
            what=what,
            do="it is taken over within a second where another worker lives; start one",
        )
    else:
        what = f"its owner {name} lives: heard {shown_s(row.silent_s)} ago, lease {row.lease_s:g} s"
        yield Remark(topic="owner", level="ok", what=what)
    if row.commands:
        yield Remark(topic="inbox", level="note", what=f"{row.commands} commands wait to be obeyed")
    if row.takeovers:
        what = f"{row.takeovers} takeovers without progress: a step of it may kill its process"
        yield Remark(
            topic="takeovers",
            level="bad",
            what=what,
            do="look at the worker's log; after repeated ones the run is dead",
        )


def _queued(queue: QueueLine) -> Remark:
    what = f"{queue.waiting} jobs for its steps wait in queue {queue.name!r} since {shown_s(queue.since_s)}"
    if queue.is_paused:
        by = f" by {queue.paused_by}" if queue.paused_by else ""
        return Remark(topic="queue", level="note", what=f"{what}, which is paused{by}", do="resume the queue")
    if queue.concurrency is not None and queue.running >= queue.concurrency:
        do = "wait, or raise its limit"
        what = f"{what}: its limit of {queue.concurrency} running jobs is reached"
        return Remark(topic="queue", level="note", what=what, do=do)
    return Remark(topic="queue", level="note", what=what, do="start another worker that takes from this queue")


def _steps(row: RunEvidence, run: Run, graph: Graph) -> Iterator[Remark]:
    open_ = {name: step for name, step in run.steps.items() if step.status in _OPEN}
    for name in sorted(open_)[:STEPS_SHOWN_MAX]:
        yield _step(name, open_[name], row, _timeouts(graph))
    if len(open_) > STEPS_SHOWN_MAX:
        yield Remark(topic="step", level="note", what=f"and {len(open_) - STEPS_SHOWN_MAX} more steps are open")


_OPEN: Final = frozenset({StepStatus.SCHEDULED, StepStatus.RUNNING, StepStatus.RETRYING})


def _step(name: str, step: StepState, row: RunEvidence, timeouts: Mapping[str, float | None]) -> Remark:
    facts, what = step.facts, f"step {name!r} "
    if step.status is StepStatus.RETRYING:
        why = "" if facts.failure is None else f" after {facts.failure.type}: {facts.failure.message}"
        due = facts.retry_due or row.now_ns
        return Remark(topic="retry", level="note", what=f"{what}tries again at {shown_time(due)}{why}")
    if facts.wait is not None:
        until = f" until {shown_time(facts.due)}" if facts.due is not None else ""
        return Remark(topic="wait", level="note", what=f"{what}waits ({facts.wait}){until}")
    if step.status is StepStatus.SCHEDULED:
        since = shown_s((row.now_ns - (facts.scheduled or row.now_ns)) / 1e9)
        do = "every slot is taken: start another worker, or raise WORKER_CONCURRENCY"
        return Remark(topic="slot", level="note", what=f"{what}waits for a slot since {since}", do=do)
    ran_s = (row.now_ns - (facts.started or row.now_ns)) / 1e9
    what += f"runs since {shown_s(ran_s)} (attempt {step.attempt}, incarnation {facts.worker})"
    timeout_s = timeouts.get(name.partition("[")[0])
    if timeout_s is not None and ran_s > timeout_s:
        what += f", longer than its limit of {timeout_s:g} s: its thread does not end"
        return Remark(
            topic="step", level="bad", what=what, do="restart the worker; run such a step with executor='process'"
        )
    return Remark(topic="step", level="note", what=what)


def _timeouts(graph: Graph) -> dict[str, float | None]:
    return {node.name: node.options.timeout_s for node in graph.nodes}
