"""Exposure equals the sum of fills and open orders, however it is grouped."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.trading.accounts import Contract, new_account
from kronos.trading.events import (
    IntentRaised,
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderSubmitted,
    Origin,
    SplitApplied,
)
from kronos.trading.exposure import Exposure, by_context, by_instrument, by_route, exposures
from kronos.trading.state import TradingState, apply
from kronos.trading.terms import Terms

CONTRACTS = {
    0: Contract(unit=100, currency="USD"),
    1: Contract(unit=10**9, currency="BTC", inverse=True, margined=True),
}
ORIGINS = [
    Origin(strategy_id=s, execution_id=e, route_id=r, broker_id="sim")
    for s, e, r in (("a", "main", "fast"), ("a", "other", "slow"), ("b", "main", "fast"), ("b", "other", "slow"))
]
PRICES = {0: 120, 1: 30_000}

orders = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from([0, 1]),
        st.integers(-500, 500).filter(bool),
        st.integers(1, 500),
        st.sampled_from(["denied", "open", "partly", "filled", "cancelled", "held"]),
        st.booleans(),
    ),
    max_size=12,
)


class Run:
    """Writes records and counts by hand what they mean."""

    def __init__(self) -> None:
        accounts = [new_account({"USD": 10**12, "BTC": 10**10}) for _ in range(2)]
        self.state = TradingState(accounts=accounts, contracts=CONTRACTS, owners=[0, 1, 0, 1])
        self.records: list = []
        self.filled: Counter = Counter()
        self.open: Counter = Counter()
        self.count: Counter = Counter()

    def write(self, kind, origin, *fields) -> None:
        state = self.state
        record = kind(1, state.sub + 1, origin, state.records, (), *fields)
        apply(state, record)
        self.records.append(record)

    def order(self, origin, instrument, quantity, part, fate) -> None:
        number = self.state.next_order_id
        terms = Terms(kind="limit", limit=90, parent=99 if fate == "held" else 0)
        self.write(IntentRaised, origin, number, instrument, "submit", quantity, "", terms)
        if fate == "denied":
            return self.write(OrderDenied, origin, number, "position_limit")
        self.write(OrderSubmitted, origin, number)
        self.write(OrderAccepted, origin, number)
        done = quantity if fate == "filled" else (1 if quantity > 0 else -1) * min(abs(quantity) - 1, part)
        if fate in {"filled", "partly"} and done:
            self.write(OrderFilled, origin, number, instrument, done, 100, 3, "next_open")
            self.filled[origin, instrument] += done
        if fate == "cancelled":
            self.write(OrderCancelled, origin, number, "requested")
        elif fate in {"open", "partly"}:
            left = quantity - (done if fate == "partly" else 0)
            self.open[origin, instrument, left > 0] += left
            self.count[origin, instrument] += 1
        return None

    def split(self, origin, instrument) -> None:
        owners = self.state.owners
        mine = [key for key in sorted(self.filled) if key[1] == instrument and owners[key[0]] == owners[origin]]
        total = sum(self.filled[key] for key in mine)
        self.write(SplitApplied, origin, instrument, 3, 1, 0)
        for key in mine:
            self.filled[key] *= 3
        held = self.state.accounts[owners[origin]].holdings.get(instrument)
        assert (held.quantity if held else 0) == total * 3


@given(orders)
@settings(max_examples=60)
def test_every_grouping_adds_up_to_the_fills_and_open_orders(drawn) -> None:
    run = Run()
    for origin, instrument, quantity, part, fate, splits in drawn:
        run.order(origin, instrument, quantity, part, fate)
        if splits:
            run.split(origin, instrument)
    found = exposures(run.state, run.records, PRICES)
    for key, exposure in found.items():
        assert exposure.filled == run.filled[key]
        assert (exposure.buys, exposure.sells) == (run.open[*key, True], run.open[*key, False])
        assert exposure.orders == run.count[key]
    for instrument, exposure in by_instrument(found).items():
        held = [account.holdings.get(instrument) for account in run.state.accounts]
        assert exposure.filled == sum(each.quantity for each in held if each is not None)
    for groups in (by_route(found, ORIGINS), by_context(found, ORIGINS), by_instrument(found)):
        assert total(groups.values()) == total(found.values())


def total(each) -> tuple:
    values: Counter = Counter()
    for exposure in each:
        for name in ("filled", "buys", "sells", "orders"):
            values[name] += getattr(exposure, name)
        for name in ("gross", "net"):
            for currency, amount in getattr(exposure, name).items():
                values[name, currency] += amount
    return tuple(sorted((str(key), value) for key, value in values.items() if value))


def test_exposure_is_named_by_route_and_context_and_valued_at_the_last_price() -> None:
    run = Run()
    run.order(0, 0, 10, 1, "filled")
    run.order(3, 0, -4, 1, "open")
    run.order(2, 1, 6, 1, "filled")
    found = exposures(run.state, run.records, PRICES)
    assert by_context(found, ORIGINS) == {
        "main": Exposure(filled=16, gross={"USD": 120_000, "BTC": 200_000}, net={"USD": 120_000, "BTC": -200_000}),
        "other": Exposure(sells=-4, orders=1, gross={"USD": 48_000}, net={"USD": -48_000}),
    }
    assert set(by_route(found, ORIGINS)) == {"fast", "slow"}
    unpriced = by_instrument(exposures(run.state, run.records, {}))
    assert unpriced[0] == Exposure(filled=10, sells=-4, orders=1)
