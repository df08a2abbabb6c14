"""The worker's side of what a process child asks: its journal, blobs and the dataset index.

Rule: a question never breaks the slot; what goes wrong here is raised in the step that asked.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kronos.core.costs import Costs
from kronos.engine.context import Services
from kronos.engine.slots import wire
from kronos.engine.tasks import Task
from kronos.errors import KronosError, Unavailable
from kronos.ports import Blobs, DatasetIndex, DatasetRow, Recorder

__all__ = ["Desk"]


class Desk:
    """Answers the questions of one attempt."""

    def __init__(self, task: Task, services: Services) -> None:
        self._task = task
        self._services = services
        self._recorder: Recorder | None = None

    def answer(self, ask: wire.Ask) -> wire.Reply:
        """Return the answer, or the type and message of what was raised."""
        try:
            return wire.Reply(self._answer(ask.method, ask.arguments))
        except Exception as error:
            message = error.message if isinstance(error, KronosError) else str(error)
            return wire.Reply(None, (type(error).__name__, message))

    def note(self, tell: wire.Tell) -> None:
        """Pass on a notice."""
        arguments = tell.arguments
        reports = self._services.reports
        if tell.method == "beat":
            reports.beat(self._task, arguments["progress"])
        elif tell.method == "cost":
            reports.cost(self._task, msgspec.convert(arguments["costs"], Costs))
        elif tell.method == "attribute":
            reports.attribute(self._task, arguments["name"], arguments["value"])
        elif tell.method == "log":
            self._services.on_log(self._task, arguments["message"], arguments["fields"])

    def _answer(self, method: str, arguments: dict[str, Any]) -> Any:
        match method:
            case "segment":
                return self._journal().segment(**arguments)
            case "checkpoint":
                return self._journal().checkpoint(**arguments)
            case "blob_put":
                return self._blobs().put(arguments["data"])
            case "blob_get":
                return self._blobs().get(arguments["blob"])
            case "index_find":
                return self._index().find(arguments["name_or_id"])
            case "index_all":
                return self._index().all()
            case "index_add":
                return self._index().add(msgspec.convert(arguments["row"], DatasetRow))
        raise Unavailable(f"a child asked for {method!r}, which no worker offers")

    def _journal(self) -> Recorder:
        if self._recorder is None:
            self._recorder = self._services.recorder(self._task)
        return self._recorder

    def _blobs(self) -> Blobs:
        if self._services.blobs is None:
            raise Unavailable(f"step {self._task.step!r} asks for blobs, and this engine was started without a store")
        return self._services.blobs

    def _index(self) -> DatasetIndex:
        if self._services.index is None:
            raise Unavailable(f"step {self._task.step!r} asks for datasets, and this engine was started without them")
        return self._services.index
