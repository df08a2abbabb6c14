"""An event that a handler never names is not made, and nothing that is recorded can tell."""

from __future__ import annotations

import functools
import sys

import pytest

from kronos.trading import Backtest, BacktestConfig, Session, SessionConfig, Strategy, feature
from kronos.trading import seats as seats_room
from kronos.trading.unread import UNREAD, reads
from tests.trading.test_plain import FREE, Random, bars_of


class Blind(Strategy):
    """Looks at a feature and at the columns alone."""

    body = feature(lambda bars: bars.close - bars.open)

    def on_bar(self, ctx, bar):
        if ctx.features.body > 3 and ctx.close[-1] % 2:
            ctx.buy(1)
        elif ctx.position_lots > 2:
            ctx.sell(2)


class Shown(Blind):
    def on_bar(self, ctx, bar):
        super().on_bar(ctx, bar)


def loud(function):
    @functools.wraps(function)
    def wrapper(self, ctx, bar):
        return function(self, ctx, bar)

    return wrapper


class Ways:
    def plainly(self, ctx, bar):
        return bar.close

    def stored(self, ctx, bar):
        bar = 1  # noqa: F841

    def by_locals(self, ctx, bar):
        return locals()

    def by_frame(self, ctx, bar):
        return sys._getframe().f_locals

    def in_a_closure(self, ctx, bar):
        return lambda: bar

    def in_a_comprehension(self, ctx, bar):
        return [bar.close for _ in range(2)]

    def in_a_condition(self, ctx, bar):
        return ctx if ctx and bar else None

    def with_more(self, ctx, bar, *rest):
        return rest

    def with_a_default(self, ctx, bar, more=1):
        return more

    @loud
    def decorated(self, ctx, bar):
        return ctx


@pytest.mark.parametrize("name", [name for name in vars(Ways) if not name.startswith("__")])
def test_code_that_may_look_at_its_event_is_handed_it(name) -> None:
    assert reads(getattr(Ways, name))


def test_code_that_never_names_its_event_goes_without() -> None:
    assert not reads(Blind.on_bar)
    assert reads(Shown.on_bar)
    assert reads(Random.on_bar)
    assert reads(functools.partial(Blind.on_bar))


def test_a_run_is_the_same_with_the_event_and_without(monkeypatch) -> None:
    bars = bars_of(500, 3)
    without = Backtest(bars, Blind(), BacktestConfig(**FREE)).run()
    monkeypatch.setattr(seats_room, "reads", lambda handler: True)
    handed = Backtest(bars, Blind(), BacktestConfig(**FREE)).run()
    assert (without.core_chain, without.user_chain) == (handed.core_chain, handed.user_chain)
    assert without.orders > 10


def test_what_stands_in_its_place_says_so_and_cannot_be_taken_for_a_bar() -> None:
    seen = []

    def look_back(ctx):
        seen.append(sys._getframe(1).f_locals["bar"])

    class Peeked(Strategy):
        def on_bar(self, ctx, bar):
            look_back(ctx)

    Backtest(bars_of(3, 1), Peeked(), BacktestConfig(**FREE)).run()
    assert seen == [UNREAD] * 3
    assert "never names it" in repr(UNREAD)
    with pytest.raises(AttributeError, match="close"):
        _ = seen[0].close


def test_a_handler_that_is_set_on_the_strategy_itself_is_handed_its_event() -> None:
    seen, strategy = [], Blind()
    strategy.on_bar = lambda ctx, bar: seen.append(bar.close)
    Session([bars_of(3, 1)], [strategy], SessionConfig(long_only=False)).run()
    assert len(seen) == 3
