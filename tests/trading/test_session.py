"""Several strategies, instruments and timeframes in one session: one order of things, one journal, one account."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.trading import (
    Backtest,
    BacktestConfig,
    Bars,
    MemoryRecorder,
    NoParams,
    Position,
    RouteConfig,
    Session,
    SessionConfig,
    SmaCross,
    Strategy,
    state_at,
    verify,
)
from kronos.trading.events import IntentRaised, OrderDenied, OrderFilled, RiskDecided, StrategyStopped
from kronos.trading.journal import decode_segment
from kronos.trading.state import encode_state
from kronos.trading.streams import Trades as TradesStream
from kronos.trading.views import bars

KEY = b"k" * 32
MINUTE_NS = 60_000_000_000
START_NS = 1_600_000_000_000_000_000


def made(name: str, rows: int, *, seed: int = 1, minutes: int = 1, offset_ns: int = 0) -> Bars:
    rng = np.random.default_rng(seed)
    close = np.cumsum(rng.integers(-50, 51, rows)).astype(np.int64)
    close += 1_000 - close.min()
    opening = np.roll(close, 1)
    opening[0] = close[0]
    return Bars(
        dataset=f"{name}-{seed}-{minutes}",
        instrument=name,
        tick=Decimal("0.01"),
        volume_step=Decimal(1),
        interval_ns=minutes * MINUTE_NS,
        open_time=np.arange(rows, dtype=np.int64) * minutes * MINUTE_NS + START_NS + offset_ns,
        open=opening,
        high=np.maximum(opening, close) + 5,
        low=np.minimum(opening, close) - 5,
        close=close,
        volume=np.full(rows, 100, dtype=np.int64),
    )


def play(streams, strategies, config=None):
    recorder = MemoryRecorder()
    session = Session(streams, strategies, config or SessionConfig(), recorder=recorder, key=KEY)
    result = session.run()
    records = [record for segment in recorder.segments for record in decode_segment(segment.data).decode()]
    return result, records, session, recorder


def of(records, kind):
    return [record for record in records if type(record) is kind]


class Listens(Strategy):
    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.heard = []

    def on_bar(self, ctx, bar) -> None:
        self.heard.append((ctx.row, bar.instrument, bar.row, bar.time, ctx.time))


def test_rows_of_all_streams_come_in_the_order_in_which_they_are_known() -> None:
    streams = [made("A", 9, minutes=3), made("B", 20), made("A", 5, minutes=5, seed=3)]
    _, _, session, _ = play(streams, [Listens()])
    heard = session.strategies[0].heard
    assert [row for row, *_ in heard] == list(range(34))
    assert [time for *_, time, _ in heard] == sorted(time for *_, time, _ in heard)
    assert all(time == now for *_, time, now in heard)
    ties = [name for _, name, _, time, _ in heard if time == START_NS + 15 * MINUTE_NS]
    assert ties == ["A", "B", "A"]


class TradesTwice(Strategy):
    def on_bar(self, ctx, bar) -> None:
        if bar.row in {0, 1} and bar.instrument == "A":
            if bar.row:
                ctx.sell(5, instrument="A")
            else:
                ctx.buy(3, instrument="A")


def test_the_portfolio_of_a_session_has_the_position_of_its_instrument_and_none_of_several() -> None:
    settings = {"long_only": False, "fee_rate": "0.001"}
    alone = Backtest(made("A", 9), TradesTwice(), BacktestConfig(**settings))
    alone.run()
    result, _, session, _ = play([made("A", 9)], [TradesTwice()], SessionConfig(**settings))
    assert result.position == session.portfolio().position == session.state().portfolio.position == Decimal(-2)
    assert session.portfolio() == alone.portfolio()
    result, _, session, _ = play([made("A", 9), made("B", 9)], [TradesTwice()], SessionConfig(**settings))
    seen = session.portfolio()
    assert (result.position, seen.position, seen.average_price, seen.price) == (None, None, None, None)
    assert result.positions == {"A": Decimal(-2), "B": Decimal(0)}


def test_handlers_that_calling_does_not_run_are_refused_when_the_session_is_made() -> None:
    async def waits(self, ctx, bar):
        ctx.buy(1)

    def yields(self, ctx, bar):
        yield ctx.buy(1)

    async def both(self, ctx, bar):
        yield ctx.buy(1)

    for handler, words in (
        (waits, "a coroutine"),
        (yields, "a generator"),
        (both, "an asynchronous gen"),
        (5, "5, no"),
    ):
        for name in ("on_bar", "on_start", "on_fill"):
            with pytest.raises(InvalidInput, match=f"Some.{name} is {words}"):
                play([made("A", 9)], [type("Some", (Strategy,), {name: handler})()])


def test_what_is_asked_outside_a_run_is_refused_and_leaves_no_trace() -> None:
    class Keeps(Strategy):
        def on_bar(self, ctx, bar) -> None:
            kept.append(ctx)

    kept = []
    session = Session([made("A", 9)], [Keeps()], SessionConfig())
    session.run(Position(5))
    for ask in (lambda ctx: ctx.buy(1), lambda ctx: ctx.cancel(1), lambda ctx: ctx.note("x")):
        with pytest.raises(InvalidInput, match="the session does not run: ask from a handler"):
            ask(kept[0])
    assert kept[0].position == 0
    result = session.run()
    assert (result.finished, result.orders) == (True, 0)
    with pytest.raises(InvalidInput, match="buy: the session does not run"):
        kept[0].buy(1)


def test_a_bracket_whose_entry_is_no_terms_stops_its_strategy_alone() -> None:
    class Asks(Strategy):
        def on_bar(self, ctx, bar) -> None:
            ctx.bracket("buy", 1, stop=1, target=2, entry="limit")

    _, records, _, _ = play([made("A", 9)], [Asks(), Listens()])
    (stopped,) = of(records, StrategyStopped)
    assert stopped.message.startswith("bracket: entry 'limit': give its terms")


def test_streams_with_values_that_no_market_has_and_streams_given_twice_are_refused() -> None:
    def ticks(*, price: int = 100, quantity: int = 5) -> TradesStream:
        def column(*values: int) -> np.ndarray:
            return np.array(values, dtype=np.int64)

        times = column(START_NS, START_NS + 1)
        return TradesStream(
            dataset="t", instrument="A", tick=Decimal("0.01"), volume_step=Decimal(1), time=times, available=times,
            source=column(1, 2), price=column(100, price), quantity=column(5, quantity), side=column(1, 1),
        )  # fmt: skip

    Session([ticks(), made("A", 9), made("A", 9, seed=2)], [Listens()], SessionConfig())
    for streams, words in (
        ([ticks(price=0)], "trades of A: price 0 at row 1 is below 1"),
        ([ticks(quantity=-5)], "trades of A: quantity -5 at row 1 is below 0"),
        ([made("A", 9), made("A", 9)], "streams: bars of A .* are given twice"),
    ):
        with pytest.raises(InvalidInput, match=words):
            Session(streams, [Listens()], SessionConfig())


class OnlyB(Listens):
    subscribes = (bars("B"),)


def test_a_strategy_sees_what_it_subscribes_to_and_nothing_else() -> None:
    seen = {}

    class Curious(OnlyB):
        def on_bar(self, ctx, bar) -> None:
            super().on_bar(ctx, bar)
            seen["close"] = ctx.close[-1] == bar.close
            seen["views"] = [view.instrument for view in ctx.views]
            with pytest.raises(InvalidInput, match="bars of A: not subscribed to; bars of B are"):
                ctx.view("bars", "A")
            with pytest.raises(InvalidInput, match="instrument 'A': one of B"):
                ctx.position_of("A")

    _, _, session, _ = play([made("A", 9), made("B", 9)], [Curious()])
    assert {name for _, name, *_ in session.strategies[0].heard} == {"B"}
    assert seen == {"close": True, "views": ["B"]}
    with pytest.raises(InvalidInput, match="OnlyB subscribes to bars of B; the session has bars of A"):
        Session([made("A", 9)], [OnlyB()], SessionConfig())


class Trades(Strategy):
    """Buys a named instrument at a row and sells at another."""

    class Params(NoParams, frozen=True):
        instrument: str = "A"
        buy: int = 3
        sell: int = 30
        route: str | None = None

    def on_bar(self, ctx, bar) -> None:
        if bar.instrument != self.params.instrument:
            return
        more = {"route": self.params.route} if self.params.route else {}
        if bar.row == self.params.buy:
            ctx.buy(2, instrument=self.params.instrument, **more)
        if bar.row == self.params.sell:
            ctx.sell(2, instrument=self.params.instrument, **more)


def test_an_order_meets_the_next_bar_of_its_own_instrument() -> None:
    a, b = made("A", 60), made("B", 12, minutes=5, seed=2)
    strategies = [Trades({"instrument": "B", "buy": 1, "sell": 4}), Trades({"instrument": "A"})]
    result, records, session, _ = play([a, b], strategies)
    timeline = session.timeline
    fills = [(fill.origin, fill.instrument, fill.row, fill.price) for fill in of(records, OrderFilled)]
    assert fills == sorted(
        [
            (0, 1, timeline.ordinal(1, 2), int(b.open[2])),
            (0, 1, timeline.ordinal(1, 5), int(b.open[5])),
            (1, 0, timeline.ordinal(0, 4), int(a.open[4])),
            (1, 0, timeline.ordinal(0, 31), int(a.open[31])),
        ],
        key=lambda fill: fill[2],
    )
    assert result.positions == {"A": 0, "B": 0}
    assert [each.strategy_id for each in session.routes.origins] == ["Trades", "Trades-2"]


def test_what_there_is_not_is_a_recorded_denial_and_the_run_goes_on() -> None:
    class Lost(Strategy):
        def on_bar(self, ctx, bar) -> None:
            if ctx.row == 4:
                ctx.buy(1)
                ctx.buy(1, instrument="C")
                ctx.buy(1, instrument="A", route="moon")
                ctx.cancel(99)

    result, records, _, _ = play([made("A", 9), made("B", 9)], [Lost()])
    assert result.finished
    assert [intent.asked for intent in of(records, IntentRaised)] == [
        "instrument None: one of A, B",
        "instrument 'C': one of A, B",
        "route 'moon': one of simulated",
        "",
    ]
    assert [verdict.allowed for verdict in of(records, RiskDecided)] == [False] * 4
    assert len(of(records, OrderDenied)) == 3


def test_orders_take_the_default_route_and_an_ambiguous_default_is_refused() -> None:
    two = (RouteConfig(route_id="slow"), RouteConfig(route_id="fast", default=True))
    _, records, session, _ = play(
        [made("A", 40)], [Trades(), Trades({"route": "slow", "buy": 4})], SessionConfig(routes=two)
    )
    routes = [session.routes.origins[fill.origin].route_id for fill in of(records, OrderFilled)]
    assert sorted(routes) == ["fast", "fast", "slow", "slow"]
    for routes in (
        (two[0], RouteConfig(route_id="other")),
        tuple(RouteConfig(route_id=n, default=True) for n in "ab"),
    ):
        with pytest.raises(InvalidInput, match=r"default among .*: mark one with default=True"):
            Session([made("A", 9)], [Trades()], SessionConfig(routes=routes))


def test_a_session_of_one_is_the_backtest() -> None:
    walk = made("A", 9_000)
    whole = Backtest(walk, SmaCross(), BacktestConfig(fee_rate=Decimal("0.001")), key=KEY).run()
    lone = Session([walk], [SmaCross()], SessionConfig(fee_rate=Decimal("0.001"))).run()
    beside = Session([walk], [SmaCross(), Listens()], SessionConfig(fee_rate=Decimal("0.001"))).run()
    assert (lone.core_chain, lone.user_chain, lone.equity) == (whole.core_chain, whole.user_chain, whole.equity)
    assert (beside.records, beside.equity, beside.orders) == (whole.records, whole.equity, whole.orders)


def test_any_row_of_a_session_is_reached_by_checkpoint_by_journal_and_anew() -> None:
    def fresh():
        strategies = [SmaCross({"fast": 3, "slow": 9}), Trades({"instrument": "B", "buy": 20, "sell": 900})]
        strategies[0].subscribes = (bars("A", "1m"),)
        return Session([made("A", 6_000), made("B", 1_200, minutes=5, seed=2)], strategies, SessionConfig(), key=KEY)

    recorder = MemoryRecorder()
    session = fresh()
    session = Session(session.streams, session.strategies, SessionConfig(), recorder=recorder, key=KEY)
    whole = session.run()
    segments = [segment.data for segment in recorder.segments]
    assert verify(segments).hex() == whole.core_chain
    for row in (1, 77, 4_096, 5_000, 7_199):
        anew = fresh()
        anew.run(Position(row))
        again = fresh()
        again.restore(anew.checkpoint())
        assert encode_state(again.core) == encode_state(anew.core) == encode_state(state_at(segments, Position(row)))
        assert again.state() == anew.state()
        last = again.run()
        assert (last.core_chain, last.user_chain) == (whole.core_chain, whole.user_chain)


def test_what_a_strategy_sees_cannot_be_changed() -> None:
    tried = []

    class Vandal(Strategy):
        def on_bar(self, ctx, bar) -> None:
            if bar.row == 3:
                for name, value in (("now", 10**6), ("row", 9), ("close", []), ("position", 5)):
                    with pytest.raises(AttributeError):
                        setattr(ctx, name, value)
                    tried.append(name)
                with pytest.raises(AttributeError):
                    bar.close = 1
                with pytest.raises(AttributeError, match="what a strategy sees cannot be changed"):
                    ctx.views[0].kind = "trades"
                ctx.close.last(3)[:] = 0

    walk = made("A", 9)
    play([walk], [Vandal()])
    assert tried == ["now", "row", "close", "position"]
    assert (walk.close > 0).all()


def test_times_that_are_missing_or_disordered_are_refused_by_stream_and_row() -> None:
    good = made("A", 9)
    for change, message in (
        ({3: -(2**63)}, r"stream 0 \(bars of A\): no open_time at row 3 .*a backtest needs a time for each row"),
        ({3: START_NS}, r"stream 0 \(bars of A\): known before the row above it at row 3"),
    ):
        times = good.open_time.copy()
        for row, value in change.items():
            times[row] = value
        fields = {name: getattr(good, name) for name in good.__struct_fields__} | {"open_time": times}
        with pytest.raises(InvalidInput, match=message):
            Session([Bars(**fields)], [Listens()], SessionConfig())
