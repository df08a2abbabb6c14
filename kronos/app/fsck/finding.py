"""What fsck may find: each kind of fault, what it means, and what to do about it.

Rule: a finding names one row; whoever reads it needs nothing else to look at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

__all__ = ["MEANINGS", "Finding", "Meaning"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fault: `check` says which invariant, `row` which row of which table, `what` what is wrong with it."""

    check: str
    row: str
    what: str

    @property
    def means(self) -> str:
        """What follows from it."""
        return MEANINGS[self.check].means

    @property
    def do(self) -> str:
        """What to do next."""
        return MEANINGS[self.check].do


class Meaning(NamedTuple):
    """What a fault of one kind means, and what to do."""

    means: str
    do: str


_TAMPERED: Final = "compare with a backup or an anchor: somebody with the owner's rights, or a damaged disk, changed it"

MEANINGS: Final[Mapping[str, Meaning]] = {
    "seq": Meaning("a part of this run's history is missing, or stands there twice", _TAMPERED),
    "chain": Meaning("this row is not the one that was recorded", _TAMPERED),
    "body": Meaning("what this event said is lost", _TAMPERED),
    "transition": Meaning("no owner can have written this history: its hashes were forged along with it", _TAMPERED),
    "tail": Meaning("the latest events of this run were removed", _TAMPERED),
    "head": Meaning("the history up to here was replaced as a whole", _TAMPERED),
    "end": Meaning("the run's row and its history disagree on whether and how it ended", _TAMPERED),
    "result": Meaning("lists show another result than the history holds", "believe the history: `kronos runs events`"),
    "beginning": Meaning(
        "forks, replays and lists would believe another beginning than the one that is on record",
        "believe the history: `kronos runs events`; restore the row from a backup",
    ),
    "attributes": Meaning(
        "searches find this run, or miss it, by what no event says", "believe the history: `kronos runs events`"
    ),
    "expiry": Meaning("a history is called expired that retention did not take", _TAMPERED),
    "anchor": Meaning("history that was exported earlier is no longer the same", _TAMPERED),
    "run": Meaning("events that belong to no run are seen by nobody", "restore the run's row from a backup"),
    "class": Meaning(
        "readers look for these events in another partition and miss them, or new runs cannot be started",
        "restore the row's class",
    ),
    "fork": Meaning("the run's prefix is not the history that it was forked from", _TAMPERED),
    "inbox": Meaning("a command was lost, or the run can never end", "compare runs.inbox_n with the rows of run_inbox"),
    "command": Meaning(
        "a command that was accepted is damaged: nothing came of it, or will", "send it again, or cancel the run"
    ),
    "owner": Meaning(
        "nobody advances this run, and nobody may take it over",
        "start a worker; if it stays, UPDATE kronos.runs SET owner = NULL for it",
    ),
    "claim": Meaning(
        "workers pass this run over, or take it for another than it is",
        "believe the history: `kronos runs events`; restore the row from a backup",
    ),
    "heartbeat": Meaning("this incarnation can never be found silent", "mark it dead: its runs are then given back"),
    "flush": Meaning("a proof of a commit that nobody can have made", "DELETE it once no worker is running"),
    "dead_letter": Meaning(
        "the list of dead letters and the dead runs disagree", "compare it with the run's last event"
    ),
    "blob": Meaning("content was changed or damaged after it was stored", "restore it from a backup by its hash"),
    "blob_missing": Meaning("something refers to content that is gone", "restore the blob from a backup by its hash"),
    "reference": Meaning("the next sweep may take content that is still needed", "insert the reference into blob_refs"),
    "stray": Meaning("content is kept for what is not there, and never swept", "DELETE the row of blob_refs"),
    "segment": Meaning("the journal of this step cannot be folded", "restore the segments; the run itself still reads"),
    "checkpoint": Meaning(
        "a cached state is lost: views are slower", "delete the checkpoint: `kronos state` works without"
    ),
    "definition": Meaning(
        "runs are pinned to code that is not the code they name", "restore the row, or register again"
    ),
    "dataset": Meaning("runs over this data cannot be recomputed", "import the data again: its id is its content"),
    "job": Meaning(
        "nobody executes this job, and nobody else may, or its row was changed by hand",
        "held by nobody: start a worker; if it stays, give it back by hand; else restore the row from a backup",
    ),
    "schedule": Meaning(
        "a slot was fired and has no run, or slots are passed over, refused, or fired for nothing",
        "restore the row from a backup; or delete the schedule and add it again",
    ),
    "leader": Meaning(
        "nobody leads, or two may: schedules are not fired, or twice",
        "with no worker running: put back the row of kronos.leader, its epoch above all that were",
    ),
    "archive": Meaning(
        "forks of an expired run lose what they share with it", "restore the archive's rows from a backup"
    ),
    "partition": Meaning(
        "events of coming weeks have no place, or detaching is stuck", "run `kronos doctor`, start a worker"
    ),
    "trigger": Meaning(
        "history can be changed without anybody noticing", "create it again: kronos.guard_partition('TABLE')"
    ),
    "rights": Meaning("somebody could change what only Kronos may, or a worker history", "REVOKE the right"),
    "schema": Meaning(
        "workers may refuse this database, or work on tables that they do not know",
        "restore the row: version is the last migration's, min_code what it says",
    ),
}
"""By name of the check, as it stands in a finding."""
