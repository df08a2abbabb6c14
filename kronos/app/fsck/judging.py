"""One run's history, judged row by row as it streams by.

Rule 1: hashes and sequence are computed here anew (`fsck.chaining`); the decoders of facts and the table of legal
        transitions are those that every reader uses (`core.events`, `core.state`).
Rule 2: one fault is one finding: after it, judging goes on from what the row says.
Rule 3: a run's row is held against a history whose rows match their hashes: another is no witness.
Rule 4: recorded values are dropped as soon as they are judged: memory does not grow with their size.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from kronos.app.fsck.chaining import GENESIS, successor
from kronos.app.fsck.claims import faults_of_claim
from kronos.app.fsck.finding import Finding
from kronos.app.fsck.rows import RunLine, other_attributes, other_beginning, other_end
from kronos.core.events import LEADING, Event, Kind, RunFacts, read_event
from kronos.core.state import Phase, Run, apply
from kronos.errors import CorruptHistory, TransitionError

__all__ = ["EventLine", "Judge", "blobs_in", "light"]

_BLOB: Final = re.compile(rb'"\$blob":"([0-9a-f]{64})"')


_BEGINNINGS: Final = frozenset({Kind.RUN_STARTED, Kind.RUN_FORKED})


class EventLine(NamedTuple):
    """A row of `events`."""

    run: uuid.UUID
    seq: int
    facts: int
    kind: str
    step: str
    attempt: int
    at_ns: int
    body: bytes
    hash: bytes


def blobs_in(data: bytes | None) -> list[str]:
    """Return the names of the blobs that recorded bytes refer to."""
    return [name.decode() for name in _BLOB.findall(data)] if data else []


class Judge:
    """Is given a run's rows in order, then asked for what the end shows."""

    def __init__(self, run: RunLine, *, after: int = 0, head: bytes = GENESIS, state: Run | None) -> None:
        """Begin after seq `after`, where `head` and `state` stand (None: nothing is folded): of a fork, its prefix."""
        self.run: Final = run
        self._anchor: tuple[int, bytes] | None = None
        self._heads: tuple[bytes, ...] = (head,)
        self._first = self._last = after
        self._state = state
        self._holds = True
        self._begun = self._told = False
        self._successor: str | None = None
        self._seen_head = after == run.head_seq and run.head_hash in (None, head)

    def expect(self, seq: int, head: bytes) -> None:
        """Say what was exported of this run earlier."""
        self._anchor = seq, head

    def take(self, line: EventLine) -> Iterator[Finding]:
        """Judge the next row."""
        if line.seq - line.facts != self._last:
            yield self._at(line, "seq", f"seq {self._last} is followed by {line.seq - line.facts + 1}")
            self._state, self._heads = None, (line.hash,)
        else:
            yield from self._check_hash(line)
        yield from self._check_known(line)
        yield from self._fold(line)
        self._last = line.seq

    def _check_hash(self, line: EventLine) -> Iterator[Finding]:
        columns = line.seq, line.facts, line.attempt, line.at_ns, line.kind, line.step, line.body
        heads = [successor(head, *columns) for head in self._heads]
        if line.hash not in heads:
            yield self._at(line, "chain", "the row does not match its hash")
            self._holds = False
        # where a hash alone was edited, the next row still follows the one that was computed
        self._heads = (line.hash,) if line.hash in heads else (line.hash, *heads[:1])

    def _check_known(self, line: EventLine) -> Iterator[Finding]:
        if line.seq == self.run.head_seq:
            self._seen_head = True
            if self.run.head_hash is not None and line.hash != self.run.head_hash:
                yield self._at(line, "head", "the history up to here is not the one that the run's row noted")
        if self._anchor is not None and line.seq == self._anchor[0] and line.hash != self._anchor[1]:
            yield self._at(line, "anchor", "the history up to here is not the one that the anchor holds")

    def _fold(self, line: EventLine) -> Iterator[Finding]:
        try:
            event = read_event(line.seq, line.facts, line.kind, line.step, line.attempt, line.at_ns, line.body)
            if event.count > len(LEADING[event.kind]):
                yield self._at(line, "transition", f"a row of kind {event.kind} cannot stand for {event.count} facts")
                self._state = None
            if self._state is not None:
                self._state = apply(self._state, light(event))
            self._begun = self._begun or event.kind in _BEGINNINGS
            self._told = self._told or event.kind is Kind.RUN_ATTRIBUTED
            if event.kind is Kind.RUN_SIGNALLED and event.facts.failure is not None:
                yield self._at(line, "command", event.facts.failure.message)
            if event.kind is Kind.RUN_CONTINUED and isinstance(event.facts, RunFacts):
                self._successor = event.facts.successor
        except CorruptHistory as error:
            yield self._at(line, "body", error.message)
            self._state = None
        except TransitionError as error:
            yield self._at(line, "transition", error.message)
            self._state = None

    def close(self) -> Iterator[Finding]:
        """Judge what the end of the history shows, against the run's row."""
        run = self.run
        if run.inbox != run.inbox_n - run.inbox_seen:
            yield self._of_run(
                "inbox", f"{run.inbox_n} commands were sent, {run.inbox_seen} are seen, {run.inbox} are in the inbox"
            )
        if run.expiry == "gone" and self._last == self._first:
            return
        if run.expiry in {"gone", "unfounded"}:
            why = "its events are still in the log" if run.expiry == "gone" else "no retired partition took its history"
            yield self._of_run("expiry", f"it is noted as expired, and {why}")
        if self._last < run.head_seq:
            yield self._of_run("tail", f"the run's row notes seq {run.head_seq}; the history ends at {self._last}")
        elif run.head_seq and not self._seen_head:
            yield self._of_run("head", f"the run's row notes seq {run.head_seq}, where no event of the history ends")
        if self._anchor is not None and self._last < self._anchor[0]:
            yield self._of_run("anchor", f"the anchor holds seq {self._anchor[0]}; the history ends at {self._last}")
        yield from self._check_end()

    def _check_end(self) -> Iterator[Finding]:
        run, state = self.run, self._state
        if state is None or self._last < run.head_seq:
            return
        if state.phase.is_final != Phase(run.phase).is_final or (state.phase.is_final and state.phase != run.phase):
            yield self._of_run("end", f"the run's row says {run.phase}, its events lead to {state.phase}")
            return
        if state.phase.is_final and self._last > run.head_seq:
            yield self._of_run("end", f"events after seq {run.head_seq} were added after the end")
        for what in faults_of_claim(run, state, last=self._last):
            yield self._of_run("claim", what)
        if not self._holds:
            return
        if other_attributes(run, state, told=self._told):
            yield self._of_run("attributes", "it is searched by other attributes than its events gave it")
        ends = ", ".join(other_end(run, state, self._successor))
        if ends:
            yield self._of_run("result", f"its {ends} are not what its events say")
        begins = ", ".join(other_beginning(run, state, begun=self._begun))
        if begins:
            yield self._of_run("beginning", f"its {begins} are not what its events say")

    def _at(self, line: EventLine, check: str, what: str) -> Finding:
        return Finding(check=check, row=f"events: run {line.run} seq {line.seq}", what=what)

    def _of_run(self, check: str, what: str) -> Finding:
        return Finding(check=check, row=f"runs: {self.run.id}", what=what)


def light(event: Event) -> Event:
    """Return `event` without the values that it carries: the fold needs none of them."""
    facts = event.facts
    if isinstance(facts, RunFacts) or (facts.output is msgspec.UNSET and not facts.effects):
        return event
    return msgspec.structs.replace(event, facts=msgspec.structs.replace(facts, output=msgspec.UNSET, effects=()))
