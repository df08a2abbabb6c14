"""The composition root: the only place where adapters are chosen.

Rule: everything above asks a `Kronos`; everything below is given what it needs.
"""

from typing import TYPE_CHECKING, Any

from kronos.app.access import Kronos
from kronos.app.changes import Changes
from kronos.app.jobs import JobFailedError, JobHandle
from kronos.app.library import Engine, Handle, RunFailedError

if TYPE_CHECKING:
    from kronos.app.working import WorkerProcess

__all__ = ["Changes", "Engine", "Handle", "JobFailedError", "JobHandle", "Kronos", "RunFailedError", "WorkerProcess"]


def __getattr__(name: str) -> Any:
    if name != "WorkerProcess":
        raise AttributeError(f"module 'kronos.app' has no attribute {name!r}")
    from kronos.app.working import WorkerProcess  # the whole engine, which a command that asks has no use for

    return WorkerProcess
