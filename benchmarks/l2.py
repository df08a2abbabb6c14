"""A book through a session: a taker with latency, Python woken every 10 ms.

    python -m benchmarks.l2 CAPTURE [--events 5000000] [--rounds 5] [--json]

Claim: ≥ 2,000,000 events/s, ≥ 0.3 of hftbacktest woken likewise (its loop is compiled, ours is Python).  The capture
(USD-M, raw websocket lines) is repeated, its snapshot applied each time; an event is a depth level or a trade.  `value`
covers the sampling of the book's top at every wake and the run with every record and chain; ordering the rows once,
when the session is built, and compiling are shown apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import ROOT, Report, main, peer_python, say
from kronos.market.captures import CaptureOptions, prepare_capture
from kronos.trading import Strategy
from kronos.trading.fast.ladder import tops
from kronos.trading.reference import InstrumentConfig
from kronos.trading.session import Session
from kronos.trading.session_config import Latency, SessionConfig
from kronos.trading.streams import COLUMNS_OF, Depth, Quotes, Trades
from kronos.trading.views import quotes

EVERY_NS = 10_000_000
LATENCY_NS = 5_000_000
ORDERS_EVERY = 1_000
GRID: dict[str, Any] = {
    "dataset": "capture", "instrument": "BTCUSDT", "tick": Decimal("0.1"), "volume_step": Decimal("0.001"),
}  # fmt: skip


class Taker(Strategy):
    """Looks at the top of the book every 10 ms; every 10 s it buys or sells at what is there."""

    subscribes = (quotes("BTCUSDT"),)

    def on_start(self, ctx):
        self.wakes, self.spread = 0, 0

    def on_quote(self, ctx, quote):
        self.wakes += 1
        self.spread += quote.ask - quote.bid
        if self.wakes % ORDERS_EVERY == 0:
            (ctx.buy if self.wakes // ORDERS_EVERY % 2 else ctx.sell)("0.01")


def measure(arguments: argparse.Namespace) -> Report:
    """Repeat the capture, run it, and let the peer run the same rows."""
    rows = _repeat(arguments.capture, arguments.events)
    depth, trades = Depth(**GRID, **rows["depth"]), Trades(**GRID, **rows["trades"])
    events = depth.rows + trades.rows
    began = time.perf_counter()
    _run(*_head(depth, trades))
    compiling = time.perf_counter() - began
    rounds = [_run(depth, trades) for _ in range(arguments.rounds)]
    rates = [events / each["took_s"] for each in rounds]
    figures = {key: value for key, value in rounds[-1].items() if key != "took_s"}
    figures |= {"events": events, "first run of few rows, compiling (excluded), s": round(compiling, 2)}
    peer = _peer(rows, arguments.rounds)
    if peer:
        figures["hftbacktest wakes"] = peer[0]["wakes"]
    theirs = {"hftbacktest": statistics.median(each["events_s"] for each in peer)} if peer else {}
    return Report("l2", statistics.median(rates), "events/s", theirs, rates, figures)


def _repeat(capture: Path, events: int) -> dict[str, dict[str, Any]]:
    say(f"reading {capture.name}")
    made = prepare_capture(capture, CaptureOptions(name="l2", instrument="BTCUSDT", clock="shift"))
    once = {each.kind: each.columns for each in made if each.kind != "quotes"}
    times = -(-events // sum(len(columns["time"]) for columns in once.values()))
    span = max(int(columns["available"][-1]) for columns in once.values()) - int(once["depth"]["time"][0]) + 10**9
    sources = max(int(columns["source"].max()) for columns in once.values())
    shifts = {"time": span, "available": span, "source": sources}
    return {
        kind: {
            name: np.concatenate([columns[name] + shifts.get(name, 0) * time for time in range(times)])
            for name in COLUMNS_OF[kind]
        }
        for kind, columns in once.items()
    }


def _head(depth: Depth, trades: Trades) -> tuple[Depth, Trades]:
    return tuple(
        type(stream)(**GRID, **{name: getattr(stream, name)[:20_000] for name in COLUMNS_OF[kind]})
        for kind, stream in (("depth", depth), ("trades", trades))
    )  # type: ignore[return-value]


def _run(depth: Depth, trades: Trades) -> dict[str, Any]:
    config = SessionConfig(
        long_only=False,
        latency=Latency(order_ns=LATENCY_NS),
        instruments=(
            InstrumentConfig(
                id="BTCUSDT", venue="simulated", tick=Decimal("0.1"), lot=Decimal("0.001"), fee_rate=Decimal("0.0004"),
                maker_fee_rate=Decimal("0.0002"),
            ),
        ),
    )  # fmt: skip
    marks = [time.perf_counter()]
    wakes = np.arange(int(depth.available[0]) + EVERY_NS, int(depth.available[-1]), EVERY_NS)
    top = tops(depth, np.searchsorted(depth.available, wakes, side="right"))
    sampled = Quotes(
        **GRID, time=wakes, available=wakes, source=wakes, bid=top[0], bid_quantity=top[1], ask=top[2],
        ask_quantity=top[3],
    )  # fmt: skip
    marks.append(time.perf_counter())
    taker = Taker()
    session = Session([depth, trades, sampled], [taker], config)
    marks.append(time.perf_counter())
    busy = time.process_time()
    result = session.run()
    busy = time.process_time() - busy
    marks.append(time.perf_counter())
    sampling, building, running = np.diff(marks).tolist()
    return {
        "took_s": sampling + running,
        "sampling, s": round(sampling, 3),
        "building the session (excluded), s": round(building, 3),
        "running, s": round(running, 3),
        "running by the processor's own time, s": round(busy, 3),
        "wakes": taker.wakes,
        "orders": result.orders,
        "records": result.records,
    }


def _peer(rows: dict[str, dict[str, Any]], rounds: int) -> list[dict[str, Any]]:
    python = peer_python("hftbacktest")
    if python is None:
        return []
    with tempfile.TemporaryDirectory(prefix="kronos-bench-") as folder:
        columns = {f"{kind[:5]}.{name}": column for kind, each in rows.items() for name, column in each.items()}
        np.savez(Path(folder) / "rows.npz", **columns)
        script = ROOT / "benchmarks" / "peers" / "hftbacktest_l2.py"
        command = [python, script, Path(folder) / "rows.npz", *map(str, (EVERY_NS, ORDERS_EVERY, LATENCY_NS))]
        found = []
        for _ in range(rounds):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"the peer hftbacktest failed:\n{done.stderr[-2000:]}")
            found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path, help="raw websocket capture with a depth snapshot, depth and trades")
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    main(measure, parser)
