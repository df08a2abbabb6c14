"""`app.doctor(run)`: asks the database, and explains.

Rule: it asks with the full rights of the login: the runtime role is not shown what other connections do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kronos.app.doctor.database import examine
from kronos.app.doctor.explaining import QueueLine, RunEvidence, WorkerLine, explain
from kronos.app.doctor.pooling import look_for_pooler
from kronos.app.doctor.remark import Remark, shown_time
from kronos.engine.commands import unreadable
from kronos.errors import CorruptHistory, TransitionError
from kronos.kernel.ids import DefinitionId, RunId, parse_run_id
from kronos.ports.history import History, unknown_run
from kronos.storage.database import Connection, Connections, connect
from kronos.storage.statements import statement

__all__ = ["Doctor", "FullRights"]


class FullRights:
    """Connections that keep the rights of the login, one a question."""

    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Yield one in autocommit mode; raise `Unavailable`."""
        with connect(self._url, purpose="doctor", role=False) as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield one inside a transaction."""
        with self.connection() as connection, connection.transaction():
            yield connection


class Doctor:
    """Examines a database, or explains one run."""

    def __init__(self, url: str, connections: Connections, history: History, data_dir: Path) -> None:
        self._url = url
        self._connections = connections
        self._history = history
        self._data_dir = data_dir

    def __call__(self, run_id: RunId | None = None) -> list[Remark]:
        """Return why a run is not moving, or without one what is wrong around all of them; raise `NotFound`."""
        if run_id is None:
            around = [*examine(self._ask, self._data_dir), look_for_pooler(self._url)]
            return [*around, *self._damaged(None), *map(_put_aside, self._ask("doctor/find_put_aside"))]
        run_id = parse_run_id(run_id)
        rows = self._ask("doctor/read_run", {"run": run_id})
        if not rows:
            raise unknown_run(run_id)
        row = RunEvidence(*rows[0])
        graph = self._history.definition(DefinitionId(row.definition)).graph
        workers = [WorkerLine(*each) for each in self._ask("doctor/read_workers")]
        queues = [QueueLine(*each) for each in self._ask("doctor/find_queued", {"run": run_id})]
        try:
            state = self._history.state_at(run_id)
        except (CorruptHistory, TransitionError) as error:
            return [*self._damaged(run_id), _unread(run_id, error)]
        return [*self._damaged(run_id), *explain(row, state, graph, workers, queues)]

    def _damaged(self, run_id: RunId | None) -> Iterator[Remark]:
        """Yield the waiting commands that cannot be read."""
        for number, run, kind, body in self._ask("fsck/read_inbox", {"only": run_id}):
            why = unreadable(kind, body)
            if why is not None:
                what = f"the {kind} command {number} of run {run} cannot be read: {why}"
                do = "its owner will put it aside: send it again, or cancel the run"
                yield Remark(topic="inbox", level="bad", what=what, do=do)

    def _ask(self, name: str, at: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with self._connections.connection() as connection:
            return connection.execute(statement(name), at).fetchall()


def _unread(run: RunId, error: Exception) -> Remark:
    what = f"its history cannot be read, so that nobody can go on with it: {error}"
    return Remark(
        topic="history", level="bad", what=what, do=f"look with kronos fsck --run {run}; restore it from a backup"
    )


def _put_aside(row: tuple[Any, ...]) -> Remark:
    run, wake_ns = row
    what = f"run {run} was put aside: its history cannot be read. It is tried again at {shown_time(wake_ns)}"
    do = f"look with kronos fsck --run {run}; restore its rows from a backup"
    return Remark(topic="history", level="bad", what=what, do=do)
