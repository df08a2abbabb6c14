"""Whether sessions are what they seem: behind a pooler in transaction mode a lock or a LISTEN belongs to nobody."""

from __future__ import annotations

from kronos.app.doctor.remark import Remark
from kronos.storage.database import Connection, connect

__all__ = ["look_for_pooler"]


def look_for_pooler(url: str) -> Remark:
    """Compare the backends that answer over two connections, both held open and each asked twice in a row."""
    with connect(url, purpose="doctor") as one, connect(url, purpose="doctor") as other:
        answered = [_backend(each) for each in (one, one, other, other)]
    if answered[0] == answered[1] != answered[2] == answered[3]:
        return Remark(topic="pooler", level="ok", what="each connection has a backend of its own")
    return Remark(
        topic="pooler",
        level="bad",
        what=f"two connections, each asked twice, were answered by backends {answered}: a pooler in transaction mode",
        do="connect to Postgres itself, or put the pooler into session mode",
    )


def _backend(connection: Connection) -> object:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None, "a session has a backend"
    return row[0]
