"""Two clocks: rows, orders and reports travel, timers come; a run that is cut anywhere goes on to the same end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.trading import Latency, NoParams, Position, Session, SessionConfig, SmaCross, Strategy, state_at, verify
from kronos.trading.events import (
    CommandRefused,
    CommandTravels,
    Noted,
    OrderAccepted,
    OrderFilled,
    RiskDecided,
    StrategyStopped,
    TimerFired,
)
from kronos.trading.state import encode_state
from kronos.trading.views import bars
from tests.trading.test_session import KEY, MINUTE_NS, START_NS, Listens, made, of, play

SECOND_NS = 1_000_000_000


class BuysAtThree(Strategy):
    def on_bar(self, ctx, bar) -> None:
        if bar.row == 3:
            self.order = ctx.buy(1)


@pytest.mark.parametrize(("order_ns", "row"), [(0, 4), (1, 5), (MINUTE_NS, 5), (MINUTE_NS + 1, 6), (5 * MINUTE_NS, 9)])
def test_an_order_meets_the_first_bar_that_opens_once_it_has_arrived(order_ns, row) -> None:
    walk = made("A", 20)
    _, records, _, _ = play([walk], [BuysAtThree()], SessionConfig(latency=Latency(order_ns=order_ns)))
    (fill,) = of(records, OrderFilled)
    (accepted,) = of(records, OrderAccepted)
    assert (fill.row, fill.price) == (row, walk.open[row])
    assert accepted.at == START_NS + 4 * MINUTE_NS + order_ns


def test_a_strategy_learns_of_a_fill_and_of_its_effects_when_the_report_arrives() -> None:
    seen = []

    class Watches(BuysAtThree):
        def on_bar(self, ctx, bar) -> None:
            super().on_bar(ctx, bar)
            seen.append((bar.row, int(ctx.position), ctx.cash == 1_000_000, ctx.open_orders))

        def on_fill(self, ctx, fill) -> None:
            seen.append(("fill", ctx.time - START_NS, int(ctx.position), ctx.open_orders))

    latency = Latency(report_ns=2 * MINUTE_NS + SECOND_NS)
    play([made("A", 12)], [Watches()], SessionConfig(latency=latency))
    heard = seen.index(("fill", 7 * MINUTE_NS + SECOND_NS, 1, ()))
    assert seen[4:heard] == [(row, 0, True, (1,)) for row in (4, 5, 6)]
    assert seen[heard + 1] == (7, 1, False, ())


def test_with_feed_latency_the_venue_is_ahead_of_the_strategy() -> None:
    walk = made("A", 20)
    _, records, session, _ = play([walk], [BuysAtThree()], SessionConfig(latency=Latency(feed_ns=3 * MINUTE_NS)))
    (fill,) = of(records, OrderFilled)
    # Decided when bar 3 is known, three minutes after its close: bar 7 opens then, and closes a minute later.
    assert fill.price == walk.open[7]
    assert session.timeline.time(fill.row - 1) == START_NS + 8 * MINUTE_NS
    assert fill.causes[1] >> 20 == 7


def test_latency_below_zero_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"latency.feed_ns: -1 is negative or endless; normalise the clock"):
        Latency(feed_ns=-1)


def test_a_cancel_that_comes_too_late_is_refused_by_the_venue_and_heard() -> None:
    heard = []

    class Late(BuysAtThree):
        def on_bar(self, ctx, bar) -> None:
            super().on_bar(ctx, bar)
            if bar.row == 4:
                ctx.cancel(self.order)

        def on_order(self, ctx, report) -> None:
            heard.append(type(report))

    latency = Latency(order_ns=MINUTE_NS, report_ns=SECOND_NS)
    _, records, _, _ = play([made("A", 12)], [Late()], SessionConfig(latency=latency))
    assert len(of(records, OrderFilled)) == 1
    assert [travels.action for travels in of(records, CommandTravels)] == ["submit", "cancel"]
    assert [refused.reason for refused in of(records, CommandRefused)] == ["finished"]
    assert heard == [CommandRefused]


def test_a_timer_comes_after_everything_that_is_known_at_its_time() -> None:
    class Timed(Listens):
        def on_start(self, ctx) -> None:
            ctx.timer(START_NS + 3 * MINUTE_NS, "third")

        def on_timer(self, ctx, timer) -> None:
            self.heard.append((timer.name, ctx.time, len(ctx.close)))
            if timer.name == "third":
                ctx.timer(timer.at + 30 * SECOND_NS, "between")
                ctx.buy(1)
                with pytest.raises(InvalidInput, match=r"timer at 1: a time .* after now"):
                    ctx.timer(1)

    walk = made("A", 9)
    _, records, session, _ = play([walk], [Timed()])
    timers = [heard for heard in session.strategies[0].heard if heard[0] in {"third", "between"}]
    assert timers == [
        ("third", START_NS + 3 * MINUTE_NS, 3),
        ("between", START_NS + 3 * MINUTE_NS + 30 * SECOND_NS, 3),
    ]
    assert [fired.row for fired in of(records, TimerFired)] == [3, 3]
    (fill,) = of(records, OrderFilled)
    assert fill.price == walk.open[3]


def test_a_strategy_that_raises_is_stopped_its_orders_are_cancelled_and_the_others_go_on() -> None:
    class Fails(Strategy):
        def on_bar(self, ctx, bar) -> None:
            if bar.row == 3:
                ctx.buy(1, type="limit", limit="0.01")
            if bar.row == 6:
                ctx.buy(1)
                raise ValueError(f"no more of {object()}")

    alone, _, _, _ = play([made("A", 30)], [SmaCross({"fast": 2, "slow": 5})])
    result, records, session, _ = play([made("A", 30)], [Fails(), SmaCross({"fast": 2, "slow": 5})])
    (stopped,) = of(records, StrategyStopped)
    assert (stopped.row, stopped.handler, stopped.error) == (6, "on_bar", "ValueError")
    assert stopped.message == "no more of <object object at 0x…>"
    assert stopped.line == Fails.on_bar.__code__.co_firstlineno + 5
    assert result.finished
    assert not [order for order in session.core.orders.values() if order.origin == 0]
    assert result.equity == alone.equity
    assert {record.order_id for record in records if getattr(record, "reason", "") == "strategy_stopped"} == {1}


class Unspeakable:
    """Says nothing of itself but an error, in every way that it is asked."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __index__ = __bool__ = __str__  # type: ignore[assignment]

    def __eq__(self, _: object) -> bool:
        raise ValueError("no equal")

    def __hash__(self) -> int:
        raise ValueError("no hash")


class MuteError(Exception):
    __str__ = Unspeakable.__str__


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SystemExit(3), "3"),
        (GeneratorExit(), ""),
        (ValueError("\ud800 broken"), "\\ud800 broken"),
        (MuteError(), "<MuteError whose text raises ValueError>"),
        (ValueError(10**5_000), "<ValueError whose text raises ValueError>"),
    ],
    ids=["exit", "generator exit", "surrogate", "no text", "digits"],
)
def test_whatever_a_strategy_raises_stops_it_alone(error, words) -> None:
    class Fails(Strategy):
        def on_bar(self, ctx, bar) -> None:
            if bar.row == 6:
                raise error

    class Goes(Strategy):
        def on_bar(self, ctx, bar) -> None:
            if bar.row == 7:
                ctx.buy(1)

    for strategies in ([Fails()], [Fails(), Goes()]):
        result, records, _, _ = play([made("A", 30)], strategies)
        (stopped,) = of(records, StrategyStopped)
        assert (stopped.row, stopped.error, stopped.message) == (6, type(error).__name__, words)
        assert result.finished
        assert result.position == len(strategies) - 1


def test_an_interrupt_of_a_person_ends_the_session() -> None:
    class Interrupted(Strategy):
        def on_bar(self, ctx, bar) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play([made("A", 30)], [Interrupted(), SmaCross({"fast": 2, "slow": 5})])


def test_requests_that_cannot_be_printed_are_denied_and_cost_nobody_anything() -> None:
    evil = Unspeakable()
    asked = [
        lambda ctx: ctx.buy(evil),
        lambda ctx: ctx.buy(1, type="limit", limit=evil),
        lambda ctx: ctx.buy(1, type=evil),
        lambda ctx: ctx.buy(1, tif=evil),
        lambda ctx: ctx.buy(1, until=evil),
        lambda ctx: ctx.buy(1, reduce_only=evil),
        lambda ctx: ctx.buy(1, parent=evil),
        lambda ctx: ctx.buy(1, instrument=evil),
        lambda ctx: ctx.buy(1, route=evil),
        lambda ctx: ctx.buy(1, instrument="\ud800", type="\ud800"),
        lambda ctx: ctx.buy(1, **{"\ud800": 1}),
        lambda ctx: ctx.buy("\ud800"),
        lambda ctx: ctx.buy(1, type="limit", limit=1, until=10**5_000, tif="GTD"),
    ]

    class Asks(Strategy):
        def on_bar(self, ctx, bar) -> None:
            self.kept = ["\ud800", 10**5_000]
            if bar.row == 3:
                for ask in asked:
                    ask(ctx)
                ctx.note("\ud800")
                ctx.buy(1)

    result, records, session, _ = play([made("A", 9)], [Asks(), SmaCross({"fast": 2, "slow": 5})])
    denied = [record for record in of(records, RiskDecided) if not record.allowed]
    assert len(denied) == len(asked)
    assert not of(records, StrategyStopped)
    assert [record.text for record in of(records, Noted)] == ["\\ud800"]
    assert result.finished
    assert session.state().variables["Asks"]["kept"] == ["\\ud800", f"an integer of {(10**5_000).bit_length()} bits"]


def test_a_lone_strategy_that_raises_is_stopped_in_a_session_wherever_it_raises() -> None:
    for handler in ("on_start", "on_bar", "on_fill", "on_timer", "on_stop"):

        def fails(self, *_) -> None:
            raise KeyError(self.params)

        class Some(BuysAtThree):
            def on_start(self, ctx) -> None:
                ctx.timer(START_NS + 200 * SECOND_NS)

        kind = type("Fails", (Some,), {handler: fails})
        result, records, _, _ = play([made("A", 12)], [kind()])
        assert result.finished
        assert [record.handler for record in of(records, StrategyStopped)] == [handler]


class Swings(Strategy):
    """Trades a named instrument by limits, timers and cancels, and remembers what it heard."""

    class Params(NoParams, frozen=True):
        instrument: str = "A"
        every: int = 7

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.fills = 0
        self.resting: list[int] = []
        self.timers = 0

    def on_bar(self, ctx, bar) -> None:
        name = self.params.instrument
        if bar.instrument != name:
            return
        if bar.row % self.params.every == 0:
            if ctx.position_of(name) > 0:
                ctx.sell(1, instrument=name)
            else:
                limit = Decimal(bar.close) / 100
                self.resting.append(ctx.buy(1, instrument=name, type="limit", limit=limit))
            ctx.timer(bar.time + 37 * SECOND_NS, name)

    def on_timer(self, ctx, timer) -> None:
        self.timers += 1
        if self.timers % 3 == 0 and self.resting:
            ctx.cancel(self.resting.pop(0))

    def on_fill(self, ctx, fill) -> None:
        self.fills += fill.quantity


class Crosses(SmaCross):
    subscribes = (bars("A", "1m"),)


def three(recorder=None, clock=None) -> Session:
    """Three strategies, two instruments, every latency."""
    streams = [made("A", 4_000), made("B", 2_000, minutes=2, seed=2, offset_ns=7 * SECOND_NS)]
    strategies = [Crosses({"fast": 3, "slow": 9}), Swings(), Swings({"instrument": "B", "every": 5})]
    latency = Latency(feed_ns=200_000_000, order_ns=61 * SECOND_NS, report_ns=35 * SECOND_NS)
    return Session(streams, strategies, SessionConfig(latency=latency), recorder=recorder, key=KEY, clock=clock)


def test_two_hundred_cuts_of_a_run_with_latency_lead_to_equal_chains() -> None:
    from kronos.trading import MemoryRecorder

    recorder = MemoryRecorder()
    session = three(recorder)
    whole = session.run()
    segments = [segment.data for segment in recorder.segments]
    assert verify(segments).hex() == whole.core_chain
    assert whole.checkpointable, whole.checkpoint_note
    assert all(strategy.fills or strategy.timers for strategy in session.strategies[1:])
    cuts = sorted(map(int, np.random.default_rng(5).integers(1, 6_000, 200)))
    run, travelling = three(), 0
    for count, row in enumerate(cuts):  # each life ends at a cut, and the next begins with nothing but its checkpoint
        run.run(Position(row))
        travelling += bool(run.core.schedule.entries)
        data, run = run.checkpoint(), three()
        run.restore(data)
        if count % 20 == 0:
            assert encode_state(run.core) == encode_state(state_at(segments, Position(row)))
    last = run.run()
    assert (last.core_chain, last.user_chain, last.equity) == (whole.core_chain, whole.user_chain, whole.equity)
    assert travelling > 100


PROGRAM = """
import pathlib, sys, time
from tests.trading.test_latency import three
folder = pathlib.Path(sys.argv[1])
class Disk:
    def segment(self, **fields): pass
    def checkpoint(self, *, row, data):
        part = folder / "part"
        part.write_bytes(data)
        part.replace(folder / f"{row:09}")
        print(row, flush=True)
ticks = iter(range(0, 10**18, 20_000_000))
run = three(Disk(), clock=lambda: next(ticks))
found = sorted(folder.glob("0*"))
if found:
    run.restore(found[-1].read_bytes())
result = run.run()
print(result.core_chain, result.user_chain, flush=True)
"""


def test_processes_that_are_killed_leave_what_the_next_one_goes_on_from(tmp_path) -> None:
    whole = three().run()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    rows = []
    for cut in (3, 5, None):
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path)], env=env, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line.split())
                if cut is not None and len(lines) == cut:
                    process.send_signal(signal.SIGKILL)
                    break
        rows.append([int(line[0]) for line in lines if len(line) == 1])
    assert lines[-1] == [whole.core_chain, whole.user_chain]
    assert rows[0][-1] < rows[1][0]
    assert rows[1][-1] < rows[2][0]
