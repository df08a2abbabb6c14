"""What stood before any row of a run in memory: the account as recorded, variables as re-executed.

Rule 1: the account is folded from the record; a strategy that does not repeat cannot change what was.
Rule 2: the re-execution is held against the record, block by block and at the row; what differs is said.
"""

from __future__ import annotations

import msgspec

from kronos.trading.backtest import Backtest
from kronos.trading.journal import BlockHead, MemoryRecorder, SealedSegment, decode_segment, state_at
from kronos.trading.making import copied_strategy
from kronos.trading.positions import BLOCK_ROWS, Position
from kronos.trading.results import StateView, open_orders, portfolio, positions
from kronos.trading.state import encode_state
from kronos.trading.strategy import Strategy

__all__ = ["state_before"]


def state_before(run: Backtest, made: Strategy, recorder: MemoryRecorder, row: int) -> StateView:
    """Return what stood before `row` of a finished run, whose strategy was a copy of `made`.

    `differs` says what a re-execution from the nearest checkpoint does not repeat.  Raises what the strategy raises
    when it is made again.
    """
    twin, saved = run.twin(), recorder.nearest(row)
    if saved is None:
        twin = Backtest(run.bars, copied_strategy(made), run.config)
    else:
        twin.restore(saved)
    passed = [each for each in recorder.segments if twin.row <= each.last_row and each.first_row < row]
    differs = _advance(twin, passed, row)
    holding = [each for each in recorder.segments if each.first_row < row] or recorder.segments
    recorded = state_at([holding[-1].data], Position(row))
    if not differs and encode_state(recorded) != encode_state(twin.core):
        differs = _difference("the account differs", row)
    return msgspec.structs.replace(
        twin.state(),
        records=recorded.records,
        trading_enabled=recorded.trading_enabled,
        portfolio=portfolio(recorded, twin.instrument, twin.bars, row),
        open_orders=open_orders(recorded, list(twin.instruments.values())),
        positions=positions(recorded, twin.instruments),
        differs=differs,
    )


def _advance(twin: Backtest, passed: list[SealedSegment], row: int) -> str:
    """Run `twin` to `row`; return which head on the way is the first that the record does not have."""
    differs = ""
    for head in (head for each in passed for head in _heads(each) if twin.row < head.row <= row):
        twin.run(Position(head.row))
        core, user = twin.heads()
        if not differs and core != head.core:
            differs = _difference("decisions or money differ", head.row)
        elif not differs and user != head.user:
            differs = _difference("strategy variables differ", head.row)
    twin.run(Position(row))
    return differs


def _heads(sealed: SealedSegment) -> list[BlockHead]:
    segment = decode_segment(sealed.data)
    return [*segment.heads, BlockHead(segment.last_row + 1, segment.core, segment.user)]


def _difference(what: str, row: int) -> str:
    first = (row - 1) // BLOCK_ROWS * BLOCK_ROWS
    return (
        f"made again, {what} from the record, first in rows {first} to {row - 1}: the strategy does not repeat (random "
        "numbers without a seed, a clock, something outside of it); the account here is the recorded one, variables "
        "are those of the re-execution"
    )
