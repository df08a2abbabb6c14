"""What is named by its content: blobs, datasets, journals and checkpoints; and the words of commands.

Rule: names are computed here anew; a journal is folded by the verifier that every reader of journals uses
      (`trading.journal.verify`).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final, NamedTuple

import zstandard

from kronos.app.fsck.finding import Finding
from kronos.app.fsck.reading import Reader
from kronos.engine.commands import unreadable
from kronos.errors import CorruptHistory, KronosError
from kronos.kernel.ids import BlobHash
from kronos.market.chunks import FolderBlobs
from kronos.ports.blobs import Blobs
from kronos.trading import journal

__all__ = [
    "check_blobs",
    "check_checkpoints",
    "check_commands",
    "check_datasets",
    "check_segments",
]

BLOBS_FETCHED: Final = 20
BLOB_BYTES_MAX: Final = 256 * 1024 * 1024
NAMED_MAX: Final = 5_000


def check_blobs(reader: Reader) -> Iterator[Finding]:
    """Yield the blobs whose content is not what their name says."""
    with reader.snapshot():
        for name, size, data in reader.stream("read_blobs", fetched=BLOBS_FETCHED):
            what = _fault_of(name, size, data)
            if what is not None:
                yield Finding(check="blob", row=f"blobs: {name.hex()}", what=what)
            reader.advance()


def _fault_of(name: bytes, size: int, data: bytes) -> str | None:
    try:
        content = zstandard.ZstdDecompressor().decompress(data, max_output_size=BLOB_BYTES_MAX)
    except zstandard.ZstdError as error:
        return f"its bytes cannot be unpacked: {error}"
    if hashlib.sha256(content).digest() != name:
        return "its bytes have another hash"
    return None if len(content) == size else f"it holds {len(content)} bytes, not {size}"


def check_commands(reader: Reader, only: uuid.UUID | None) -> Iterator[Finding]:
    """Yield the commands that wait and say nothing that their kind can mean: an owner will put them aside."""
    with reader.snapshot():
        for number, run, kind, body in reader.stream("read_inbox", {"only": only}):
            why = unreadable(kind, body)
            if why is not None:
                what = f"the {kind} command cannot be read: {why}"
                yield Finding(check="command", row=f"run_inbox: {number} of run {run}", what=what)


def check_datasets(reader: Reader, blobs: Blobs) -> Iterator[Finding]:
    """Yield the datasets that name chunks which are not there, or whose manifest is another's.

    A chunk that `blobs` keeps outside the database is there when its bytes have its hash.
    """
    outside = blobs.holds if isinstance(blobs, FolderBlobs) else None
    with reader.snapshot():
        for name, label, manifest in reader.stream("read_datasets"):
            row = f"datasets: {label}@{name}"
            try:
                facts = json.loads(manifest)
                chunks = [bytes.fromhex(chunk["blob"]) for chunk in facts["chunks"]]
                described = facts["dataset"]["id"]
            except (ValueError, TypeError, KeyError) as error:
                yield Finding(check="dataset", row=row, what=f"its manifest cannot be read: {error}")
                continue
            if described != name:
                yield Finding(check="dataset", row=row, what=f"its manifest is that of {described}")
            inside = [chunk for chunk in chunks if outside is None or not outside(BlobHash(chunk.hex()))]
            yield from reader.unreferred("dataset", ["catalog"] * len(inside), inside)


class _Segment(NamedTuple):
    run: uuid.UUID
    step: str
    attempt: int
    number: int
    first_row: int
    last_row: int
    core_chain: bytes
    user_chain: bytes
    blob: bytes


def check_segments(reader: Reader, blobs: Blobs, only: uuid.UUID | None) -> Iterator[Finding]:
    """Yield what is wrong with journals: gaps, chains that do not continue, blobs without a reference."""
    with reader.snapshot():
        lines = (_Segment(*row) for row in reader.stream("read_segments", {"only": only}))
        for attempt, segments in groupby(lines, key=lambda each: each[:3]):
            yield from _check_journal(reader, blobs, attempt, segments)


def _check_journal(
    reader: Reader, blobs: Blobs, attempt: tuple[Any, ...], lines: Iterable[_Segment]
) -> Iterator[Finding]:
    row = "journal_segments: run {} step {} attempt {}".format(*attempt)
    sound, number, next_row = list[_Segment](), 0, None
    for line in lines:
        if line.number != number or (next_row is not None and line.first_row != next_row):
            found = f"segment {line.number} begins at row {line.first_row}"
            yield Finding(
                check="segment",
                row=f"{row} number {line.number}",
                what=f"{found}; expected {number} at {next_row or 0}",
            )
        number, next_row = line.number + 1, line.last_row + 1
        sound.append(line)
    owners = [str(attempt[0])] * len(sound)
    missing = list(reader.unreferred("journal", owners, [line.blob for line in sound]))
    yield from missing
    if any(finding.check == "blob_missing" for finding in missing):
        return
    try:
        journal.verify(_contents(blobs, sound))
    except KronosError as error:
        yield Finding(check="segment", row=row, what=error.message)


def _contents(blobs: Blobs, lines: list[_Segment]) -> Iterator[bytes]:
    for line in lines:
        data = blobs.get(BlobHash(line.blob.hex()))
        found = journal.decode_segment(data)
        if (found.first_row, found.last_row, found.core, found.user) != line[4:8]:
            raise CorruptHistory(f"segment {line.number} is not the one that its row describes")
        yield data


def check_checkpoints(reader: Reader, only: uuid.UUID | None) -> Iterator[Finding]:
    """Yield the cached states whose blob is gone or not kept."""
    owners, blobs = list[str](), list[bytes]()
    with reader.snapshot():
        for run, step, _, _, blob in reader.stream("read_checkpoints", {"only": only}):
            owners.append(f"{run}/{step}")
            blobs.append(blob)
            if len(blobs) == NAMED_MAX:
                yield from reader.unreferred("checkpoint", owners, blobs)
                owners, blobs = [], []
        yield from reader.unreferred("checkpoint", owners, blobs)
