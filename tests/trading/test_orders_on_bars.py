"""What becomes of each kind of order, bar by bar."""

from __future__ import annotations

import time
from decimal import Decimal

import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.trading import Backtest, BacktestConfig, Bars, MemoryRecorder, Strategy
from kronos.trading.events import (
    OrderCancelled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    RiskDecided,
)
from kronos.trading.journal import records_between, verify
from kronos.trading.positions import Position
from kronos.trading.session import Session
from kronos.trading.session_config import SessionConfig

DAY_NS = 86_400_000_000_000
HOUR_NS = 3_600_000_000_000


def bars_of(*rows: tuple[int, int, int, int], interval_ns: int = HOUR_NS, volume: int = 100, start: int = 0) -> Bars:
    """Make bars of (open, high, low, close) in ticks of 1."""
    columns = np.array(rows, dtype=np.int64).T
    return Bars(
        dataset="made",
        instrument="X",
        tick=Decimal(1),
        volume_step=Decimal(1),
        interval_ns=interval_ns,
        open_time=np.arange(len(rows), dtype=np.int64) * interval_ns + start,
        open=columns[0].copy(),
        high=columns[1].copy(),
        low=columns[2].copy(),
        close=columns[3].copy(),
        volume=np.full(len(rows), volume, dtype=np.int64),
    )


class Script(Strategy):
    """Does what `acts` says at a row, and remembers what it heard."""

    acts: dict = {}  # noqa: RUF012
    on_fills: dict = {}  # noqa: RUF012

    def __init__(self, params=None) -> None:
        super().__init__(params)
        self.heard: list[str] = []

    def on_bar(self, ctx, bar) -> None:
        if bar.row in self.acts:
            self.acts[bar.row](ctx)

    def on_fill(self, ctx, fill) -> None:
        self.heard.append(f"fill {fill.order_id}")
        if fill.order_id in self.on_fills:
            self.on_fills[fill.order_id](ctx)

    def on_order(self, ctx, report) -> None:
        self.heard.append(f"{type(report).__name__} {report.order_id}")


def run(bars: Bars, acts: dict, *, on_fills: dict | None = None, **config):
    strategy = type("Script", (Script,), {"acts": acts, "on_fills": on_fills or {}})()
    recorder = MemoryRecorder()
    settings = {"long_only": False, "check_cash": False} | config
    backtest = Backtest(bars, strategy, BacktestConfig(**settings), recorder=recorder)
    result = backtest.run()
    data = [segment.data for segment in recorder.segments]
    assert verify(data).hex() == result.core_chain
    records = list(records_between(data, Position(-1), Position(bars.rows + 1)))
    return records, strategy


def fills(records) -> list[tuple]:
    lots = 10**8
    return [
        (r.order_id, r.row, r.price, r.quantity / lots, r.assumption) for r in records if isinstance(r, OrderFilled)
    ]


def ends(records) -> list[tuple]:
    kinds = (OrderCancelled, OrderExpired, OrderDenied)
    return [(type(r).__name__, r.order_id, r.row, r.reason) for r in records if isinstance(r, kinds)]


FLAT = (100, 100, 100, 100)


@pytest.mark.parametrize(
    ("ask", "bar", "expected"),
    [
        # limits: at the open when it is as good, else at their price when the bar reaches it
        (("buy", {"type": "limit", "limit": 98}), (100, 101, 98, 100), (98, "limit_in_bar")),
        (("buy", {"type": "limit", "limit": 98}), (97, 101, 96, 100), (97, "limit_at_open")),
        (("buy", {"type": "limit", "limit": 98}), (100, 101, 99, 100), None),
        (("sell", {"type": "limit", "limit": 102}), (100, 102, 99, 100), (102, "limit_in_bar")),
        (("sell", {"type": "limit", "limit": 102}), (104, 105, 100, 101), (104, "limit_at_open")),
        # stops: at the open when it is beyond, else at their price
        (("buy", {"type": "stop", "stop": 102}), (100, 103, 99, 100), (102, "stop_in_bar")),
        (("buy", {"type": "stop", "stop": 102}), (105, 106, 104, 105), (105, "stop_at_open")),
        (("sell", {"type": "stop", "stop": 97}), (100, 101, 96, 100), (97, "stop_in_bar")),
        (("sell", {"type": "stop", "stop": 97}), (95, 96, 94, 95), (95, "stop_at_open")),
        # stop limits: triggered, and then a limit
        (("buy", {"type": "stop_limit", "stop": 102, "limit": 103}), (100, 105, 99, 104), (102, "stop_in_bar")),
        (("buy", {"type": "stop_limit", "stop": 102, "limit": 103}), (106, 107, 105, 106), None),
        (("buy", {"type": "stop_limit", "stop": 102, "limit": 103}), (106, 107, 102, 103), (103, "limit_in_bar")),
        (("buy", {"type": "stop_limit", "stop": 102, "limit": 101}), (100, 104, 99, 100), (101, "limit_in_bar")),
        (("sell", {"type": "stop_limit", "stop": 97, "limit": 96}), (95, 96, 94, 95), (96, "limit_in_bar")),
        # markets
        (("buy", {}), (104, 105, 90, 100), (104, "next_open")),
    ],
)
def test_an_order_is_filled_where_the_bar_touches_it(ask, bar, expected):
    side, terms = ask
    records, _ = run(bars_of(FLAT, FLAT, bar), {1: lambda ctx: getattr(ctx, side)(1, **terms)})
    sign = 1 if side == "buy" else -1
    assert fills(records) == ([] if expected is None else [(1, 2, expected[0], sign, expected[1])])


def test_a_stop_limit_that_was_triggered_rests_as_a_limit():
    acts = {0: lambda ctx: ctx.buy(1, type="stop_limit", stop=102, limit=101)}
    records, _ = run(bars_of(FLAT, (100, 104, 102, 103), (103, 104, 102, 103), (103, 103, 101, 102)), acts)
    assert fills(records) == [(1, 3, 101, 1, "limit_in_bar")]


def test_a_trailing_stop_follows_the_best_price_along_the_path():
    acts = {0: lambda ctx: ctx.sell(1, type="trailing", trail=5)}
    rising = [(100, 104, 100, 103), (103, 110, 103, 109), (109, 109, 106, 107), (107, 107, 104, 104)]
    records, _ = run(bars_of(FLAT, *rising), acts)
    assert fills(records) == [(1, 4, 105, -1, "stop_in_bar")], "110 was the best: 105 is five below"
    gap, _ = run(bars_of(FLAT, (100, 110, 100, 110), (90, 91, 89, 90)), acts)
    assert fills(gap) == [(1, 2, 90, -1, "stop_at_open")]
    bought, _ = run(
        bars_of(FLAT, (100, 100, 90, 91), (91, 96, 91, 95)), {0: lambda ctx: ctx.buy(1, type="trailing", trail=5)}
    )
    assert fills(bought) == [(1, 2, 95, 1, "stop_in_bar")]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("nearest", "stop"), ("low_first", "stop"), ("high_first", "target")],
)
def test_the_path_of_a_bar_decides_between_stop_and_target(rule, expected):
    acts = {0: lambda ctx: ctx.bracket("buy", 1, stop=95, target=106)}
    records, strategy = run(bars_of(FLAT, FLAT, (100, 107, 94, 100)), acts, path=rule)
    exit_ = {"stop": (2, 2, 95, -1, "stop_in_bar"), "target": (3, 2, 106, -1, "limit_in_bar")}[expected]
    assert fills(records) == [(1, 1, 100, 1, "next_open"), exit_]
    other = 3 if expected == "stop" else 2
    assert ends(records) == [("OrderCancelled", other, 2, "oco")]
    assert [heard for heard in strategy.heard if heard.startswith("fill")] == ["fill 1", f"fill {exit_[0]}"]
    assert f"OrderCancelled {other}" in strategy.heard


def test_the_children_of_an_entry_wait_for_the_next_segment_of_the_path():
    acts = {0: lambda ctx: ctx.bracket("buy", 1, stop=95, target=104, entry={"type": "limit", "limit": 97})}
    records, _ = run(bars_of(FLAT, (100, 105, 96, 101)), acts)  # open 100, low 96: the entry; then up to 105
    assert fills(records) == [(1, 1, 97, 1, "limit_in_bar"), (3, 1, 104, -1, "limit_in_bar")]
    below, _ = run(bars_of(FLAT, (100, 101, 94, 95), (95, 96, 94, 95)), acts)  # the stop lies on the entry's segment
    assert fills(below) == [(1, 1, 97, 1, "limit_in_bar"), (2, 1, 94, -1, "stop_in_bar")], "where the segment ends"


def test_children_meet_the_price_at_which_they_begin():
    fallen = bars_of(FLAT, (100, 101, 80, 80), (100, 106, 94, 100))
    acts = {0: lambda ctx: ctx.bracket("buy", 2, stop=91, target=110, entry={"type": "limit", "limit": 92})}
    records, _ = run(fallen, acts)
    assert fills(records) == [(1, 1, 92, 2, "limit_in_bar"), (2, 1, 80, -2, "stop_in_bar")]
    risen = bars_of(FLAT, (100, 110, 99, 109))
    acts = {0: lambda ctx: ctx.bracket("buy", 2, stop=90, target=107, entry={"type": "stop", "stop": 105})}
    records, _ = run(risen, acts)
    assert fills(records) == [(1, 1, 105, 2, "stop_in_bar"), (3, 1, 107, -2, "limit_in_bar")]
    acts = {0: lambda ctx: ctx.bracket("buy", 2, stop=101, target=110)}
    records, _ = run(bars_of(FLAT, (100, 110, 99, 109)), acts)
    assert fills(records)[1] == (2, 1, 100, -2, "stop_in_bar"), "filled at the open, below its stop"
    acts = {0: lambda ctx: ctx.bracket("buy", 2, stop=90, target=95)}
    records, _ = run(bars_of(FLAT, (100, 110, 99, 109)), acts)
    assert fills(records)[1] == (3, 1, 100, -2, "limit_in_bar"), "a target that the open is beyond: not outside the bar"


@pytest.mark.parametrize("wrong", [{"stop": float("nan")}, {"stop": -1}, {"target": "94.5"}, {"target": 0}])
def test_a_bracket_whose_stop_or_target_is_no_order_is_denied_as_a_whole(wrong):
    records, _ = run(
        bars_of(*[FLAT] * 3), {0: lambda ctx: ctx.bracket("buy", 2, **({"stop": 90, "target": 110} | wrong))}
    )
    assert [(r.order_id, r.reason) for r in records if isinstance(r, OrderDenied)] == [
        (1, "price_invalid"),
        (2, "price_invalid" if "stop" in wrong else "parent_gone"),
        (3, "price_invalid" if "target" in wrong else "parent_gone"),
    ]
    assert fills(records) == []


@pytest.mark.parametrize(
    ("entry", "reason"),
    [({"type": "limit", "limit": 100, "post_only": True}, "post_only_would_cross"), ({"route": "no"}, "terms_invalid")],
)
def test_the_children_of_an_entry_that_is_refused_do_not_stay(entry, reason):
    records, _ = run(bars_of(*[FLAT] * 3), {0: lambda ctx: ctx.bracket("buy", 1, stop=90, target=110, entry=entry)})
    ended = [(r.order_id, r.reason) for r in records if isinstance(r, OrderDenied | OrderRejected)]
    assert ended[0] == (1, reason)
    assert [each for each, _ in ended] == [1, 2, 3]


def test_a_day_order_asked_for_at_midnight_lives_through_the_day_that_begins():
    days = bars_of(*[FLAT] * 3, (100, 106, 89, 100), interval_ns=DAY_NS)
    acts = {
        0: lambda ctx: (ctx.buy(1, tif="DAY"), ctx.buy(1, type="limit", limit=90, tif="DAY")),
        2: lambda ctx: ctx.buy(1, type="limit", limit=90, tif="DAY"),
    }
    records, _ = run(days, acts)
    assert fills(records) == [(1, 1, 100, 1, "next_open"), (3, 3, 90, 1, "limit_in_bar")]
    assert ends(records) == [("OrderExpired", 2, 2, "DAY")]


def test_children_end_with_an_entry_that_never_came():
    acts = {
        0: lambda ctx: ctx.bracket("buy", 1, stop=80, target=120, entry={"type": "limit", "limit": 90}),
        1: lambda ctx: ctx.cancel(1),
    }
    records, _ = run(bars_of(FLAT, FLAT, FLAT), acts)
    assert ends(records) == [
        ("OrderCancelled", 1, 1, "requested"),
        ("OrderCancelled", 2, 1, "parent"),
        ("OrderCancelled", 3, 1, "parent"),
    ]


def test_orders_of_one_group_cancel_one_another():
    def both(ctx) -> None:
        ctx.buy(1, type="limit", limit=90)
        ctx.buy(1, type="limit", limit=94, group=7)
        ctx.sell(1, type="limit", limit=106, group=7)

    records, _ = run(bars_of(FLAT, (100, 107, 100, 101)), {0: both})
    assert fills(records) == [(3, 1, 106, -1, "limit_in_bar")]
    assert ends(records) == [("OrderCancelled", 2, 1, "oco")]


def test_lifetimes_end_orders_by_name():
    def ask(ctx) -> None:
        ctx.buy(1, type="limit", limit=90, tif="DAY")
        ctx.buy(1, type="limit", limit=91, tif="GTD", until=26 * HOUR_NS)
        ctx.buy(1, type="limit", limit=92, tif="IOC")
        ctx.buy(1, type="limit", limit=93)

    records, strategy = run(bars_of(*[FLAT] * 30), {1: ask})
    assert ends(records) == [
        ("OrderCancelled", 3, 2, "ioc"),
        ("OrderExpired", 1, 24, "DAY"),
        ("OrderExpired", 2, 26, "GTD"),
    ]
    assert strategy.heard == ["OrderCancelled 3", "OrderExpired 1", "OrderExpired 2"]


def test_what_a_bar_offers_is_shared_and_the_rest_waits_or_is_cancelled():
    def ask(ctx) -> None:
        ctx.buy(8)
        ctx.buy(4, tif="IOC")
        ctx.buy(4, tif="FOK")
        ctx.buy(3)

    records, _ = run(bars_of(*[FLAT] * 4), {0: ask}, volume_share=Decimal("0.1"))
    assert fills(records) == [
        (1, 1, 100, 8, "next_open"),
        (2, 1, 100, 2, "next_open"),
        (4, 2, 100, 3, "next_open"),
    ]
    assert ends(records) == [("OrderCancelled", 2, 1, "ioc"), ("OrderCancelled", 3, 1, "fok")]


def test_slippage_makes_market_fills_worse_and_leaves_limits_alone():
    def ask(ctx) -> None:
        ctx.buy(1)
        ctx.sell(1)
        ctx.buy(1, type="limit", limit=1000)

    records, _ = run(bars_of((1000,) * 4, (1000,) * 4), {0: ask}, slippage_bps=Decimal(15))
    assert [each[2] for each in fills(records)] == [1002, 998, 1000], "1001.5 and 998.5, to the worse tick"


def in_session(acts: dict, *rows: tuple[int, int, int, int], **config) -> list:
    strategy = type("Script", (Script,), {"acts": acts, "on_fills": {}})()
    settings = SessionConfig(long_only=False, check_cash=False, **config)
    session = Session([bars_of(*rows)], [strategy], settings)
    session.run()
    return session.take()


def test_slippage_in_ticks_holds_on_bars_too():
    def ask(ctx) -> None:
        ctx.buy(1)
        ctx.sell(1)
        ctx.buy(1, type="stop", stop=1005)

    records = in_session({0: ask}, (1000,) * 4, (1000, 1010, 1000, 1010), slippage_ticks=3)
    assert [each[2] for each in fills(records)] == [1003, 997, 1008]
    records, _ = run(bars_of((1000,) * 4, (1000, 1010, 1000, 1010)), {0: ask}, slippage_ticks=3)
    assert [each[2] for each in fills(records)] == [1003, 997, 1008]
    with pytest.raises(InvalidInput, match="slippage_ticks: -1 is no whole number"):
        BacktestConfig(slippage_ticks=-1)


def test_orders_that_cancel_one_another_are_asked_for_together():
    ids: list[tuple[int, ...]] = []

    def ask(ctx) -> None:
        ctx.note("first")
        ctx.buy(3)
        high, low = {"type": "limit", "limit": 106}, {"type": "stop", "stop": 95}
        ids.append(ctx.oco({"side": "sell", "quantity": 3, **high}, {"side": "sell", "quantity": 3, **low}))

    records, strategy = run(bars_of(FLAT, FLAT, (100, 107, 99, 100), (100, 101, 90, 95)), {0: ask})
    assert ids == [(2, 3)]
    assert fills(records) == [(1, 1, 100, 3, "next_open"), (2, 2, 106, -3, "limit_in_bar")]
    assert ends(records) == [("OrderCancelled", 3, 2, "oco")]
    assert "OrderCancelled 3" in strategy.heard


@pytest.mark.parametrize(
    ("legs", "message"),
    [
        (({"side": "buy", "quantity": 1},), "oco: 1 orders cannot cancel one another"),
        (({"side": "buy", "quantity": 1}, {"side": "short", "quantity": 1}), "give side"),
        (({"side": "buy"}, {"side": "buy", "quantity": 1}), "give side"),
        (({"side": "buy", "quantity": 1, "group": 7}, {"side": "buy", "quantity": 1}), "group is not for its orders"),
        (({"side": "buy", "quantity": 1, "instrument": "X"}, {"side": "buy", "quantity": 1}), "one instrument for all"),
    ],
)
def test_what_cannot_cancel_one_another_is_refused(legs, message):
    with pytest.raises(InvalidInput, match=message):
        run(bars_of(FLAT, FLAT), {0: lambda ctx: ctx.oco(*legs)})


@pytest.mark.parametrize(("prevents", "expected"), [(True, [2]), (False, [])])
def test_of_two_orders_of_one_account_that_would_meet_on_bars_the_younger_is_cancelled(prevents, expected):
    def ask(ctx) -> None:
        ctx.sell(1, type="limit", limit=1010)
        ctx.buy(1, type="limit", limit=1010)
        ctx.buy(1, type="limit", limit=900)

    records = in_session({0: ask}, (1000,) * 4, (1020,) * 4, prevents_self_trade=prevents)
    ended = [record for record in records if isinstance(record, OrderCancelled) and record.reason == "self_trade"]
    assert [record.order_id for record in ended] == expected


def test_reduce_only_never_opens_and_is_cut_to_what_is_held():
    acts = {
        0: lambda ctx: (ctx.sell(1, reduce_only=True), ctx.buy(2)),
        1: lambda ctx: ctx.sell(5, reduce_only=True),
        2: lambda ctx: ctx.sell(1),
    }
    records, _ = run(bars_of(*[FLAT] * 5), acts)
    assert ends(records)[0] == ("OrderDenied", 1, 0, "reduce_only")
    assert [(each[0], each[3]) for each in fills(records)] == [(2, 2), (3, -2), (4, -1)]


def test_post_only_is_rejected_when_it_would_take():
    acts = {
        0: lambda ctx: (
            ctx.buy(1, type="limit", limit=100, post_only=True),
            ctx.buy(1, type="limit", limit=99, post_only=True),
        )
    }
    records, strategy = run(bars_of(FLAT, (100, 100, 99, 99)), acts)
    assert [each[0] for each in fills(records)] == [2]
    assert strategy.heard[0] == "OrderRejected 1"


def test_a_modified_order_goes_on_under_its_new_terms():
    acts = {
        0: lambda ctx: ctx.buy(1, type="limit", limit=90),
        1: lambda ctx: ctx.modify(1, 3, limit=99),
        2: lambda ctx: ctx.modify(1, limit=1),
    }
    records, _ = run(bars_of(FLAT, FLAT, (100, 100, 99, 99), FLAT), acts)
    assert fills(records) == [(1, 2, 99, 3, "limit_in_bar")]
    assert sum(isinstance(record, OrderReplaced) for record in records) == 1
    late = [r for r in records if isinstance(r, RiskDecided) and r.row == 2]
    assert [(r.allowed, r.reason) for r in late] == [(False, "unknown_order")]


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"type": "limit"}, "type limit: needs limit"),
        ({"type": "limit", "limit": "99.5"}, "limit: 99.5 is not a multiple of 1"),
        ({"type": "limit", "limit": float("nan")}, "limit: nan is not a finite number"),
        ({"type": "limit", "limit": 0}, "limit 0: outside"),
        ({"type": "limit", "limit": -5}, "limit -5: outside"),
        ({"type": "limit", "limit": 10**9}, "outside"),
        ({"type": "market", "limit": 5}, "type market: has no limit"),
        ({"type": "iceberg"}, "type 'iceberg': one of market"),
        ({"tif": "GTT"}, "tif 'GTT': one of GTC"),
        ({"tif": "GTD"}, "until 0: ns UTC"),
        ({"type": "stop", "stop": 90, "post_only": True}, "post_only: for limit orders"),
        ({"colour": "red"}, "colour: no order has it"),
        ({"parent": "first"}, "parent 'first': an order's id"),
        ({"type": "limit", "limit": True}, "limit: True is not a number"),
        ({"type": "limit", "limit": "\u0669"}, "limit: '\u0669' is not a number"),
        ({"type": "limit", "limit": 1, "post_only": "yes"}, "post_only 'yes': True or False"),
    ],
)
def test_nonsense_is_denied_with_its_words_and_the_run_goes_on(terms, words):
    acts = {0: lambda ctx: ctx.buy(1, **terms), 1: lambda ctx: ctx.buy(1)}
    records, _ = run(bars_of(*[FLAT] * 3), acts)
    (denied,) = [r for r in records if isinstance(r, RiskDecided) and not r.allowed]
    assert denied.reason == ("price_invalid" if words.startswith(("limit", "outside")) else "terms_invalid")
    assert words in denied.operands["asked"]
    assert [each[0] for each in fills(records)] == [2]


@pytest.mark.parametrize(
    "number",
    [
        True, "\u0669", "1e400000000", "1e-400000000", Decimal("1e400000000"), Decimal("1e-4000000"), 10**100_000,
        "1" * 100_000, Decimal("1." + "1" * 100_000), float("inf"), "0x10", b"1", [1], None,
    ],
    ids=lambda number: f"{type(number).__name__} {str(number)[:12] if type(number) is not int else 'long'}",
)  # fmt: skip
def test_a_number_that_is_none_or_without_end_is_denied_before_an_integer_is_made_of_it(number):
    asked = {
        0: lambda ctx: ctx.buy(number),
        1: lambda ctx: None if number is None else ctx.buy(1, type="limit", limit=number),
        2: lambda ctx: ctx.buy(1),
    }
    begun = time.process_time()
    records, _ = run(bars_of(*[FLAT] * 4), asked)
    assert (
        time.process_time() - begun < 2
    )  # a power of ten as long as these exponents takes many seconds, or never ends
    denied = [r.reason for r in records if isinstance(r, RiskDecided) and not r.allowed]
    assert denied == ["quantity_invalid"] + ["price_invalid"] * (number is not None)
    assert [each[1] for each in fills(records)] == [3]


def test_what_a_fill_asks_for_meets_the_next_bar():
    acts = {0: lambda ctx: ctx.buy(1)}
    on_fills = {1: lambda ctx: ctx.sell(1, type="stop", stop=95)}
    records, _ = run(bars_of(FLAT, (100, 100, 90, 100), (100, 100, 90, 100)), acts, on_fills=on_fills)
    assert fills(records) == [(1, 1, 100, 1, "next_open"), (2, 2, 95, -1, "stop_in_bar")]


def test_a_strategy_that_asks_again_for_ever_is_stopped():
    class Again(Script):
        def on_order(self, ctx, report) -> None:
            ctx.buy(-1)

    bars = bars_of(*[FLAT] * 3)
    strategy = type("Again", (Again,), {"acts": {0: lambda ctx: ctx.buy(-1)}})()
    with pytest.raises(InvalidInput, match="on_order asks again without end at row 0"):
        Backtest(bars, strategy, BacktestConfig()).run()


def test_rests_are_the_same_whether_a_run_is_restored_in_between_or_not():
    rng = np.random.default_rng(5)
    close = 10_000 + np.cumsum(rng.integers(-30, 31, 3_000))
    opening = np.roll(close, 1)
    opening[0] = close[0]
    rows = list(zip(opening, np.maximum(opening, close) + 20, np.minimum(opening, close) - 20, close, strict=True))
    bars = bars_of(*rows)

    class Many(Strategy):
        def on_bar(self, ctx, bar) -> None:
            if bar.row % 7 == 0:
                ctx.bracket(
                    "buy",
                    1,
                    stop=bar.close - 60,
                    target=bar.close + 50,
                    entry={"type": "limit", "limit": bar.close - 15},
                )
            if bar.row % 11 == 0:
                ctx.sell(1, type="trailing", trail=40, tif="DAY")
            if bar.row % 13 == 0 and ctx.open_orders:
                ctx.cancel(ctx.open_orders[0])
            if bar.row % 17 == 0 and len(ctx.open_orders) > 2:
                ctx.modify(ctx.open_orders[1], 2)

    config = BacktestConfig(long_only=False, check_cash=False, volume_share=Decimal("0.02"))
    whole = Backtest(bars, Many(), config, key=b"k").run()
    assert whole.orders > 1_000
    for row in (1, 500, 1_777, 2_999):
        first = Backtest(bars, Many(), config, key=b"k")
        first.run(Position(row))
        again = Backtest(bars, Many(), config, key=b"k")
        again.restore(first.checkpoint())
        result = again.run()
        assert (result.core_chain, result.user_chain) == (whole.core_chain, whole.user_chain), row
