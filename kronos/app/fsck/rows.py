"""A run's row, held against the fold of its history: what lists show, and what forks and replays believe.

Rule 1: a column is judged only where the history knows it: an open run's end is not there yet, a run that was given up
        before it began has no beginning on record, and a fork begins with its own `run_forked`.
Rule 2: times are judged as exactly as they are written: the end to a millisecond; `started_at` is when the run was
        first claimed, by the database's clock, so it lies between the run's creation and its first event; the moment
        of creation is part of the id (a run that another started was named before it was inserted).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, NamedTuple, TypeVar

import msgspec

from kronos.core.costs import NO_COSTS, Spent
from kronos.core.events import Attribute, Failure
from kronos.core.forking import Fork
from kronos.core.state import Phase, Run

__all__ = ["RunLine", "other_attributes", "other_beginning", "other_end"]

END_NS: Final = 1_000_000
CLOCK_NS: Final = 60_000_000_000
"""How far apart the clocks of the database and of a worker are taken to be: that one asks every 30 s."""

_REF: Final = re.compile(rb'\{"\$blob":"([0-9a-f]{64})","size":[0-9]+\}')
_DERIVED: Final = 0xFFF << 64 | (1 << 62) - 1
"""The bits of a UUIDv7 that are neither its moment nor its version and variant."""
_T = TypeVar("_T")
_GIVEN_UP: Final = frozenset({Phase.FAILED, Phase.CANCELLED, Phase.DEAD})
_Attributes = dict[str, Attribute | None]


class RunLine(NamedTuple):
    """A row of `runs`, as far as fsck reads it; `inbox` is how many rows of `run_inbox` it has.

    `input` and `changes` are the SHA-256 of what stands there (`plan`: the changes themselves, of a run that has not
    begun), times are ns; `named` and `named_version` what its definition is
    called, `adoption` the last wish for another that waits in its inbox, `wished` the first for
    attributes.  `expiry` is what stands behind `expired_at`: a retired partition that is `gone`, one that is `going`,
    or `unfounded`.
    """

    id: uuid.UUID
    phase: str
    head_seq: int
    head_hash: bytes | None
    inbox_n: int
    inbox_seen: int
    inbox: int
    output: bytes | None
    failed_step: str | None
    expiry: str | None
    parent_seq: int
    workflow: str
    version: str
    definition: str
    input: bytes
    parent_run: uuid.UUID | None
    child_of: uuid.UUID | None
    child_step: str | None
    continues: uuid.UUID | None
    created: Decimal
    started: Decimal | None
    finished: Decimal | None
    failure: bytes | None
    spent: bytes | None
    continued_by: uuid.UUID | None
    named: str | None
    named_version: str | None
    adoption: bytes | None
    timeout_ms: int | None
    attributes: bytes | None
    wished: bytes | None
    child_attempt: int | None
    changes: bytes | None
    plan: bytes | None
    wake: Decimal | None
    takeover_seq: int


class _Adoption(msgspec.Struct):
    definition: str = ""
    version: str = ""


def other_beginning(run: RunLine, state: Run, *, begun: bool) -> Iterator[str]:
    """Yield the columns that say otherwise how the run began than its history; `begun`: it has events of its own that
    say so.
    """
    facts = state.facts
    if not _is_created(run):
        yield "created_at"
    if not _is_named(run):
        yield "child_attempt"
    if not begun or facts.definition is None:
        if (run.parent_run is None) != (run.changes is None) or (
            run.plan is not None and _read(run.plan, Fork) is None
        ):
            yield "changes"
        yield from _differing(workflow=(run.workflow, run.named), version=(run.version, run.named_version))
        return
    adopted = _read(run.adoption, _Adoption)
    definition, version = (adopted.definition, adopted.version) if adopted else (facts.definition, facts.version)
    yield from _differing(
        workflow=(run.workflow, facts.workflow),
        version=(run.version, version),
        definition=(run.definition, definition),
        parent_run=(_text(run.parent_run), facts.parent),
        parent_seq=(run.parent_seq, facts.parent_seq or 0),
        child_of=(_text(run.child_of), facts.child_of),
        child_step=(run.child_step, facts.child_step),
        continues=(_text(run.continues), facts.continues),
        timeout_ms=(run.timeout_ms, facts.timeout_ms),
        changes=(run.changes, None if facts.changes is msgspec.UNSET else _digest(bytes(facts.changes))),
    )
    if facts.input is not msgspec.UNSET and run.input != _digest(bytes(facts.input)):
        yield "input"
    if state.started is not None and not _is_between(run.created, run.started, state.started):
        yield "started_at"


def other_attributes(run: RunLine, state: Run, *, told: bool) -> bool:
    """Tell whether a run is searched by other attributes than its history gave it (`told`: it has events of its own
    that did), or than those it was started with, which its owner has yet to put on record.

    A run that was given up may have ended before that: what it shows then is believed.
    """
    if not told and state.phase in _GIVEN_UP:
        return False
    shown = _read(run.attributes, _Attributes) if run.attributes is not None else {}
    known = dict(state.notes.attributes) if told else {}
    wished = None if told or run.wished is None else _read(run.wished, _Attributes)
    return shown is None or (_exact(shown) != _exact(known) and (wished is None or _exact(shown) != _exact(wished)))


def other_end(run: RunLine, state: Run, successor: str | None) -> Iterator[str]:
    """Yield the columns that say otherwise how the run ended than its history; an open run has no end."""
    output = None if state.output is msgspec.UNSET or not state.phase.is_final else bytes(state.output)
    failure, failed_step = (state.failure, state.failed_step) if state.phase.is_final else (None, None)
    yield from _differing(
        output=(run.output, output),
        failed_step=(run.failed_step, failed_step),
        continued_by=(_text(run.continued_by), successor),
    )
    if (run.failure is None) != (failure is None) or _read(run.failure, Failure) != failure:
        yield "failure"
    if not _is_spent(run.spent, state):
        yield "spent"
    if not _is_near(run.finished, state.finished):
        yield "finished_at"


def _is_near(ours: Decimal | None, theirs: int | None) -> bool:
    if ours is None or theirs is None:
        return ours is None and theirs is None
    return abs(ours - theirs) <= END_NS


def _is_spent(spent: bytes | None, state: Run) -> bool:
    if spent is None:
        return not state.phase.is_final or state.costs == NO_COSTS
    return state.phase.is_final and _read(spent, Spent) == state.spent


def _is_created(run: RunLine) -> bool:
    named = (run.id.int >> 80) * 1_000_000
    is_late = run.child_of is not None or run.continues is not None
    return run.id.version != 7 or (named - CLOCK_NS <= run.created and (is_late or run.created <= named + CLOCK_NS))


def _is_named(run: RunLine) -> bool:
    """Tell whether a child is called what the attempt of the step that started it makes of its id."""
    if run.child_of is None or run.continues is not None:
        return True
    told = hashlib.sha256(f"{run.child_of}/{run.child_step}/{run.child_attempt}".encode()).digest()[:10]
    rest = int.from_bytes(told, "big")
    return run.id.int & _DERIVED == (rest >> 62 & 0xFFF) << 64 | rest & (1 << 62) - 1


def _exact(attributes: Mapping[str, Attribute | None]) -> dict[str, tuple[bool, Attribute | None]]:
    """Return attributes so that `true` is not 1."""
    return {name: (isinstance(value, bool), value) for name, value in attributes.items() if value is not None}


def _is_between(created: Decimal, started: Decimal | None, begun: int) -> bool:
    return started is not None and created - CLOCK_NS <= started <= begun + CLOCK_NS


def _digest(recorded: bytes) -> bytes:
    """Return the SHA-256 of a recorded value, which is itself or the name of its blob."""
    ref = _REF.fullmatch(recorded)
    return hashlib.sha256(recorded).digest() if ref is None else bytes.fromhex(ref[1].decode())


def _differing(**columns: tuple[object, object]) -> Iterator[str]:
    for name, (ours, theirs) in columns.items():
        if ours != theirs:
            yield name


def _read(data: bytes | None, kind: type[_T]) -> _T | None:
    try:
        return None if data is None else msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError:
        return None


def _text(run: uuid.UUID | None) -> str | None:
    return None if run is None else str(run)
