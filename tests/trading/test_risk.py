"""Every limit trips with its own reason and the numbers that it compared; a strategy that it denies goes on."""

from __future__ import annotations

import ast
import itertools
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from kronos.errors import InvalidInput
from kronos.trading import Backtest, BacktestConfig, Bars, MemoryRecorder, Strategy
from kronos.trading.buckets import Rate
from kronos.trading.events import OrderDenied, OrderFilled, OrderSubmitted, RiskDecided, RiskMarked
from kronos.trading.journal import records_between, state_at, verify
from kronos.trading.positions import Position
from kronos.trading.reference import InstrumentConfig
from kronos.trading.risk import RULES, RiskLimits, limits_of, rules_for
from kronos.trading.risk.judgement import SETTINGS
from kronos.trading.session_config import AccountConfig, Latency, RouteConfig, SessionConfig

HOUR_NS = 3_600_000_000_000
ROOT = Path(__file__).resolve().parents[2]
KEY = b"k" * 32


def bars_of(*closes: int, hours: tuple[int, ...] = ()) -> Bars:
    """Make bars that open, stay and close at each price, in ticks of 1; `hours` are their opens."""
    column = np.array(closes, dtype=np.int64)
    opens = np.array(hours or range(len(closes)), dtype=np.int64) * HOUR_NS
    return Bars(
        dataset="made", instrument="X", tick=Decimal(1), volume_step=Decimal(1), interval_ns=HOUR_NS, open_time=opens,
        open=column.copy(), high=column.copy(), low=column.copy(), close=column.copy(),
        volume=np.full(len(closes), 100, dtype=np.int64),
    )  # fmt: skip


class Acts(Strategy):
    """Does what `acts` says at the close of a row, and `on_fills` after an order's fill."""

    acts: dict = {}  # noqa: RUF012
    on_fills: dict = {}  # noqa: RUF012

    def on_bar(self, ctx, bar) -> None:
        if bar.row in self.acts:
            self.acts[bar.row](ctx)

    def on_fill(self, ctx, fill) -> None:
        if fill.order_id in self.on_fills:
            self.on_fills[fill.order_id](ctx)


def session(bars: Bars, acts: dict, *, on_fills: dict | None = None, risk: dict | None = None, **config) -> Backtest:
    strategy = type("Acts", (Acts,), {"acts": acts, "on_fills": on_fills or {}})()
    settings = {"long_only": False, "cash": Decimal(1_000), "lot": Decimal("0.001")} | config
    recorder = MemoryRecorder()
    backtest = Backtest(
        bars, strategy, BacktestConfig(risk=RiskLimits(**(risk or {})), **settings), recorder=recorder, key=KEY
    )
    backtest.journal = recorder
    return backtest


def run(*args, **kwargs) -> list:
    backtest = session(*args, **kwargs)
    result = backtest.run()
    assert verify(journal(backtest)).hex() == result.core_chain
    return records_of(backtest)


def journal(backtest: Backtest) -> list[bytes]:
    return [segment.data for segment in backtest.journal.segments]


def records_of(backtest: Backtest) -> list:
    return list(records_between(journal(backtest), Position(-1), Position(backtest.stop_row + 1)))


def decisions(records: list) -> list[tuple]:
    return [(r.row, r.order_id, r.reason) for r in records if isinstance(r, RiskDecided)]


def denied(records: list) -> RiskDecided:
    (decision,) = [r for r in records if isinstance(r, RiskDecided) and not r.allowed]
    return decision


def limit(ctx, quantity, price, **terms) -> int:
    side = ctx.buy if quantity > 0 else ctx.sell
    return side(abs(quantity), type="limit", limit=price, **terms)


FLAT = (100,) * 4


@pytest.mark.parametrize(
    ("risk", "act", "reason", "operands"),
    [
        ({}, lambda c: c.buy(1, type="limit", limit="99.5"), "price_invalid",
         {"asked": "limit: 99.5 is not a multiple of 1", "tick": "1"}),
        ({}, lambda c: c.buy(1, type="limit", limit=float("nan")), "price_invalid",
         {"asked": "limit: nan is not a finite number", "tick": "1"}),
        ({}, lambda c: c.buy(1, type="stop", stop=0), "price_invalid",
         {"asked": "stop 0: outside (0, 200]", "tick": "1"}),
        ({}, lambda c: c.buy(1, type="trailing", trail=-3), "price_invalid",
         {"asked": "trail -3: outside (0, 200]", "tick": "1"}),
        ({}, lambda c: c.buy("0.0005"), "quantity_invalid", {"quantity": "'0.0005'", "lot": "0.001"}),
        ({}, lambda c: c.buy(float("nan")), "quantity_invalid", {"quantity": "nan", "lot": "0.001"}),
        ({}, lambda c: c.buy(0), "quantity_invalid", {"quantity": "0", "lot": "0.001"}),
        ({}, lambda c: c.sell(-2), "quantity_invalid", {"quantity": "-2", "lot": "0.001"}),
        ({"notional_min": Decimal(50)}, lambda c: limit(c, Decimal("0.5"), 90), "notional_too_small",
         {"notional": "45", "notional_min": "50"}),
        ({"check_post_only": True}, lambda c: limit(c, 1, 100, post_only=True), "post_only_would_cross",
         {"limit": "100", "price": "100"}),
        ({"check_post_only": True}, lambda c: limit(c, -1, 99, post_only=True), "post_only_would_cross",
         {"limit": "99", "price": "100"}),
        ({"price_band": Decimal("0.1")}, lambda c: limit(c, 1, 89), "price_band_exceeded",
         {"limit": "89", "price": "100", "price_band": "0.10000000"}),
        ({"position_max": Decimal(3)}, lambda c: c.sell(4), "position_limit",
         {"position": "0", "resting": "0", "quantity": "-4", "position_min": "-3"}),
        ({"order_max": Decimal(2)}, lambda c: c.buy("2.001"), "order_too_large",
         {"quantity": "2.001", "order_max": "2"}),
        ({"order_notional_max": Decimal(250)}, lambda c: limit(c, 3, 90), "order_too_large",
         {"notional": "270", "order_notional_max": "250"}),
        ({"gross_notional_max": Decimal(250)}, lambda c: c.buy(3), "gross_notional_exceeded",
         {"positions": "0", "resting": "0", "notional": "300", "gross_notional_max": "250"}),
        ({}, lambda c: c.buy("10.001"), "cash_insufficient", {"needed": "1000.1", "available": "1000"}),
        ({"long_only": True}, lambda c: c.sell(1), "position_limit",
         {"position": "0", "resting": "0", "quantity": "-1", "position_min": "0"}),
        ({}, lambda c: c.sell(1, reduce_only=True), "reduce_only", {"position": "0", "quantity": "-1"}),
        ({}, lambda c: c.buy(1, type="iceberg"), "terms_invalid",
         {"asked": "type 'iceberg': one of market, limit, stop, stop_limit, trailing"}),
        ({}, lambda c: c.cancel(7), "unknown_order", {"order_id": "7"}),
    ],
)  # fmt: skip
def test_one_request_beyond_a_limit_is_denied_with_its_reason_and_numbers(risk, act, reason, operands) -> None:
    records = run(bars_of(*FLAT), {0: act, 1: lambda ctx: ctx.buy(1)}, risk=risk)
    decision = denied(records)
    assert (decision.row, decision.reason, decision.operands) == (0, reason, operands)
    assert [r.reason for r in records if isinstance(r, OrderDenied)] in ([reason], [])
    assert decisions(records)[-1][2] == "ok", "the strategy goes on"


def test_a_drawdown_stops_what_opens_and_lets_out_what_closes() -> None:
    acts = {0: lambda ctx: ctx.buy(5), 3: lambda ctx: ctx.buy(1), 4: lambda ctx: ctx.sell(5)}
    bars = bars_of(100, 100, 200, 120, 120, 120)
    records = run(bars, acts, risk={"drawdown_max": Decimal("0.25")})
    assert decisions(records) == [(0, 1, "ok"), (3, 2, "drawdown_exceeded"), (4, 3, "ok")]
    # 5 at 100 of 1,000: the highest equity is 1,500, at the close of 200 that nobody asked anything at; 1,100 is left
    assert denied(records).operands == {
        "equity": "1100", "peak": "1500", "drawdown": "0.26666667", "drawdown_max": "0.25000000",
    }  # fmt: skip


def test_a_short_is_marked_at_the_lowest_close_and_a_narrower_fall_passes() -> None:
    acts = {0: lambda ctx: ctx.sell(5), 3: lambda ctx: ctx.sell(1)}
    for share, allowed in (("0.2", False), ("0.21", True)):
        records = run(bars_of(100, 100, 50, 100, 100), acts, risk={"drawdown_max": Decimal(share)})
        assert decisions(records)[-1][2] == ("ok" if allowed else "drawdown_exceeded"), share
    assert [r.peak for r in records if isinstance(r, RiskMarked)][-1] == 1_250 * 10**8


def test_a_rolling_loss_counts_fees_and_open_loss_and_is_forgotten_after_its_window() -> None:
    acts = {
        0: lambda ctx: ctx.buy(5), 1: lambda ctx: ctx.sell(5), 2: lambda ctx: ctx.buy(1), 6: lambda ctx: ctx.buy(1),
    }  # fmt: skip
    risk = {"rolling_loss_max": Decimal(50), "rolling_window_ns": 4 * HOUR_NS}
    records = run(bars_of(100, 100, 90, 90, 90, 90, 90, 90), acts, risk=risk)
    assert decisions(records) == [(0, 1, "ok"), (1, 2, "ok"), (2, 3, "rolling_loss_exceeded"), (6, 4, "ok")]
    assert denied(records).operands == {
        "realised": "-50", "unrealised": "0", "rolling_loss_max": "50", "window_ns": str(4 * HOUR_NS),
    }  # fmt: skip
    records = run(bars_of(100, 100, 90, 90), {0: lambda c: c.buy(5), 2: lambda c: c.buy(1)}, risk=risk)
    assert denied(records).operands["unrealised"] == "-50"


def test_gross_notional_adds_positions_and_open_orders_of_both_sides() -> None:
    acts = {0: lambda ctx: ctx.buy(1), 1: lambda ctx: (limit(ctx, 1, 90), limit(ctx, -2, 110), limit(ctx, 1, 80))}
    records = run(bars_of(*FLAT), acts, risk={"gross_notional_max": Decimal(489)})
    assert decisions(records)[-1] == (1, 4, "gross_notional_exceeded")
    assert denied(records).operands == {
        "positions": "100", "resting": "310", "notional": "80", "gross_notional_max": "489",
    }  # fmt: skip


def test_resting_quotes_are_counted_and_weighed_and_a_modification_is_not_counted_twice() -> None:
    def quote(ctx) -> None:
        limit(ctx, 2, 90)
        limit(ctx, -1, 110)
        limit(ctx, 1, 80)
        ctx.buy(1)

    records = run(bars_of(*FLAT), {0: quote, 1: lambda ctx: ctx.modify(1, limit=91)}, risk={"quotes_max": 2})
    assert decisions(records) == [
        (0, 1, "ok"), (0, 2, "ok"), (0, 3, "too_many_quotes"), (0, 4, "ok"), (1, 1, "ok"),
    ]  # fmt: skip
    assert denied(records).operands == {"resting": "2", "quotes_max": "2"}
    records = run(bars_of(*FLAT), {0: quote}, risk={"quotes_gross_max": Decimal(369)})
    assert denied(records).operands == {"gross": "370", "quotes_gross_max": "369"}


def test_quotes_of_two_sides_set_each_other_off() -> None:
    acts = {0: lambda ctx: (limit(ctx, 1, 90), limit(ctx, -1, 110), limit(ctx, 1, 80), limit(ctx, 1, 80))}
    records = run(bars_of(*FLAT), acts, risk={"quotes_net_max": Decimal(100)})
    assert decisions(records) == [(0, 1, "ok"), (0, 2, "ok"), (0, 3, "ok"), (0, 4, "quote_notional_exceeded")]
    assert denied(records).operands == {"net": "140", "quotes_net_max": "100"}


def test_a_flood_of_orders_and_of_cancels_is_denied_one_by_one_and_time_lets_it_in_again() -> None:
    def flood(ctx) -> None:
        orders = [limit(ctx, 1, 50 + each) for each in range(4)]
        for order in orders[:2]:
            ctx.cancel(order)

    risk = {"order_rate": Rate(limit=2, period_ns=HOUR_NS), "cancel_rate": Rate(limit=1, period_ns=HOUR_NS)}
    records = run(bars_of(*FLAT), {0: flood, 1: flood}, risk=risk)
    reasons = [reason for _, _, reason in decisions(records)]
    one = ["ok", "ok", "order_rate_exceeded", "order_rate_exceeded", "ok", "cancel_rate_exceeded"]
    assert reasons == one * 2
    slow = next(r for r in records if isinstance(r, RiskDecided) and r.reason == "order_rate_exceeded")
    assert slow.operands == {"limit": "2", "period_ns": str(HOUR_NS), "wait_ns": str(HOUR_NS // 2)}


def test_a_decision_on_old_data_is_denied_and_says_how_old() -> None:
    bars = bars_of(*FLAT, hours=(0, 1, 10, 11))
    acts = {1: lambda ctx: ctx.buy(1)}
    records = run(bars, acts, on_fills={1: lambda ctx: ctx.buy(1)}, risk={"snapshot_age_max_ns": 2 * HOUR_NS})
    assert decisions(records) == [(1, 1, "ok"), (2, 2, "snapshot_stale")]
    assert denied(records).operands == {"age_ns": str(8 * HOUR_NS), "snapshot_age_max_ns": str(2 * HOUR_NS)}


def test_an_order_before_any_data_is_stale_where_an_age_is_set() -> None:
    backtest = session(bars_of(*FLAT), {}, risk={"snapshot_age_max_ns": HOUR_NS})
    type(backtest.strategy).on_start = lambda self, ctx: ctx.buy(1)
    backtest.run()
    decision = denied(records_of(backtest))
    assert (decision.reason, decision.operands["age_ns"]) == ("snapshot_stale", "none")


def test_modifying_or_cancelling_a_finished_order_is_denied_and_changes_nothing() -> None:
    acts = {0: lambda ctx: ctx.buy(1), 2: lambda ctx: (ctx.modify(1, 2), ctx.cancel(1))}
    records = run(bars_of(*FLAT), acts)
    assert decisions(records) == [(0, 1, "ok"), (2, 1, "unknown_order"), (2, 1, "unknown_order")]


def test_cancels_pass_whatever_was_lost() -> None:
    acts = {0: lambda ctx: (ctx.buy(5), limit(ctx, 1, 10)), 2: lambda ctx: (ctx.buy(1), ctx.cancel(2))}
    risk = {"drawdown_max": Decimal("0.01"), "rolling_loss_max": Decimal(1)}
    records = run(bars_of(100, 100, 50, 50), acts, risk=risk)
    assert decisions(records)[2:] == [(2, 3, "drawdown_exceeded"), (2, 2, "ok")]


def test_an_exception_in_any_rule_is_a_denial_that_names_it(monkeypatch) -> None:
    def broken(question):
        raise ZeroDivisionError("no price")

    for reason, _ in RULES:
        rules = tuple((name, broken if name == reason else rule) for name, rule in RULES)
        monkeypatch.setattr("kronos.trading.risk.judgement.RULES", rules)
        monkeypatch.setattr("kronos.trading.risk.judgement.SETTINGS", {})
        records = run(bars_of(*FLAT), {0: lambda ctx: ctx.buy(1)})
        assert denied(records).reason == "rule_error"
        assert denied(records).operands == {"rule": reason, "error": "ZeroDivisionError: no price"}
        assert not [r for r in records if isinstance(r, OrderSubmitted)]


def test_a_rule_whose_limit_is_not_set_is_not_asked_and_nothing_is_remembered() -> None:
    backtest = session(bars_of(*FLAT), {0: lambda ctx: ctx.buy(1)})
    asked = [reason for reason, _ in rules_for(limits_of(RiskLimits(), backtest.instrument))]
    assert asked == [reason for reason, _ in RULES if reason not in SETTINGS]
    backtest.run()
    assert backtest.core.marks == {}


@pytest.mark.parametrize("stop", [2, 3, 5, 7])
def test_what_risk_remembers_comes_back_from_a_checkpoint_and_from_the_journal(stop) -> None:
    bars = bars_of(100, 130, 90, 150, 110, 170, 60, 80, 90)
    acts = {row: (lambda ctx: ctx.buy(1)) if row % 2 == 0 else (lambda ctx: ctx.sell(1)) for row in range(8)}
    risk = {
        "drawdown_max": Decimal("0.05"), "rolling_loss_max": Decimal(25), "rolling_window_ns": 3 * HOUR_NS,
        "order_rate": Rate(limit=1, period_ns=HOUR_NS),
    }  # fmt: skip
    whole = session(bars, acts, risk=risk)
    expected = whole.run()
    first = session(bars, acts, risk=risk)
    first.run(Position(stop))
    second = session(bars, acts, risk=risk)
    second.restore(first.checkpoint())
    assert second.run().core_chain == expected.core_chain
    assert state_at(journal(whole), Position(9)).marks == whole.core.marks


@pytest.mark.parametrize(
    ("risk", "message"),
    [
        ({"drawdown_max": Decimal("1.5")}, r"risk.drawdown_max: 1.5 is outside \(0, 1\]"),
        ({"rolling_loss_max": Decimal(0)}, r"risk.rolling_loss_max: 0 is outside"),
        ({"price_band": Decimal("NaN")}, r"risk.price_band: .* is not a finite number"),
        ({"order_max": Decimal(-1)}, r"risk.order_max: -1 is outside"),
        ({"order_max": Decimal("0.0001")}, r"risk.order_max: 0.0001 is not a multiple of 0.001"),
        ({"position_max": Decimal("0.0001")}, r"risk.position_max: 0.0001 is not a multiple of 0.001"),
        ({"quotes_gross_max": Decimal("1e-9")}, r"risk.quotes_gross_max: 1E-9 is not a multiple of 1E-8"),
        ({"drawdown_max": Decimal("1e-9")}, r"risk.drawdown_max: 1E-9 is not a multiple of 1E-8"),
        ({"quotes_max": 0}, r"risk.quotes_max: 0 must be at least 1"),
        ({"snapshot_age_max_ns": -1}, r"risk.snapshot_age_max_ns: -1 must be at least 1"),
    ],
)
def test_a_limit_that_is_none_is_refused_before_anything_runs(risk, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        session(bars_of(*FLAT), {}, risk=risk)


@pytest.mark.parametrize(
    ("asks", "reason"),
    [
        ([lambda c: limit(c, -4, 110), lambda c: c.sell(4, reduce_only=True)], "position_limit"),
        ([lambda c: limit(c, -4, 105, reduce_only=True), lambda c: limit(c, -4, 110)], "position_limit"),
        ([lambda c: limit(c, -2, 105, reduce_only=True), lambda c: limit(c, -2, 110)], "ok"),
        ([lambda c: limit(c, -4, 105, reduce_only=True), lambda c: c.sell(4, reduce_only=True)], "ok"),
        ([lambda c: limit(c, -2, 110), lambda c: c.sell(3, reduce_only=True)], "position_limit"),
    ],
)
def test_what_only_reduces_beside_what_does_not_leaves_no_position_below_the_limit(asks, reason) -> None:
    acts = {0: lambda c: c.buy(4)} | dict(enumerate(asks, start=1))
    records = run(bars_of(*FLAT, 120, 120), acts, long_only=True)
    assert decisions(records)[-1][2] == reason
    held = list(itertools.accumulate(r.quantity for r in records if isinstance(r, OrderFilled)))
    assert min(held) >= 0


def test_the_children_of_a_bracket_count_once_and_as_far_as_something_is_held() -> None:
    bracket = lambda c: c.bracket("buy", 4, stop=90, target=115)  # noqa: E731
    rows = [*FLAT, 120, 120]
    plain = run(bars_of(*rows), {0: bracket, 1: lambda c: limit(c, -4, 110)}, long_only=True)
    assert decisions(plain)[-1] == (1, 4, "position_limit")
    assert denied(plain).operands == {"position": "4", "resting": "-4", "quantity": "-4", "position_min": "0"}
    reducing = run(bars_of(*rows), {0: bracket, 1: lambda c: c.sell(4, reduce_only=True)}, long_only=True)
    assert sum(r.quantity for r in reducing if isinstance(r, OrderFilled)) == 0


def documented() -> list[tuple[str, set[str], tuple[str, ...]]]:
    """Return (reason, operands, settings) of every row of the reference's table."""
    text = (ROOT / "docs/reference/risk.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    words = [[re.findall(r"`(\w+)`", cell) for cell in row] for row in cells]
    return [(row[0][0], set(row[2]), tuple(row[3])) for row in words]


def test_the_reference_names_every_reason_setting_and_operand_in_the_order_of_the_rules() -> None:
    table = documented()
    assert [reason for reason, _, _ in table] == [reason for reason, _ in RULES]
    assert {reason: names for reason, _, names in table if names} == SETTINGS
    assert set(itertools.chain(*SETTINGS.values())) < set(RiskLimits.__struct_fields__)
    spoken = {"stop", "position_max", "position_min"}  # keys that a rule makes from a name
    for source in [*(ROOT / "kronos/trading/risk").glob("*.py"), ROOT / "kronos/trading/control.py"]:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        for returned in (node for node in ast.walk(tree) if isinstance(node, ast.Return)):
            for node in ast.walk(returned):
                if isinstance(node, ast.Dict):
                    spoken |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
    assert set().union(*(operands for _, operands, _ in table)) == spoken - {"rule", "error"}


def test_settings_take_numbers_as_people_write_them_and_are_the_same_run() -> None:
    exact = Decimal("0.05")
    for given in (0.05, "0.05", exact):
        assert RiskLimits(price_band=given).price_band == exact
        assert SessionConfig(fee_rate=given) == SessionConfig(fee_rate=exact)
        assert BacktestConfig(risk={"price_band": given}).risk == RiskLimits(price_band=exact)
        assert InstrumentConfig(id="A", venue="V", tick=given).tick == exact
    assert AccountConfig(cash={"USD": 1000}).cash == AccountConfig(cash={"USD": Decimal(1000)}).cash
    assert SessionConfig(slippage_bps=5, seed=np.int64(3), routes=[RouteConfig()]).routes == (RouteConfig(),)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RiskLimits(order_max="abc"), "risk.order_max: 'abc' is not a number: give 0.1"),
        (lambda: RiskLimits(drawdown_max=True), "risk.drawdown_max: True is not a number"),
        (lambda: RiskLimits(order_max=Decimal("1e400000000")), "risk.order_max: .* has more than 400 digits"),
        (lambda: RiskLimits(order_rate=5), "risk.order_rate: 5 does not fit: .*; give Rate or None"),
        (lambda: RiskLimits(quotes_max="x"), "risk.quotes_max: 'x' does not fit: .*; give int or None"),
        (lambda: SessionConfig(long_only="no"), "long_only: 'no' does not fit: .*; give bool"),
        (lambda: SessionConfig(position_max=Decimal("NaN")), "position_max: .* is not a finite number"),
        (lambda: BacktestConfig(payments=5), "payments: 5 does not fit: .*; give a tuple of Payment"),
        (lambda: BacktestConfig(risk={"x": 1}), "risk: {'x': 1} does not fit: .* unknown field `x`"),
        (lambda: AccountConfig(cash={"USD": "much"}), "accounts.cash.USD: 'much' is not a number"),
        (lambda: Latency(feed_ns=5e6), "latency.feed_ns: 5000000.0 does not fit: .*; give int"),
        (lambda: InstrumentConfig(id="A", venue="V", tick=1, currency=""), "instrument.currency: '' is no name"),
    ],
)
def test_what_does_not_fit_a_setting_is_refused_with_field_value_and_what_fits(make, words) -> None:
    with pytest.raises(InvalidInput, match=words):
        make()
