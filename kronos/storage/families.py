"""The part of a flush that reaches other runs: children that start, parents that are told, successors.

Rule 1: it happens in the flush's own transaction, after its ends: what was refused there does not happen here.
Rule 2: rows of several runs are locked in the order of their ids before the first of them is written.
"""

from __future__ import annotations

from kronos.ports.queue import Flush, Head
from kronos.storage.database import Connection
from kronos.storage.notices import announce
from kronos.storage.statements import statement

__all__ = ["lock_families", "write_families"]


def lock_families(connection: Connection, flush: Flush) -> None:
    """Lock what the ends in `flush` touch beside their own rows; nothing where they touch nothing."""
    if any(_reaches_others(head) for head in flush.ended):
        runs = [head.run for head in flush.ended]
        parents = [head.parent for head in flush.ended if head.parent is not None]
        connection.execute(statement("lock_families"), {"runs": runs, "parents": parents})


def write_families(connection: Connection, flush: Flush) -> None:
    """Start what was started, tell parents, ask children to end."""
    if flush.starts:
        _start(connection, flush)
    told = [head for head in flush.ended if head.parent is not None]
    if told:
        at = {"children": [head.run for head in told], "bodies": [head.parent_body for head in told]}
        connection.execute(statement("tell_parents"), at)
    ended = [head.run for head in flush.ended if head.has_children]
    if ended:
        connection.execute(statement("cancel_children"), {"runs": ended})
    if flush.starts or told or ended:
        announce(connection, "inbox")


def _reaches_others(head: Head) -> bool:
    return head.parent is not None or head.has_children


def _start(connection: Connection, flush: Flush) -> None:
    children = sorted((each for each in flush.starts if each.step is not None), key=lambda each: each.run)
    if children:
        at: dict[str, object] = {
            "runs": [each.run for each in children],
            "parents": [each.by for each in children],
            "steps": [each.step for each in children],
            "attempts": [each.attempt for each in children],
            "definitions": [each.definition for each in children],
            "inputs": [each.input for each in children],
            "timeouts": [each.timeout_ms for each in children],
        }
        connection.execute(statement("start_children"), at)
    successors = [each for each in flush.starts if each.step is None]
    if successors:
        at = {
            "runs": [each.run for each in successors],
            "before": [each.by for each in successors],
            "inputs": [each.input for each in successors],
        }
        connection.execute(statement("start_successors"), at)
