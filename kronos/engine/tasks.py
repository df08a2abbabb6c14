"""What goes into a slot and what comes out of it."""

from __future__ import annotations

import msgspec

from kronos.core.costs import Costs
from kronos.core.events import Attribute, Effect, Failure
from kronos.core.options import Executor
from kronos.kernel.ids import JobId, RunId, StepName

__all__ = ["Outcome", "Task"]


class Task(msgspec.Struct, frozen=True, gc=False):
    """One attempt of one step: `target` is its code (`module:qualname`), `input` its canonical arguments by name.

    `job` is the id of the job whose attempt it is, and then stands for the run's; "" for steps.
    """

    run_id: RunId
    step: StepName
    attempt: int
    target: str
    input: bytes
    timeout_s: float | None = None
    executor: Executor = "thread"
    job: JobId = JobId("")
    heartbeat_s: float | None = None


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How an attempt ended: canonical `output`, or `failure`; what it cost, and the attributes it gave the run.

    Times are ns of the clock that the services give.
    """

    output: bytes | None
    failure: Failure | None
    effects: tuple[Effect, ...]
    started_ns: int
    finished_ns: int
    costs: Costs | None = None
    attributes: dict[str, Attribute | None] | None = None
    is_sent: bool = False
    """It waits in the run's inbox, and is recorded from there: nothing here counts."""
