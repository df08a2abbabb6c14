"""Any row of a run can be reached, by a checkpoint or without one, and is the same row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from kronos.kernel import canonical
from kronos.trading import (
    Backtest,
    BacktestConfig,
    Bars,
    MemoryRecorder,
    Position,
    SmaCross,
    state_at,
    verify,
)
from kronos.trading.state import encode_state

KEY = b"k" * 32
CONFIG = BacktestConfig(cash=Decimal(10_000_000), fee_rate=Decimal("0.001"))


def visit(bars: Bars, row: int, data: bytes | None):
    backtest = Backtest(bars, SmaCross(), CONFIG, key=KEY)
    if data is not None:
        backtest.restore(data)
    backtest.run(Position(row))
    return backtest.state(), encode_state(backtest.core)


@pytest.mark.exactness
def test_fifty_random_rows_from_checkpoints_equal_recomputation_and_the_folded_journal(btc: Bars) -> None:
    ticks = iter(range(0, 10**18, 30_000_000))
    recorder = MemoryRecorder()
    Backtest(btc, SmaCross(), CONFIG, recorder=recorder, clock=lambda: next(ticks), key=KEY).run()
    assert len(recorder.checkpoints) > 10
    segments = [segment.data for segment in recorder.segments]
    rows = sorted(map(int, np.random.default_rng(7).integers(0, btc.rows, 50)))
    used = 0
    whole, anew = Backtest(btc, SmaCross(), CONFIG, key=KEY), {}
    for row in rows:
        whole.run(Position(row))
        anew[row] = whole.state(), encode_state(whole.core)
    for row in rows:
        data = recorder.nearest(row)
        used += data is not None
        near, near_core = visit(btc, row, data)
        assert (near, near_core) == anew[row]
        assert near.variables["closes"] == (btc.close[max(0, row - 30) : row]).tolist()
        assert near_core == encode_state(state_at(segments, Position(row)))
    assert used > 40
    recorder.checkpoints.clear()
    for row in rows[::10]:
        assert recorder.nearest(row) is None
        assert visit(btc, row, None) == anew[row], "without a checkpoint, and without a stop on the way"


@pytest.mark.exactness
def test_another_process_hash_seed_locale_and_zone_lead_to_equal_chains(btc: Bars, btc_path: Path) -> None:
    mine = Backtest(btc, SmaCross(), CONFIG).run()
    program = (
        "import importlib.util, json, sys, pathlib\n"
        "spec = importlib.util.spec_from_file_location('bars', sys.argv[1])\n"
        "bars = importlib.util.module_from_spec(spec); spec.loader.exec_module(bars)\n"
        "from decimal import Decimal\n"
        "from kronos.trading import Backtest, BacktestConfig, SmaCross\n"
        "config = BacktestConfig(cash=Decimal(10_000_000), fee_rate=Decimal('0.001'))\n"
        "r = Backtest(bars.load_btc(pathlib.Path(sys.argv[2])), SmaCross(), config).run()\n"
        "print(json.dumps([r.core_chain, r.user_chain, str(r.equity)]))\n"
    )
    for seed, locale, zone in (("1", "C", "Asia/Kolkata"), ("77", "tr_TR.UTF-8", "America/Caracas")):
        env = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "LANG": locale, "TZ": zone}
        env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), env.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, "-c", program, str(Path(__file__).with_name("conftest.py")), str(btc_path)],
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout) == [mine.core_chain, mine.user_chain, str(mine.equity)]


def test_the_clock_decides_about_caches_only(walk) -> None:
    bars = walk(9_000)
    outcomes = set()
    for start, step in ((0, 1), (10**18, 40_000_000), (-(10**15), 6_000_000_000)):
        now = [start]

        def clock(now=now, step=step) -> int:
            now[0] += step
            return now[0]

        recorder = MemoryRecorder()
        result = Backtest(bars, SmaCross(), CONFIG, recorder=recorder, clock=clock, key=KEY).run()
        records = [record for segment in recorder.segments for record in _records(segment.data)]
        outcomes.add((result.core_chain, result.user_chain, canonical.encode(records)))
        assert verify([segment.data for segment in recorder.segments]).hex() == result.core_chain
    assert len(outcomes) == 1
    assert Backtest(bars, SmaCross(), CONFIG).run().core_chain == result.core_chain


def test_stopping_and_going_on_changes_nothing(walk) -> None:
    bars = walk(10_000)
    whole = Backtest(bars, SmaCross(), CONFIG).run()
    parts = Backtest(bars, SmaCross(), CONFIG)
    for row in (0, 1, 17, 4095, 4096, 4097, 8192, 9_999):
        assert not parts.run(Position(row)).finished
        assert parts.row == row
    assert parts.run() == whole


def test_a_run_restored_into_a_recorder_goes_on_to_the_same_end(walk) -> None:
    bars = walk(30_000)
    recorder = MemoryRecorder()
    whole = Backtest(bars, SmaCross(), CONFIG, recorder=recorder, key=KEY).run()
    row = sorted(recorder.checkpoints)[2]
    resumed = Backtest(bars, SmaCross(), CONFIG, recorder=MemoryRecorder(), key=KEY)
    resumed.restore(recorder.checkpoints[row])
    result = resumed.run()
    assert (result.core_chain, result.user_chain) == (whole.core_chain, whole.user_chain)


def test_a_seek_in_a_long_run_takes_a_fraction_of_a_second_of_the_processor(walk) -> None:
    """Processor time, which nobody else on the machine adds to; `benchmarks.seek` says how long one waits."""
    bars = walk(300_000)
    recorder = MemoryRecorder()
    Backtest(bars, SmaCross(), CONFIG, recorder=recorder, clock=time.process_time_ns, key=KEY).run()
    spent = []
    for row in map(int, np.random.default_rng(3).integers(0, bars.rows, 20)):
        begun = time.process_time()
        visit(bars, row, recorder.nearest(row))
        spent.append(time.process_time() - begun)
    assert np.median(spent) < 0.3


def _records(data: bytes):
    from kronos.trading.journal import decode_segment

    return decode_segment(data).decode()
