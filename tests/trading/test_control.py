"""Switches: what each scope stops, what always passes, and that only the named ones are thrown."""

from __future__ import annotations

import pytest

from kronos.errors import InvalidInput, TransitionError
from kronos.trading.accounts import Contract, new_account
from kronos.trading.control import Control, Switches, directives, objection, throw
from kronos.trading.events import FeedDegraded, FeedRestored, OrdersAnchored, Switched
from kronos.trading.state import TradingState, apply

NAMES = {"strategy": ["fast", "slow"], "route": ["a", "b"], "instrument": ["BTC", "ETH"]}


@pytest.mark.parametrize(
    ("scope", "number", "stopped"),
    [
        (
            "kill",
            0,
            {(strategy, route, instrument) for strategy in (0, 1) for route in (0, 1) for instrument in (0, 1)},
        ),
        ("strategy", 1, {(1, route, instrument) for route in (0, 1) for instrument in (0, 1)}),
        ("route", 0, {(strategy, 0, instrument) for strategy in (0, 1) for instrument in (0, 1)}),
        ("instrument", 1, {(strategy, route, 1) for strategy in (0, 1) for route in (0, 1)}),
    ],
)
def test_a_switch_stops_exactly_what_it_names_and_lets_it_pass_again(scope, number, stopped) -> None:
    everything = {(strategy, route, instrument) for strategy in (0, 1) for route in (0, 1) for instrument in (0, 1)}

    def off() -> set[tuple[int, int, int]]:
        return {
            (strategy, route, instrument)
            for strategy, route, instrument in everything
            if objection(switches, origin=strategy * 2 + route, instrument=instrument)
        }

    switches = Switches(routes_each=2)
    for _ in range(2):
        throw(switches, scope, number, enabled=False)
        assert off() == stopped
    throw(switches, scope, number, enabled=True)
    assert off() == set()
    assert switches == Switches(routes_each=2)


def test_a_degraded_feed_stops_its_instrument_until_all_its_streams_are_whole() -> None:
    state = TradingState(accounts=[new_account({"USD": 1})], contracts={0: Contract(unit=1, currency="USD")})
    for sub, stream in enumerate((0, 3), 1):
        apply(state, FeedDegraded(0, sub, 0, 0, (), stream, 7, 10, "gap"))
    apply(state, FeedRestored(0, 3, 0, 0, (), 0, 7, 20))
    assert objection(state.switches, origin=0, instrument=7) == {"feed": "degraded"}
    assert objection(state.switches, origin=0, instrument=0) is None
    apply(state, FeedRestored(0, 4, 0, 0, (), 3, 7, 20))
    assert objection(state.switches, origin=0, instrument=7) is None


def test_names_become_numbers_and_a_name_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    found = directives(
        [
            Control(scope="strategy", name="slow", enabled=False, row=3),
            Control(scope="kill", enabled=False, at=50, reason="drill"),
        ],
        NAMES,
    )
    assert [tuple(each) for each in found] == [
        (3, 0, "strategy", 1, False, "scheduled"),
        (-1, 50, "kill", 0, False, "drill"),
    ]
    with pytest.raises(InvalidInput, match="there is no route 'c': a, b"):
        directives([Control(scope="route", name="c", enabled=False, row=1)], NAMES)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"scope": "everything", "row": 1}, "scope 'everything' is none of session, kill, strategy, route, instrument"),
        ({"scope": "route", "row": 1}, "route needs the name of one"),
        ({"scope": "kill", "name": "x", "row": 1}, "kill has no name 'x'"),
        ({"scope": "kill"}, "needs a row or a time"),
        ({"scope": "kill", "row": 1, "at": 2}, "one of the two"),
        ({"scope": "kill", "row": -1}, "not before 0"),
    ],
)
def test_a_control_that_cannot_be_meant_is_refused(asked, said) -> None:
    with pytest.raises(InvalidInput, match=said):
        Control(enabled=False, **asked)


def test_a_snapshot_of_orders_older_than_the_last_one_is_refused() -> None:
    state = TradingState(accounts=[new_account({"USD": 1})], contracts={0: Contract(unit=1, currency="USD")})
    apply(state, OrdersAnchored(0, 1, 0, 0, (), 5, 10, ()))
    with pytest.raises(TransitionError, match=r"snapshot 5 of orders at .* does not follow 5"):
        apply(state, OrdersAnchored(0, 2, 0, 0, (), 5, 11, ()))
    apply(state, Switched(0, 2, 0, 0, (), "kill", 0, False, "drill"))
    assert state.anchor == 5
    assert state.switches.killed
