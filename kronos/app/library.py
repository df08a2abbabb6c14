"""Library mode: the engine inside the user's own process."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from kronos.app.access import Kronos, Step, Workflow
from kronos.app.jobs import JobHandle
from kronos.app.waiting import moment_after
from kronos.core.events import Attribute
from kronos.core.state import Phase
from kronos.errors import KronosError, Unavailable
from kronos.kernel import canonical
from kronos.kernel.ids import RunId
from kronos.ports.history import RunSummary
from kronos.settings import Settings

__all__ = ["Engine", "Handle", "RunFailedError"]


class Handle:
    """A run that was started here."""

    def __init__(self, app: Kronos, run_id: RunId, workflow: Workflow) -> None:
        self._app = app
        self.run_id: Final = run_id
        self._workflow = workflow

    def result(self, timeout: float | None = None) -> Any:
        """Return the run's typed result; raise `RunFailedError` or, after `timeout` s, `TimeoutError`.

        Of a run that continued as a new one it is the last one's.
        """
        until = moment_after(timeout)
        run = self._app.wait(self.run_id, timeout)
        while run.continued_by is not None:
            run = self._app.wait(run.continued_by, None if timeout is None else max(0.0, until - time.monotonic()))
        if run.phase is not Phase.COMPLETED:
            raise RunFailedError(run)
        assert run.output is not None, "a completed run has an output"
        return canonical.decode(self._app.history.payload(run.output), self._workflow.output_type)

    @property
    def status(self) -> RunSummary:
        """The run's line as of now."""
        return self._app.history.run(self.run_id)


class RunFailedError(KronosError):
    """A run that was waited for ended otherwise than completed; `run` is its line."""

    code = "run_failed"

    def __init__(self, run: RunSummary) -> None:
        why = "" if run.failure is None else f": {run.failure.type}: {run.failure.message}"
        where = f" at step {run.failed_step!r}" if run.failed_step else ""
        super().__init__(f"run {run.id} is {run.phase}{where}{why}", run_id=run.id, phase=run.phase)
        self.run = run


class Engine:
    """Library mode: engine, worker and submit inside one Python process, no server.

    ```python
    with Engine(workflows=[sma_research]) as engine:
        report = engine.start(sma_research, Request(...)).result(timeout=60)
    ```
    """

    def __init__(
        self,
        *,
        workflows: Sequence[Workflow | Step | str] = (),
        database_url: str | None = None,
        data_dir: Path | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.app: Final = Kronos.open(settings, database_url=database_url, data_dir=data_dir, workflows=workflows)
        self._worker = self.app.worker().start()
        self._is_closed = False

    def start(
        self,
        workflow: Workflow,
        run_input: object = msgspec.UNSET,
        *,
        timeout_s: float | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        retention: str | None = None,
        conn: object | None = None,
    ) -> Handle:
        """Start a run; it is durable when this returns; options are those of `Kronos.start`."""
        run_id = self._open.start(
            workflow, run_input, timeout_s=timeout_s, attributes=attributes, retention=retention, conn=conn
        )
        return Handle(self.app, run_id, workflow)

    def start_many(self, workflow: Workflow, inputs: Sequence[object]) -> list[Handle]:
        """Start one run for each of `inputs`, in one transaction."""
        return [Handle(self.app, run_id, workflow) for run_id in self._open.start_many(workflow, inputs)]

    def submit(self, step: Step, arguments: Mapping[str, object] | None = None, **options: Any) -> JobHandle:
        """Ask for one call of `step`; `options` are those of `Jobs.submit`."""
        return JobHandle(self.app.jobs, self._open.jobs.submit(step, arguments, **options), step)

    @property
    def _open(self) -> Kronos:
        """Raise `Unavailable` once it is closed: nobody here would execute what is asked for."""
        if self._is_closed:
            raise Unavailable("this engine is closed: start runs and jobs inside its `with` block")
        return self.app

    def close(self, drain_s: float = 30.0) -> None:
        """Finish what runs within `drain_s` and leave."""
        self._is_closed = True
        self._worker.stop(drain_s)
        self.app.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
