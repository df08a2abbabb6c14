"""`ports.Lineage`: forks in one transaction each, and families by one recursive question.

Rule 1: making a fork costs the same however long its parent's history is: a row, and one for each run it stands on.
Rule 2: the chain goes on where the parent's stood.  Inside a row that stands for several facts that is the head of the
        row's prefix, which is an event like any other.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final, cast

from kronos.core.forking import Fork, decode_fork, encode_fork
from kronos.core.state import Phase
from kronos.errors import Conflict, InvalidInput
from kronos.kernel.hashing import GENESIS
from kronos.kernel.ids import RunId
from kronos.ports.history import unknown_run
from kronos.ports.lineage import FAMILY_MAX, Family, ForkWish, Kin
from kronos.storage.archives import EventPages
from kronos.storage.database import Connection, Session
from kronos.storage.notices import announce
from kronos.storage.statements import statement

__all__ = ["PostgresLineage"]

PAGE: Final = 1_000
CHANGES_BYTES_MAX: Final = 16 * 1024 * 1024
"""What a fork may bring along as replaced inputs and outputs."""


class PostgresLineage:
    """`ports.Lineage`.  `head_at` returns the head of a run's chain at one of its seqs."""

    def __init__(self, session: Session, head_at: Callable[[RunId, int], bytes]) -> None:
        self._session = session
        self._head_at = head_at
        self._pages = EventPages(session)

    def fork(self, wish: ForkWish) -> RunId:
        """Record a fork and wake the workers; raise `NotFound` for an unknown parent."""
        changes = encode_fork(wish.fork)
        if len(changes) > CHANGES_BYTES_MAX:
            raise InvalidInput(
                f"the replaced inputs and outputs are {len(changes):,} bytes; a fork takes {CHANGES_BYTES_MAX:,}: "
                "give large values as datasets or files",
                field="changes",
            )
        with self._session.transaction() as connection:
            self._lock(connection, wish.parent)
            at = {
                "parent": wish.parent,
                "seq": wish.seq,
                "hash": self._head_at(wish.parent, wish.seq) if wish.seq else GENESIS,
                "definition": wish.definition,
                "input": wish.input,
                "changes": changes,
                "timeout_ms": None if wish.timeout_s is None else max(1, int(wish.timeout_s * 1000)),
            }
            (made,) = cast("tuple[uuid.UUID]", connection.execute(statement("fork_run"), at).fetchone())
            connection.execute(statement("add_ancestry"), {**at, "run": made})
            announce(connection, "runs")
        return RunId(str(made))

    @staticmethod
    def _lock(connection: Connection, parent: RunId) -> None:
        row = connection.execute(statement("lock_parent"), {"parent": parent}).fetchone()
        if row is None:
            raise unknown_run(parent)
        if row[0]:
            raise Conflict(
                f"the history of run {parent} has expired: a fork needs a run that is still kept whole", run_id=parent
            )

    def first_seq(self, run_id: RunId, steps: list[str]) -> dict[str, int]:
        """Return the seq of the first fact about each of `steps` that has begun."""
        with self._session.connection() as connection:
            if connection.execute(statement("find_archives"), {"run": run_id, "after": 0}).fetchone() is not None:
                return self._first_in_archives(run_id, set(steps))
            rows = connection.execute(statement("find_first_facts"), {"run": run_id, "steps": steps}).fetchall()
        return dict(cast("list[tuple[str, int]]", rows))

    def _first_in_archives(self, run_id: RunId, steps: set[str]) -> dict[str, int]:
        """Read a history through: part of it is in archives, which no statement looks into."""
        found: dict[str, int] = {}
        after = 0
        while page := self._pages.page(run_id, after, PAGE):
            for stored in page:
                if stored.event.step in steps:
                    found.setdefault(stored.event.step, stored.event.first_seq)
            after = page[-1].event.seq
        return found

    def family(self, run_id: RunId) -> Family:
        """Return a run's ancestors and descendants; raise `NotFound`."""
        with self._session.connection() as connection:
            at = {"run": run_id, "limit": FAMILY_MAX + 1}
            rows = cast("list[tuple[Any, ...]]", connection.execute(statement("read_family"), at).fetchall())
        sides: dict[int, list[Kin]] = {-1: [], 0: [], 1: []}
        for row in rows:
            sides[row[10]].append(_kin(row))
        if not sides[0]:
            raise unknown_run(run_id)
        return Family(
            run=sides[0][0],
            ancestors=sides[-1],
            descendants=sides[1][:FAMILY_MAX],
            is_cut=len(sides[1]) > FAMILY_MAX,
        )


def _kin(row: tuple[Any, ...]) -> Kin:
    fork = None if row[7] is None else decode_fork(row[7])
    return Kin(
        run_id=RunId(str(row[0])),
        parent=None if row[1] is None else RunId(str(row[1])),
        parent_seq=row[2],
        workflow=row[3],
        version=row[4],
        phase=Phase(row[5]),
        created_at=row[6],
        fork=fork,
        changed=_changed(fork, Fork() if row[11] is None else decode_fork(row[11]), code=row[8], run_input=row[9]),
    )


def _changed(fork: Fork | None, parent: Fork, *, code: bool, run_input: bool) -> list[str]:
    """Return in words what a fork changed, beyond what its parent had changed already."""
    if fork is None:
        return []
    inputs = [step for step, given in fork.inputs.items() if parent.inputs.get(step) != given]
    outputs = [step for step, given in fork.outputs.items() if parent.outputs.get(step) != given]
    return [
        *([f"{fork.at} again"] if fork.at else []),
        *(["code"] if code else []),
        *(["input"] if run_input else []),
        *(f"input of {step}" for step in inputs),
        *(f"output of {step}" for step in outputs),
    ]
