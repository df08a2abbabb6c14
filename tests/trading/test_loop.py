"""What a strategy sees, when its orders fill, and what risk says."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.errors import InvalidInput
from kronos.trading import (
    Backtest,
    BacktestConfig,
    LookAhead,
    MemoryRecorder,
    NoParams,
    Position,
    SmaCross,
    Split,
    Strategy,
    read_ledger,
)
from kronos.trading.events import (
    IntentRaised,
    Noted,
    OrderAdjusted,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    RiskDecided,
    SplitApplied,
)
from kronos.trading.journal import decode_segment
from kronos.trading.positions import cause_id, position_of
from kronos.trading.state import conserved

CONFIG = BacktestConfig(cash=Decimal(1_000_000), fee_rate=Decimal("0.001"))


def play(bars, strategy, config=CONFIG):
    recorder = MemoryRecorder()
    backtest = Backtest(bars, strategy, config, recorder=recorder)
    result = backtest.run()
    records = [record for segment in recorder.segments for record in decode_segment(segment.data).decode()]
    return result, records, backtest, recorder


def of(records, kind):
    return [record for record in records if type(record) is kind]


def acts(plan):
    """Return a strategy that does plan[row](ctx) at the close of a row."""

    class Planned(Strategy):
        def on_bar(self, ctx, bar) -> None:
            if bar.row in plan:
                plan[bar.row](ctx)

    return Planned()


def test_an_order_fills_at_the_open_of_the_next_bar_with_one_rounded_fee(walk) -> None:
    bars = walk(10)
    _, records, backtest, _ = play(bars, acts({3: lambda ctx: ctx.buy(2)}))
    (fill,) = of(records, OrderFilled)
    assert (fill.row, fill.price) == (4, bars.open[4])
    assert fill.quantity == backtest.instrument.lots(2)
    value = Decimal(int(bars.open[4])) * Decimal("0.01") * 2
    assert Decimal(fill.fee) / 10**8 == (value * Decimal("0.001")).quantize(Decimal("1e-8"))
    assert fill.assumption == "next_open"


def test_every_record_names_its_causes_back_to_a_market_event(walk) -> None:
    _, records, _, _ = play(walk(10), acts({3: lambda ctx: ctx.buy(1)}))
    assert [type(record).__name__ for record in records] == [
        "IntentRaised", "RiskDecided", "OrderSubmitted", "OrderAccepted", "OrderFilled",
    ]  # fmt: skip
    by_id = {cause_id(record.row, record.sub): record for record in records}
    record, steps = records[-1], 0
    while record.causes[0] in by_id:
        record, steps = by_id[record.causes[0]], steps + 1
    assert steps == 4
    assert position_of(record.causes[0]) == Position(3, 0)
    assert position_of(records[-1].causes[1]) == Position(4, 0)
    assert [(r.row, r.sub) for r in records] == [(3, 1), (3, 2), (3, 3), (3, 4), (4, 1)]


def test_a_fill_triggers_the_next_decision_which_waits_for_the_next_bar(walk) -> None:
    seen = []

    class Bracket(Strategy):
        def on_bar(self, ctx, bar) -> None:
            if bar.row == 2:
                ctx.buy(1)

        def on_fill(self, ctx, fill) -> None:
            seen.append((ctx.row, ctx.now))
            if fill.quantity > 0:
                ctx.sell(1)

    bars = walk(10)
    _, records, _, _ = play(bars, Bracket())
    fills = of(records, OrderFilled)
    assert [(f.row, f.price) for f in fills] == [(3, bars.open[3]), (4, bars.open[4])]
    assert seen == [(3, 2), (4, 3)]
    sell = of(records, IntentRaised)[1]
    assert sell.causes == (cause_id(3, fills[0].sub),)


def test_on_fill_sees_nothing_of_the_bar_that_filled(walk) -> None:
    class Peek(Strategy):
        def on_bar(self, ctx, bar) -> None:
            if bar.row == 2:
                ctx.buy(1)

        def on_fill(self, ctx, fill) -> None:
            assert ctx.close[-1] == ctx.close[fill.row - 1]
            ctx.close[fill.row]

    with pytest.raises(LookAhead, match=r"close\[3\] is not known at row 2: rows 0 to 2 are"):
        play(walk(10), Peek())


@pytest.mark.parametrize(
    "read",
    [
        lambda ctx: ctx.close[ctx.row + 1],
        lambda ctx: ctx.high[ctx.row + 100],
        lambda ctx: ctx.close[: ctx.row + 2],
        lambda ctx: ctx.close[ctx.row + 3 :],
        lambda ctx: ctx.close.last(ctx.row + 2),
        lambda ctx: ctx.close[-ctx.row - 2],
    ],
)
def test_an_index_beyond_now_raises(walk, read) -> None:
    with pytest.raises(LookAhead, match="is not known at row 5"):
        play(walk(10), acts({5: read}))


def test_windows_own_their_memory_and_end_at_now(walk) -> None:
    bars = walk(10)
    found = []
    play(bars, acts({5: lambda ctx: found.extend([ctx.close.last(3), ctx.low[1:4], ctx.close[:], ctx.close[-1]])}))
    last, low, everything, latest = found
    assert last.tolist() == bars.close[3:6].tolist()
    assert low.tolist() == bars.low[1:4].tolist()
    assert everything.tolist() == bars.close[:6].tolist()
    assert latest == bars.close[5]
    for window in (last, low, everything):
        assert window.base is None
        window[0] = -1
    assert bars.close[3] != -1
    with pytest.raises(ValueError, match="read-only"):
        bars.close[0] = 1


def denials(records):
    return [(record.reason, record.operands) for record in of(records, RiskDecided) if not record.allowed]


@pytest.mark.parametrize(
    ("act", "reason", "operand"),
    [
        (lambda ctx: ctx.buy(0), "quantity_invalid", {"quantity": "0", "lot": "0.000001"}),
        (lambda ctx: ctx.buy(-1), "quantity_invalid", {"quantity": "-1", "lot": "0.000001"}),
        (lambda ctx: ctx.buy(float("nan")), "quantity_invalid", {"quantity": "nan", "lot": "0.000001"}),
        (lambda ctx: ctx.buy("0.0000001"), "quantity_invalid", {"quantity": "'0.0000001'", "lot": "0.000001"}),
        (lambda ctx: ctx.buy("many"), "quantity_invalid", {"quantity": "'many'", "lot": "0.000001"}),
        (lambda ctx: ctx.buy(10**40), "quantity_invalid", {"quantity": str(10**40), "lot": "0.000001"}),
        (
            lambda ctx: ctx.sell(1),
            "position_limit",
            {"position": "0", "resting": "0", "quantity": "-1", "position_min": "0"},
        ),
        (lambda ctx: ctx.cancel(12), "unknown_order", {"order_id": "12"}),
    ],
)
def test_risk_denies_with_a_stable_reason_and_its_operands(walk, act, reason, operand) -> None:
    result, records, _, _ = play(walk(10), acts({3: act}))
    assert denials(records) == [(reason, operand)]
    assert not of(records, OrderFilled)
    assert result.equity == CONFIG.cash
    if reason != "unknown_order":
        assert [record.reason for record in of(records, OrderDenied)] == [reason]


def test_risk_denies_what_cash_cannot_pay_counting_resting_orders(walk) -> None:
    bars = walk(10)
    price = Decimal(int(bars.close[3])) / 100
    config = BacktestConfig(cash=(price * 3).quantize(Decimal("1e-8")), fee_rate=Decimal("0.001"))
    plan = {3: lambda ctx: [ctx.buy(1), ctx.buy(1), ctx.buy(1)]}
    _, records, _, _ = play(bars, acts(plan), config)
    ((reason, operands),) = denials(records)
    assert reason == "cash_insufficient"
    assert Decimal(operands["needed"]) == price * Decimal("1.001")
    assert Decimal(operands["available"]) == price * 3 - 2 * price * Decimal("1.001")


def test_risk_counts_resting_orders_toward_the_position_limit(walk) -> None:
    config = BacktestConfig(cash=Decimal(10**9), position_max=Decimal(3))
    _, records, _, _ = play(walk(10), acts({3: lambda ctx: [ctx.buy(2), ctx.buy(2)]}), config)
    ((reason, operands),) = denials(records)
    assert (reason, operands["resting"], operands["position_max"]) == ("position_limit", "2", "3")


def test_an_exception_in_a_rule_is_a_denial(walk, monkeypatch) -> None:
    def broken(question):
        raise ZeroDivisionError("no price")

    monkeypatch.setattr("kronos.trading.risk.judgement.RULES", (("broken", broken),))
    _, records, _, _ = play(walk(10), acts({3: lambda ctx: ctx.buy(1)}))
    assert denials(records) == [("rule_error", {"rule": "broken", "error": "ZeroDivisionError: no price"})]


def test_shorts_are_possible_where_allowed(walk) -> None:
    bars = walk(10)
    config = BacktestConfig(cash=Decimal(10**6), long_only=False)
    result, _, backtest, recorder = play(bars, acts({3: lambda ctx: ctx.sell(1), 6: lambda ctx: ctx.buy(1)}), config)
    ledger = read_ledger([s.data for s in recorder.segments], bars, backtest.instrument)
    (trade,) = ledger.trades()
    assert trade.pnl == Decimal(int(bars.open[4] - bars.open[7])) / 100
    assert result.equity == config.cash + trade.pnl


def test_orders_from_on_start_fill_at_the_first_open_and_those_from_on_stop_are_denied(walk) -> None:
    class Ends(Strategy):
        def on_start(self, ctx) -> None:
            ctx.buy(1)
            ctx.note("begun")

        def on_stop(self, ctx) -> None:
            ctx.sell(1)

    bars = walk(10)
    _, records, _, _ = play(bars, Ends())
    (fill,) = of(records, OrderFilled)
    assert (fill.row, fill.price) == (0, bars.open[0])
    assert denials(records) == [("session_closed", {"stage": "stop"})]
    assert [note.text for note in of(records, Noted)] == ["begun"]


def test_a_cancel_before_the_next_open_leaves_no_fill(walk) -> None:
    _, records, _, _ = play(walk(10), acts({3: lambda ctx: ctx.cancel(ctx.buy(1))}))
    assert [record.reason for record in of(records, OrderCancelled)] == ["requested"]
    assert not of(records, OrderFilled)


def test_a_flood_is_refused_and_a_strange_order_id_too(walk) -> None:
    with pytest.raises(InvalidInput, match="more than 10000 orders"):
        play(walk(10), acts({3: lambda ctx: [ctx.buy(1) for _ in range(20_000)]}))
    with pytest.raises(InvalidInput, match="order id 'x' is not one"):
        play(walk(10), acts({3: lambda ctx: ctx.cancel("x")}))


def test_a_split_multiplies_what_is_held_and_what_rests_before_its_open(walk) -> None:
    bars = walk(20, splits=(Split(row=6, numerator=2),))
    heard = []

    class Holder(Strategy):
        def on_bar(self, ctx, bar) -> None:
            if bar.row in {2, 5}:
                ctx.buy(3)

        def on_split(self, ctx, split) -> None:
            heard.append((ctx.row, ctx.position, split.numerator))

    result, records, backtest, _ = play(bars, Holder())
    lots = backtest.instrument.lots
    (split,) = of(records, SplitApplied)
    (adjusted,) = of(records, OrderAdjusted)
    fills = of(records, OrderFilled)
    assert (split.row, split.sub, split.cash) == (6, 1, 0)
    assert (adjusted.row, adjusted.sub, adjusted.quantity) == (6, 2, lots(6))
    assert (fills[1].row, fills[1].quantity, fills[1].price) == (6, lots(6), bars.open[6])
    assert fills[1].sub > adjusted.sub
    assert result.position == 12
    assert heard == [(6, 6, 2)]


def test_an_order_from_on_split_waits_for_the_next_open_too(walk) -> None:
    class Reacts(Strategy):
        def on_split(self, ctx, split) -> None:
            assert ctx.now == split.row - 1
            ctx.buy(1)

    _, records, _, _ = play(walk(20, splits=(Split(row=6, numerator=2),)), Reacts())
    assert [fill.row for fill in of(records, OrderFilled)] == [7]


def test_a_fraction_of_a_lot_is_paid_out_at_the_last_close(walk) -> None:
    bars = walk(20, splits=(Split(row=6, numerator=3, denominator=2),))
    config = BacktestConfig(cash=Decimal(10**6), lot=Decimal(1))
    result, records, backtest, _ = play(bars, acts({2: lambda ctx: ctx.buy(5)}), config)
    (split,) = of(records, SplitApplied)
    assert result.position == 7
    assert Decimal(split.cash) / 10**8 == (Decimal(int(bars.close[5])) / 100 / 3).quantize(
        Decimal("1e-8"), "ROUND_DOWN"
    )
    assert conserved(backtest.core)


def test_sma_cross_sees_no_signal_in_a_split(walk) -> None:
    plain = walk(400, low=100_000)
    row = 200
    columns = {name: getattr(plain, name).copy() for name in ("open", "high", "low", "close")}
    for values in columns.values():
        values[:row] *= 2
    import msgspec

    doubled = msgspec.structs.replace(plain, **{n: getattr(plain, n) * 2 for n in columns}, dataset="doubled")
    split = msgspec.structs.replace(plain, **columns, splits=(Split(row=row, numerator=2),), dataset="split")
    config = BacktestConfig(cash=Decimal(10**9))
    _, ones, _, _ = play(doubled, SmaCross({"size": Decimal(1)}), config)
    _, twos, _, _ = play(split, SmaCross({"size": Decimal(1)}), config)
    signals = [[(i.row, i.quantity > 0) for i in of(records, IntentRaised)] for records in (ones, twos)]
    assert len(signals[0]) > 5
    assert signals[0] == signals[1]


class Noise(Strategy):
    class Params(NoParams, frozen=True):
        orders: tuple[tuple[int, int], ...] = ()

    def on_start(self, ctx) -> None:
        self.plan = dict(self.params.orders)

    def on_bar(self, ctx, bar) -> None:
        wanted = self.plan.get(bar.row, 0)
        if wanted > 0:
            ctx.buy(wanted)
        elif wanted < 0:
            ctx.sell(-wanted)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 199), st.integers(-5, 5)), max_size=30),
    st.integers(0, 3),
    st.sampled_from([(), (Split(row=90, numerator=2),), (Split(row=90, numerator=3, denominator=2),)]),
    st.booleans(),
)
def test_the_ledger_agrees_with_the_state_at_every_row(walk, orders, seed, splits, long_only) -> None:
    bars = walk(200, seed=seed, splits=splits)
    config = BacktestConfig(cash=Decimal(10_000), fee_rate=Decimal("0.00075"), long_only=long_only, lot=Decimal("0.1"))
    result, _, backtest, recorder = play(bars, Noise({"orders": tuple(orders)}), config)
    ledger = read_ledger([s.data for s in recorder.segments], bars, backtest.instrument)
    equity = ledger.equity_units()
    live = Backtest(bars, Noise({"orders": tuple(orders)}), config)
    for row in range(1, 201, 13):
        live.run(Position(row))
        assert conserved(live.core)
        assert Decimal(int(equity[row - 1])) / 10**8 == live.state().portfolio.equity
        assert ledger.positions()[row - 1] == live.context.position_lots
    assert Decimal(int(equity[-1])) / 10**8 == result.equity
    trades = ledger.trades()
    assert sum((trade.pnl for trade in trades), Decimal(0)) == result.equity - config.cash
    filled = [order.order_id for order in ledger.orders() if order.phase == "filled"]
    assert filled == [fill.order_id for fill in ledger.fills()]


def test_bars_and_configuration_that_cannot_be_run_are_refused(walk) -> None:
    bars = walk(10)
    with pytest.raises(InvalidInput, match="rows 20 to 10 are not a range"):
        Backtest(bars, SmaCross(), BacktestConfig(first_row=20))
    with pytest.raises(
        InvalidInput, match=r"tick 0.01 × lot 1E-8 is finer than 1e-8 USD; the finest lot .* is 0.000001"
    ):
        Backtest(bars, SmaCross(), BacktestConfig(lot=Decimal("0.00000001")))
    with pytest.raises(InvalidInput, match=r"fee_rate: 1.5 is outside \[0, 1\)"):
        Backtest(bars, SmaCross(), BacktestConfig(fee_rate=Decimal("1.5")))
    with pytest.raises(InvalidInput, match="exceeds the bound of 2"):
        Backtest(bars, SmaCross(), BacktestConfig(lot=Decimal(10) ** 12))
    run = Backtest(bars, SmaCross(), CONFIG)
    run.run(Position(5))
    with pytest.raises(InvalidInput, match="the run stands before row 5"):
        run.run(Position(3))
    with pytest.raises(InvalidInput, match="stops between rows only"):
        run.run(Position(7, 2))
    assert np.array_equal(bars.available, bars.open_time + bars.interval_ns)


def test_parameters_are_typed_and_their_errors_name_the_known_ones() -> None:
    from kronos.trading.strategy import params_from_text

    assert params_from_text(SmaCross, {"fast": "5", "size": "0.5"}) == SmaCross.Params(fast=5, size=Decimal("0.5"))
    with pytest.raises(InvalidInput, match="SmaCross has no parameter 'fats'; it has: fast \\(int\\), slow \\(int\\)"):
        params_from_text(SmaCross, {"fats": "5"})
    with pytest.raises(InvalidInput, match="parameter fast cannot be 'ten'"):
        params_from_text(SmaCross, {"fast": "ten"})
    with pytest.raises(InvalidInput, match="parameter fast cannot be '5'"):
        SmaCross({"fast": "5"})
    with pytest.raises(InvalidInput, match=r"fast \(30\) must be positive and less than slow \(30\)"):
        SmaCross({"fast": 30})
