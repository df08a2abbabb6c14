"""What became of one attempt in a replay, held against the record."""

from __future__ import annotations

import platform
from collections.abc import Collection
from enum import StrEnum
from typing import Final

import msgspec

from kronos.core.events import Failure
from kronos.debugger.compare import Difference, compare, compare_bytes
from kronos.debugger.replay_journal import JournalDifference, ReplayedJournal
from kronos.debugger.replay_recording import RecordedAttempt
from kronos.engine.tasks import Outcome

__all__ = [
    "NOTHING_COMPARED",
    "Status",
    "Verdict",
    "compare_outcomes",
    "exit_code",
    "show",
    "verdict_of",
    "with_journal",
]


class Status(StrEnum):
    """What became of one attempt in the replay."""

    OK = "OK"
    FAILED = "FAILED"
    DIVERGED = "DIVERGED"
    BLOCKED = "BLOCKED"
    SERVED = "SERVED"
    SKIPPED = "SKIPPED"


EXIT_CODES: Final = {Status.FAILED: 3, Status.DIVERGED: 4, Status.BLOCKED: 4}
"""A status that is not here is no reason to complain."""
NOTHING_COMPARED: Final = 6
_UNCOMPARED: Final = frozenset({Status.SERVED, Status.SKIPPED})


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a replay.

    `differences` are of the output, or of the input that the code would now be given; `input_changed` says that what a
    replayed step gave led to another input.
    """

    step: str
    attempt: int
    status: Status
    detail: str = ""
    differences: list[Difference] = []
    code_changed: bool = False
    input_changed: bool = False
    notes: list[str] = []
    seconds: float = 0.0


def exit_code(verdicts: Collection[Verdict], *, result: object = None) -> int:
    """Return 0 when every outcome is equal, else what the first unequal one means (3 failed, 4 diverged, blocked).

    Where no outcome was compared, and no `result` of the run either, that is `NOTHING_COMPARED`: no word that it fits.
    """
    if result is None and all(verdict.status in _UNCOMPARED for verdict in verdicts):
        return NOTHING_COMPARED
    return next((EXIT_CODES[verdict.status] for verdict in verdicts if verdict.status in EXIT_CODES), 0)


def compare_outcomes(attempt: RecordedAttempt, outcome: Outcome) -> Verdict:
    """Return whether an attempt came to what the record says."""
    if attempt.failure is None and outcome.failure is not None:
        return verdict_of(attempt, Status.FAILED, show(outcome.failure), traceback=outcome.failure.traceback)
    if attempt.failure is not None and outcome.failure is None:
        gone = Difference("$failure", show(attempt.failure), "(absent)")
        return verdict_of(attempt, Status.DIVERGED, str(gone), [gone])
    if attempt.failure is not None and outcome.failure is not None:
        found = compare(_facts(attempt.failure), _facts(outcome.failure))
    else:
        assert attempt.output is not None, "no failure means an output"
        assert outcome.output is not None, "no failure means an output"
        found = compare_bytes(attempt.output, outcome.output)
    if not found:
        return verdict_of(attempt, Status.OK, "failed as recorded" if attempt.failure is not None else "")
    return verdict_of(attempt, Status.DIVERGED, str(found[0]), found)


def _facts(failure: Failure) -> dict[str, str]:
    return {"type": failure.type, "message": failure.message}


def show(failure: Failure) -> str:
    """Return a failure in one line."""
    return f"{failure.type}: {failure.message}"


def verdict_of(
    attempt: RecordedAttempt,
    status: Status,
    detail: str = "",
    differences: list[Difference] | None = None,
    *,
    traceback: str = "",
) -> Verdict:
    """Return a verdict on `attempt`."""
    return Verdict(
        step=attempt.step,
        attempt=attempt.number,
        status=status,
        detail=detail,
        differences=differences or [],
        notes=[traceback.rstrip()] if traceback else [],
    )


def with_journal(
    attempt: RecordedAttempt, verdict: Verdict, journal: ReplayedJournal, environment: dict[str, str]
) -> Verdict:
    """Return `verdict` with what the journal of a trading step says."""
    if attempt.failure is not None:
        return verdict  # a step that failed midway sealed what the clock let it seal
    apart = journal.difference(user=True)
    if apart is None:
        return verdict
    if apart.chain == "user" and not _same_machine(environment):
        note = f"{apart}, on another Python or machine: floats differ between CPUs; decisions are equal"
        return msgspec.structs.replace(verdict, notes=[*verdict.notes, note])
    if verdict.status is not Status.OK:
        return msgspec.structs.replace(verdict, notes=[*verdict.notes, str(apart)])
    return msgspec.structs.replace(verdict, status=Status.DIVERGED, detail=_journal_detail(apart))


def _journal_detail(apart: JournalDifference) -> str:
    return f"journal rows {apart.first_row}..{apart.last_row}: {apart}"


def _same_machine(environment: dict[str, str]) -> bool:
    here = {"python": platform.python_version(), "machine": platform.machine()}
    return all(environment.get(key) == value for key, value in here.items())
