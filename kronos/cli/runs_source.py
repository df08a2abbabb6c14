"""Two places to read runs from, and one shape in which they are printed."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec

from kronos.app import Kronos
from kronos.cli.opening import opened
from kronos.cli.output import show_time
from kronos.client import Client, EventRecord, FailureRecord, RunRecord
from kronos.core.events import Event, expand
from kronos.core.state import Phase
from kronos.errors import InvalidInput
from kronos.kernel import canonical
from kronos.kernel.ids import parse_run_id
from kronos.kernel.unreadable import readable
from kronos.ports.history import RunFilter, RunSummary

__all__ = ["DatabaseSource", "ServerSource", "Source", "phase_of", "run_fields", "source"]

Fields = dict[str, Any]

_PAGE = 1_000


class Source(Protocol):
    """Where runs are on record."""

    def get(self, run: str) -> Fields: ...
    def page(
        self, *, phases: Sequence[str], workflow: str, where: dict[str, str], limit: int, before: str | None
    ) -> tuple[list[Fields], str | None]: ...
    def events(self, run: str, after: int) -> list[Fields]: ...
    def cancel(self, run: str, reason: str) -> None: ...


class ServerSource:
    """A server, over gRPC."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, run: str) -> Fields:
        return run_fields(self._client.get(parse_run_id(run)))

    def page(
        self, *, phases: Sequence[str], workflow: str, where: dict[str, str], limit: int, before: str | None
    ) -> tuple[list[Fields], str | None]:
        page = self._client.list(phases=phases, workflow=workflow, where=where, limit=limit, cursor=before)
        return [run_fields(run) for run in page.runs], page.next_cursor

    def events(self, run: str, after: int) -> list[Fields]:
        return [event_fields(event) for event in self._client.events(parse_run_id(run), after=after)]

    def cancel(self, run: str, reason: str) -> None:
        self._client.cancel(parse_run_id(run), reason=reason)


class DatabaseSource:
    """The database itself."""

    def __init__(self, app: Kronos) -> None:
        self._app = app

    def get(self, run: str) -> Fields:
        return run_fields(self._record(self._app.history.run(parse_run_id(run))))

    def page(
        self, *, phases: Sequence[str], workflow: str, where: dict[str, str], limit: int, before: str | None
    ) -> tuple[list[Fields], str | None]:
        chosen = RunFilter(
            phases=tuple(map(phase_of, phases)),
            workflow=workflow or None,
            where=where,
            before=None if before is None else parse_run_id(before),
            limit=limit,
        )
        page = self._app.history.runs(chosen)
        return [run_fields(self._record(run)) for run in page.runs], page.next_before

    def events(self, run: str, after: int) -> list[Fields]:
        run_id, found = parse_run_id(run), list[Event]()
        last = 0
        while page := self._app.history.events(run_id, after=last, limit=_PAGE):
            found += [fact for event in page for fact in expand(event) if fact.seq > after]
            last = page[-1].seq
        return [event_fields(_event(event)) for event in found]

    def cancel(self, run: str, reason: str) -> None:
        self._app.cancel(parse_run_id(run), reason=reason, by=getpass.getuser())

    def _value(self, value: bytes) -> Any:
        return canonical.decode(readable(lambda: self._app.history.payload(value)))

    def _record(self, run: RunSummary) -> RunRecord:
        failure = run.failure
        return RunRecord(
            run_id=run.id,
            workflow=run.workflow,
            version=run.version,
            phase=run.phase.value,
            created_at_ns=run.created_at,
            started_at_ns=run.started_at,
            finished_at_ns=run.finished_at,
            head_seq=run.head_seq,
            input=self._value(run.input),
            output=None if run.output is None else self._value(run.output),
            failure=None
            if failure is None
            else FailureRecord(
                type=failure.type, message=failure.message, cause=failure.cause, traceback=failure.traceback
            ),
            failed_step=run.failed_step,
            definition_id=run.definition,
            child_of=run.child_of,
            child_step=run.child_step,
            continues=run.continues,
            continued_by=run.continued_by,
            attributes=run.attributes,
            spent=None if run.spent is None else msgspec.to_builtins(run.spent),
        )


_KINSHIP = ("child_of", "child_step", "continues", "continued_by")


def run_fields(run: RunRecord) -> Fields:
    """Return a run as it is printed."""
    seconds = None
    if run.finished_at_ns is not None:
        seconds = round((run.finished_at_ns - (run.started_at_ns or run.created_at_ns)) / 1e9, 3)
    return {
        "run_id": run.run_id,
        "workflow": run.workflow,
        "version": run.version,
        "phase": run.phase,
        "created_at": show_time(run.created_at_ns),
        "started_at": show_time(run.started_at_ns),
        "finished_at": show_time(run.finished_at_ns),
        "seconds": seconds,
        "events": run.head_seq,
        "input": run.input,
        "output": run.output,
        "failure": None if run.failure is None else msgspec.to_builtins(run.failure),
        "failed_step": run.failed_step,
        "attributes": run.attributes,
        "spent": run.spent,
        "definition": run.definition_id,
        **{name: found for name in _KINSHIP if (found := getattr(run, name)) is not None},
    }


def event_fields(event: EventRecord) -> Fields:
    """Return one fact as it is printed."""
    return {
        "seq": event.seq,
        "kind": event.kind,
        "at": show_time(event.at_ns),
        "step": event.step,
        "attempt": event.attempt,
        "facts": event.facts,
    }


def _event(event: Event) -> EventRecord:
    facts = canonical.decode(msgspec.json.encode(event.facts))
    return EventRecord(
        seq=event.seq, kind=event.kind.value, at_ns=event.at, step=event.step, attempt=event.attempt, facts=facts
    )


def phase_of(text: str) -> Phase:
    """Return a phase by its word; raise `InvalidInput` listing those there are."""
    try:
        return Phase(text)
    except ValueError:
        raise InvalidInput(f"phase {text!r} is none of {', '.join(Phase)}", field="phase", value=text) from None


@contextmanager
def source(address: str | None, token: str | None) -> Iterator[Source]:
    """Yield where runs are read from."""
    with opened(address, token) as place:
        yield DatabaseSource(place) if address is None else ServerSource(place)
