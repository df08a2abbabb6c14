"""What of a run is kept, and when: segments of its journal always, checkpoints of its state while they are cheap.

Rule 1: nothing decided here reaches a record or a chain; the clock paces caches and cuts, and nothing else.
Rule 2: the first checkpoint is held back until a run restored from it has kept step with this one for a chunk.
Rule 3: a memory that cannot be saved or restored is said once, with the attribute's path; the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, Self

from kronos.trading.checkpoint import Pacer, unpicklable_path
from kronos.trading.journal import Recorder, encode_segment
from kronos.trading.positions import Position
from kronos.trading.tape import Tape
from kronos.trading.userstate import differing_path

__all__ = ["SEGMENT_BLOCKS", "SEGMENT_NS", "SEGMENT_RECORDS", "Keeper"]

SEGMENT_BLOCKS: Final = 64
"""Finished blocks after which a segment is sealed."""

SEGMENT_RECORDS: Final = 50_000
"""Records after which a segment is sealed: decoding and folding them is what a first seek into it costs."""

SEGMENT_NS: Final = 5_000_000_000
"""Time after which a segment is sealed and a checkpoint taken at the same row: where a killed run resumes."""


class Run(Protocol):
    """What a keeper needs of the run that it keeps."""

    row: int
    stop_row: int

    def run(self, until: Position | None = None) -> object: ...
    def heads(self) -> tuple[bytes, bytes]: ...
    def checkpoint(self) -> bytes: ...
    def restore(self, data: bytes) -> None: ...
    def memory(self) -> object: ...
    def world(self) -> dict[str, object]: ...
    def twin(self) -> Self: ...


class Keeper:
    """Seals segments and takes checkpoints of one run; `note` says why there are none, `kept` how many there are."""

    def __init__(
        self,
        run: Run,
        tape: Tape,
        recorder: Recorder | None,
        *,
        clock: Callable[[], int] | None,
        key: bytes | None,
    ) -> None:
        """Keep `run` in `recorder` (None: keep nothing), paced by `clock` (None: a checkpoint every block)."""
        self.note = "" if key is not None else "no key was given"
        self.kept = 0
        self._first_row = run.row
        self._run, self._tape, self._recorder, self._clock = run, tape, recorder, clock
        self._sealed_at = clock() if clock else 0
        self._pacer = Pacer(rows=run.stop_row - run.row, now=clock() if clock else None)
        self._trial: tuple[int, bytes] | None = None
        self._proven = False

    @property
    def chunk_rows(self) -> int:
        """Return how many rows may be dispatched before `after_chunk` must be asked again."""
        return self._pacer.rows

    def after_chunk(self, rows: int) -> None:
        """Seal and save what is due now that `rows` more rows have been dispatched."""
        run, tape, now = self._run, self._tape, self._clock() if self._clock else None
        ended = run.row == run.stop_row
        aged = now is not None and now - self._sealed_at >= SEGMENT_NS
        full = len(tape.ended) >= SEGMENT_BLOCKS or len(tape.unsealed) >= SEGMENT_RECORDS
        if self._recorder is None:
            if full:
                tape.begin_segment(run.row)
            return
        if ended or aged or full:
            self._seal(self._recorder, now)
        if self._trial is not None:
            self._prove(self._recorder, *self._trial)
        due = self._pacer.due(now=now, done=run.row - self._first_row, chunk=rows)
        if (due or aged or ended) and not self.note:
            self._save(self._recorder)

    def _seal(self, recorder: Recorder, now: int | None) -> None:
        segment = self._tape.cut(self._run.row)
        self._sealed_at = now or 0
        recorder.segment(
            first_row=segment.first_row,
            last_row=segment.last_row,
            core_chain=segment.core,
            user_chain=segment.user,
            data=encode_segment(segment),
        )

    def _save(self, recorder: Recorder) -> None:
        begun = self._clock() if self._clock else 0
        try:
            data = self._run.checkpoint()
        except Exception as error:
            path = unpicklable_path(self._run.memory(), self._run.world())
            self.note = f"{path} cannot be saved: {type(error).__name__}: {error}"
            return
        if self._proven:
            self._hand_over(recorder, self._run.row, data)
        else:
            self._trial = (self._run.row, data)
        self._pacer.taken(now=self._clock() if self._clock else None, begun=begun, size=len(data))

    def _prove(self, recorder: Recorder, row: int, data: bytes) -> None:
        """Bring a run restored from `data` to where this one is, and compare: hand it over, or note what differs."""
        self._trial = None
        run = self._run
        twin = run.twin()
        try:
            twin.restore(data)
            twin.run(Position(run.row))
        except Exception as error:
            self.note = f"a restored strategy failed: {type(error).__name__}: {error}"
            return
        path = differing_path(run.memory(), twin.memory())
        if path is not None:
            self.note = f"{path} differs after a restore"
        elif twin.heads() != run.heads():
            self.note = "decisions differ after a restore"
        else:
            self._proven = True
            self._hand_over(recorder, row, data)

    def _hand_over(self, recorder: Recorder, row: int, data: bytes) -> None:
        recorder.checkpoint(row=row, data=data)
        self.kept += 1
