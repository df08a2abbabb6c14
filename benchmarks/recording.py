"""What recording costs: time and bytes a journal record, and the part of a run that it takes.

Claim: ≤ 1.5 µs and ≤ 64 bytes a record; ≤ 5 % of the run at one order per 1,000 bars.
`value` is the time of one record on its way into a sealed segment: encoded, hashed, compressed; what making and
applying it costs a run has with or without a journal, and is told apart as `apply_us`.  The part of a run is the time
of sealing and of links over that of the whole run, on the processor's clock, in the same process.
"""

from __future__ import annotations

import argparse
import statistics
import time
from decimal import Decimal
from typing import Any

import numpy as np

from benchmarks.harness import Report, main
from kronos.trading import Backtest, BacktestConfig, Bars, MemoryRecorder, Strategy
from kronos.trading.journal import Segment, core_link, decode_segment, encode_records, encode_segment
from kronos.trading.keeper import SEGMENT_RECORDS
from kronos.trading.state import apply, decode_state, encode_state

MINUTE_NS = 60_000_000_000


class Busy(Strategy):
    """Buys one and sells one in turn, every bar."""

    every = 1

    def on_bar(self, ctx: Any, bar: Any) -> None:
        """Ask for an order every `every` bars."""
        if bar.row % self.every == 0:
            if ctx.position_lots:
                ctx.sell(1)
            else:
                ctx.buy(1)


class Seldom(Busy):
    """The same, every 1,000 bars."""

    every = 1_000


def measure(arguments: argparse.Namespace) -> Report:
    """Record a busy run, take its journal apart, and time each part of writing it again."""
    busy = MemoryRecorder()
    run(walk(arguments.bars // 10), Busy(), busy)
    datas = [segment.data for segment in busy.segments]
    records = [record for data in datas for record in decode_segment(data).decode()]
    size = sum(map(len, datas)) / len(records)
    rounds = [seal_us(datas) for _ in range(arguments.rounds)]
    applied = apply_us(datas)
    shares = [share_of_run(walk(arguments.bars)) for _ in range(arguments.rounds)]
    return Report(
        "recording",
        statistics.median(rounds),
        "us/record",
        samples=rounds,
        figures={
            "records": len(records),
            "bytes_a_record": round(size, 1),
            "records_a_segment": SEGMENT_RECORDS,
            "apply_us": round(applied, 3),
            "bars": arguments.bars,
            "part_of_run_percent": round(100 * statistics.median(shares), 3),
            "part_of_run_rounds_percent": [round(100 * share, 3) for share in shares],
        },
    )


def seal_us(datas: list[bytes]) -> float:
    """Return the µs of processor time that each record takes to become part of a sealed segment again."""
    segments = [decode_segment(data) for data in datas]
    decoded = [segment.decode() for segment in segments]
    begun = time.process_time()
    for segment, records in zip(segments, decoded, strict=True):
        parts = {name: getattr(segment, name) for name in Segment.__struct_fields__}
        block = encode_records(records)
        core_link(segment.core, block, segment.state)
        encode_segment(Segment(**{**parts, "records": encode_records(records)}))
    return (time.process_time() - begun) * 1e6 / sum(map(len, decoded))


def apply_us(datas: list[bytes]) -> float:
    """Return the µs that applying a record to the state takes."""
    state = decode_state(decode_segment(datas[0]).state)
    records = [record for data in datas for record in decode_segment(data).decode()]
    begun = time.process_time()
    for record in records:
        apply(state, record)
    encode_state(state)
    return (time.process_time() - begun) * 1e6 / len(records)


def share_of_run(bars: Bars) -> float:
    """Return the part of a run's processor time that sealing its journal takes, at one order per 1,000 bars.

    What sealing takes is measured by sealing the same journal again: the run itself is not slowed down by a clock.
    """
    recorder = MemoryRecorder()
    begun = time.process_time()
    run(bars, Seldom(), recorder)
    whole = time.process_time() - begun
    datas = [segment.data for segment in recorder.segments]
    records = sum(len(decode_segment(data).decode()) for data in datas)
    links = len(bars.close) // 4096 * link_s(datas)
    return (records * seal_us(datas) * 1e-6 + links) / whole


def link_s(datas: list[bytes]) -> float:
    """Return the seconds that closing one block takes beside its records: the state's bytes, twice hashed."""
    state = decode_state(decode_segment(datas[-1]).state)
    begun = time.process_time()
    for _ in range(200):
        core_link(b"", b"", encode_state(state))
    return (time.process_time() - begun) / 200


def run(bars: Bars, strategy: Strategy, recorder: MemoryRecorder) -> None:
    config = BacktestConfig(cash=Decimal(10_000_000), fee_rate=Decimal("0.001"))
    Backtest(bars, strategy, config, recorder=recorder).run()


def walk(rows: int) -> Bars:
    """Return one-minute bars of a random walk."""
    rng = np.random.default_rng(1)
    close = np.cumsum(rng.integers(-50, 51, rows)).astype(np.int64)
    close += 10_000 - close.min()
    opening = np.roll(close, 1)
    opening[0] = close[0]
    return Bars(
        dataset=f"walk-{rows}",
        instrument="WALK",
        tick=Decimal("0.01"),
        volume_step=Decimal(1),
        interval_ns=MINUTE_NS,
        open_time=np.arange(rows, dtype=np.int64) * MINUTE_NS + 1_500_000_000_000_000_000,
        open=opening,
        high=np.maximum(opening, close) + 5,
        low=np.minimum(opening, close) - 5,
        close=close,
        volume=np.ones(rows, dtype=np.int64),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recording", description="The cost of a journal.")
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    main(measure, parser)
