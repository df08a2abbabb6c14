"""`app.nodes`: which processes are up, who leads, and who serves what."""

from __future__ import annotations

from datetime import datetime

import msgspec

from kronos.kernel.ids import DefinitionId, IncarnationId
from kronos.ports.leading import NodeId
from kronos.storage.database import Session
from kronos.storage.statements import statement

__all__ = ["Node", "Nodes"]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One worker or server process.  `epoch` and `left_s` (seconds of its lead) are set where it leads."""

    id: NodeId
    kind: str
    name: str
    host: str
    pid: int
    incarnation: IncarnationId | None
    definitions: tuple[DefinitionId, ...]
    started_at: datetime
    seen_at: datetime
    lease_s: float
    is_up: bool
    epoch: int | None
    left_s: float | None

    @property
    def leads(self) -> bool:
        """Whether it holds the lead."""
        return self.epoch is not None


class Nodes:
    """Processes that are up, or vanished within the hour."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self) -> list[Node]:
        """Return them, oldest first."""
        with self._session.connection() as connection:
            rows = connection.execute(statement("list_nodes")).fetchall()
        return [
            msgspec.convert(dict(zip(Node.__struct_fields__, row, strict=True)), Node, strict=False) for row in rows
        ]

    def leader(self) -> Node | None:
        """Return the one that leads."""
        return next((node for node in self.list() if node.leads), None)

    def workflows(self) -> dict[DefinitionId, str]:
        """Return what each served definition is called: its workflow and version."""
        with self._session.connection() as connection:
            rows = connection.execute(statement("name_definitions")).fetchall()
        return {DefinitionId(str(row[0])): f"{row[1]} {row[2]}" for row in rows}
