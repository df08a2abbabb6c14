"""Histories as Parquet, for whoever analyses them elsewhere: runs, events and attempts, one file each, typed columns.

Rule 1: rows are written as they are read, ROWS_A_GROUP at a time: memory does not grow with what is exported.
Rule 2: a folder is written whole or not at all: files have their names once everything is in them; none is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from kronos.core.events import Event, Kind, StepFacts, encode_facts, expand
from kronos.errors import InvalidInput, NotFound
from kronos.kernel.references import blob_of
from kronos.ports.history import RunSummary

__all__ = ["PAYLOAD_BYTES_MAX", "Exported", "Exporter", "History"]

ROWS_A_GROUP: Final = 20_000
PAYLOAD_BYTES_MAX: Final = 1024 * 1024
"""Values up to this size are exported themselves, larger ones as the name of their blob."""

History = tuple[RunSummary, Iterable[Event]]
Progress = Callable[[int, int], None]

_TIME: Final = pa.timestamp("ns", "UTC")
_WORD: Final = pa.dictionary(pa.int32(), pa.string())

RUNS: Final = pa.schema(
    [
        ("run_id", pa.string()), ("workflow", _WORD), ("version", _WORD), ("definition", _WORD), ("phase", _WORD),
        ("created_at", _TIME), ("started_at", _TIME), ("finished_at", _TIME), ("events", pa.int32()),
        ("parent", pa.string()), ("parent_seq", pa.int32()), ("input", pa.string()), ("output", pa.string()),
        ("failed_step", _WORD), ("failure", pa.string()),
    ]
)  # fmt: skip
EVENTS: Final = pa.schema(
    [
        ("run_id", pa.string()), ("seq", pa.int32()), ("kind", _WORD), ("step", _WORD), ("attempt", pa.int16()),
        ("at", _TIME), ("facts", pa.string()),
    ]
)  # fmt: skip
STEPS: Final = pa.schema(
    [
        ("run_id", pa.string()), ("step", _WORD), ("attempt", pa.int16()), ("status", _WORD),
        ("scheduled", _TIME), ("started", _TIME), ("finished", _TIME), ("duration_ns", pa.int64()),
        ("worker", pa.int64()), ("input_hash", pa.string()), ("code", _WORD), ("output", pa.string()),
        ("failure_type", _WORD), ("failure", pa.string()),
    ]
)  # fmt: skip
_STATUS: Final = {
    Kind.STEP_SCHEDULED: "scheduled", Kind.STEP_COMPLETED: "completed", Kind.STEP_FAILED: "failed",
    Kind.STEP_RETRIED: "retried", Kind.STEP_SKIPPED: "skipped",
}  # fmt: skip
"""Where an attempt stands after its last fact; else it is running."""
_FILES: Final = {"runs": RUNS, "events": EVENTS, "steps": STEPS}


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows each file has."""

    runs: int
    events: int
    steps: int


class Exporter:
    """Writes `runs.parquet`, `events.parquet` and `steps.parquet` into a folder; `payload` fetches recorded values."""

    def __init__(self, folder: Path, payload: Callable[[bytes], bytes]) -> None:
        """Raise `InvalidInput` where the folder cannot be made or holds such files already."""
        self._payload = payload
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(
                f"--to {folder}: cannot be made: {error.strerror}", field="to", value=str(folder)
            ) from None
        for name in _FILES:
            if (folder / f"{name}.parquet").exists():
                what = f"--to {folder}: holds {name}.parquet already: give another folder"
                raise InvalidInput(what, field="to", value=str(folder))
        self._folder = folder

    def write(self, histories: Iterable[History], *, total: int = 0, progress: Progress | None = None) -> Exported:
        """Write everything; `total` is how many runs are expected, for `progress`."""
        with ExitStack() as stack:
            tables = {
                name: stack.enter_context(_Table(self._folder / f"{name}.parquet", schema))
                for name, schema in _FILES.items()
            }
            for done, (run, events) in enumerate(histories, 1):
                tables["runs"].add(self._run_row(run))
                self._write_events(run, events, tables)
                if progress is not None:
                    progress(done, max(done, total))
        return Exported(**{name: table.rows for name, table in tables.items()})

    def _write_events(self, run: RunSummary, events: Iterable[Event], tables: dict[str, _Table]) -> None:
        latest: dict[tuple[str, int], Event] = {}
        for event in events:
            for fact in expand(event):
                facts = encode_facts(fact.facts).decode()
                tables["events"].add(
                    (run.id, fact.seq, fact.kind, fact.step or None, fact.attempt or None, fact.at, facts)
                )
            if isinstance(event.facts, StepFacts):
                latest[event.step, event.attempt] = event
        for event in latest.values():
            tables["steps"].add(self._step_row(run, event))

    def _run_row(self, run: RunSummary) -> tuple[Any, ...]:
        failure = None if run.failure is None else msgspec.json.encode(run.failure).decode()
        return (
            run.id, run.workflow, run.version, run.definition, run.phase, run.created_at, run.started_at,
            run.finished_at, run.head_seq, run.parent, run.parent_seq if run.parent else None, self._value(run.input),
            self._value(run.output), run.failed_step, failure,
        )  # fmt: skip

    def _step_row(self, run: RunSummary, event: Event) -> tuple[Any, ...]:
        facts = event.facts
        assert isinstance(facts, StepFacts), "an attempt is made of facts about a step"
        took = None if facts.started is None or facts.finished is None else facts.finished - facts.started
        output = None if facts.output is msgspec.UNSET else self._value(bytes(facts.output))
        failure = facts.failure
        return (
            run.id, event.step, event.attempt, _STATUS.get(event.kind, "running"),
            facts.scheduled, facts.started, facts.finished, took,
            facts.worker, facts.input, facts.code, output, None if failure is None else failure.type,
            None if failure is None else failure.message,
        )  # fmt: skip

    def _value(self, data: bytes | None) -> str | None:
        if data is None:
            return None
        if blob_of(data) is not None and msgspec.json.decode(data).get("size", 0) <= PAYLOAD_BYTES_MAX:
            try:
                return self._payload(data).decode()
            except NotFound:
                return data.decode()  # swept since: its name is what is left
        return data.decode()


class _Table:
    """One file, written in row groups."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._partial = path.with_suffix(".partial")
        self._schema = schema
        self._held: list[tuple[Any, ...]] = []
        self.rows = 0

    def add(self, row: tuple[Any, ...]) -> None:
        self._held.append(row)
        self.rows += 1
        if len(self._held) >= ROWS_A_GROUP:
            self._write()

    def __enter__(self) -> Self:
        self._writer = pq.ParquetWriter(self._partial, self._schema, compression="zstd")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._write()
        self._writer.close()
        if kind is None:
            self._partial.rename(self._path)
        else:
            self._partial.unlink()

    def _write(self) -> None:
        columns = list(zip(*self._held, strict=True)) or [()] * len(self._schema)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._held = []
