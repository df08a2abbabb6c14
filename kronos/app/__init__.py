"""The composition root: the only place where adapters are chosen.

Rule: everything above asks a `Kronos`; everything below is given what it needs.
"""

from kronos.app.access import Kronos
from kronos.app.changes import Changes
from kronos.app.jobs import JobFailedError, JobHandle
from kronos.app.library import Engine, Handle, RunFailedError
from kronos.app.working import WorkerProcess

__all__ = ["Changes", "Engine", "Handle", "JobFailedError", "JobHandle", "Kronos", "RunFailedError", "WorkerProcess"]
