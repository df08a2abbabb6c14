"""What an account owns follows from its fills alone, to the last unit of money, in every currency."""

from __future__ import annotations

from collections import deque
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.kernel import canonical
from kronos.trading.accounts import (
    Account,
    Contract,
    Holding,
    Lot,
    book_fill,
    book_payment,
    book_split,
    imbalance,
    new_account,
    value_of,
)

SPOT = Contract(unit=100, currency="USD")
LINEAR = Contract(unit=7, currency="USDT", margined=True)
INVERSE = Contract(unit=10**9, currency="BTC", inverse=True, margined=True)
CONTRACTS = {0: SPOT, 1: LINEAR, 2: INVERSE}
DEPOSITS = {"USD": 10**12, "USDT": 10**11, "BTC": 5 * 10**8}

fills = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2]),
        st.integers(-5_000, 5_000).filter(bool),
        st.integers(1, 10**6),
        st.integers(-50, 10**6),
    ),
    max_size=25,
)
methods = st.sampled_from(["average", "fifo"])


class Oracle:
    """Positions in exact fractions, written without a look at the code under test: entries in a queue, prices exact."""

    def __init__(self, contract: Contract, method: str) -> None:
        self.contract, self.method = contract, method
        self.entries: deque[list[Fraction]] = deque()  # [lots, value of one lot]
        self.realised = Fraction(0)

    def worth(self, price: int) -> Fraction:
        unit = Fraction(self.contract.unit)
        return -unit / price if self.contract.inverse else unit * price

    def trade(self, quantity: int, price: int) -> None:
        left = Fraction(quantity)
        while left and self.entries and self.entries[0][0] * left < 0:
            entry = self.entries[0]
            part = min(abs(left), abs(entry[0])) * (1 if entry[0] > 0 else -1)
            self.realised += part * (self.worth(price) - entry[1])
            entry[0] -= part
            left += part
            if not entry[0]:
                self.entries.popleft()
        if left:
            self.entries.append([left, self.worth(price)])
        if self.method == "average" and self.entries:
            lots, cost = self.lots, self.cost
            self.entries = deque([[lots, cost / lots]])

    @property
    def lots(self) -> Fraction:
        return sum((entry[0] for entry in self.entries), Fraction(0))

    @property
    def cost(self) -> Fraction:
        return sum((lots * each for lots, each in self.entries), Fraction(0))


@given(fills, methods)
def test_every_fill_conserves_money_and_agrees_with_fractions(trades, method) -> None:
    account = new_account(DEPOSITS, method=method)
    oracles = {index: Oracle(contract, method) for index, contract in CONTRACTS.items()}
    for count, (instrument, quantity, price, fee) in enumerate(trades, 1):
        book_fill(account, CONTRACTS[instrument], instrument, quantity, price, fee)
        oracles[instrument].trade(quantity, price)
        assert imbalance(account, CONTRACTS) == {}
        holding, oracle = account.holdings[instrument], oracles[instrument]
        assert holding.quantity == oracle.lots
        assert (holding.quantity == 0) == (holding.cost == 0 and not holding.lots) or CONTRACTS[instrument].inverse
        assert abs(holding.cost - oracle.cost) <= count
        assert abs(holding.realised - oracle.realised) <= count


@given(fills)
def test_first_in_first_out_is_exact_where_values_are_whole(trades) -> None:
    account = new_account(DEPOSITS, method="fifo")
    oracle = Oracle(SPOT, "fifo")
    for _, quantity, price, fee in trades:
        book_fill(account, SPOT, 0, quantity, price, fee)
        oracle.trade(quantity, price)
        holding = account.holdings[0]
        assert (holding.quantity, holding.cost, holding.realised) == (oracle.lots, oracle.cost, oracle.realised)
        assert [(lot.quantity, lot.cost) for lot in holding.lots] == [(q, q * each) for q, each in oracle.entries]


@given(fills, methods)
def test_cash_changes_by_what_was_paid_and_by_nothing_else(trades, method) -> None:
    account = new_account(DEPOSITS, method=method)
    made = paid = spent = 0
    for instrument, quantity, price, fee in trades:
        realised = book_fill(account, CONTRACTS[instrument], instrument, quantity, price, fee)
        if instrument == 0:
            spent += price * quantity * 100 + fee
        elif instrument == 1:
            made, paid = made + realised, paid + fee
    assert account.cash["USD"] == DEPOSITS["USD"] - spent
    assert account.cash["USDT"] == DEPOSITS["USDT"] + made - paid


def test_an_inverse_position_averages_contracts_over_value_and_a_partial_close_leaves_the_remainder() -> None:
    account = new_account({"BTC": 10**8})
    one_dollar = Contract(unit=10**8 * 2, currency="BTC", inverse=True, margined=True)  # 1 USD a lot, tick 0.5
    for quantity, dollars in ((10_000, 40_000), (5_000, 50_000)):
        book_fill(account, one_dollar, 0, quantity, dollars * 2, 0)
    holding = account.holdings[0]
    assert holding.cost == -(25_000_000 + 10_000_000)  # 0.25 + 0.1 BTC
    average = Fraction(holding.quantity * one_dollar.unit, -holding.cost) / 2
    assert average == Fraction(15_000) / Fraction("0.35")  # 42,857.14…
    book_fill(account, one_dollar, 0, -7_000, 45_000 * 2, 0)
    assert holding.quantity == 8_000
    assert holding.cost == -(35_000_000 - 35_000_000 * 7_000 // 15_000)
    assert holding.realised == 35_000_000 * 7_000 // 15_000 - 15_555_556  # 7000 / 45000 BTC, half up
    assert account.cash == {"BTC": 10**8 + holding.realised}


@pytest.mark.parametrize("quantity", [9, -9])
@pytest.mark.parametrize("price", [1, 3, 7, 90_001])
def test_an_inverse_value_is_rounded_half_up_once_and_has_the_sign_of_a_long_loss(quantity, price) -> None:
    exact = Fraction(-quantity * INVERSE.unit, price)
    assert abs(value_of(INVERSE, price, quantity) - exact) <= Fraction(1, 2)
    assert value_of(INVERSE, price, quantity) * quantity < 0


@given(fills.filter(bool), methods, st.sampled_from([(2, 1), (3, 2), (1, 10), (1, 7919)]), st.integers(-99, 99))
@settings(max_examples=60)
def test_splits_and_payments_conserve_money_and_keep_lots_and_cost_together(trades, method, ratio, cash) -> None:
    account = new_account(DEPOSITS, method=method)
    for _, quantity, price, fee in trades:
        book_fill(account, SPOT, 0, quantity, price, fee)
        book_split(account, SPOT, 0, ratio, cash)
        book_payment(account, SPOT, 0, "dividends", cash)
        book_payment(account, SPOT, 0, "borrow", -abs(cash))
        holding = account.holdings[0]
        assert imbalance(account, CONTRACTS) == {}
        assert bool(holding.quantity) or not (holding.cost or holding.lots)
        if method == "fifo":
            assert sum(lot.quantity for lot in holding.lots) == holding.quantity
            assert sum(lot.cost for lot in holding.lots) == holding.cost
            assert all(lot.quantity * holding.quantity > 0 for lot in holding.lots)


def test_money_from_nowhere_is_named_with_its_currency_and_amount() -> None:
    account = new_account(DEPOSITS)
    book_fill(account, LINEAR, 1, 5, 100, 3)
    account.cash["USDT"] += 1
    account.holdings[1].fees -= 2
    assert imbalance(account, CONTRACTS) == {"USDT": -1}


def test_a_payment_is_booked_under_its_own_name() -> None:
    account = new_account({"USDT": 1_000})
    book_fill(account, LINEAR, 1, 5, 1, 0)
    for kind, amount in (("funding", -7), ("borrow", -2), ("dividends", 20)):
        book_payment(account, LINEAR, 1, kind, amount)
    holding = account.holdings[1]
    assert (holding.funding, holding.borrow, holding.dividends, holding.income) == (-7, -2, 20, 11)
    assert account.cash["USDT"] == 1_011


@given(fills, methods)
@settings(max_examples=20)
def test_accounts_round_trip_through_canonical_bytes(trades, method) -> None:
    account = new_account(DEPOSITS, method=method)
    for instrument, quantity, price, fee in trades:
        book_fill(account, CONTRACTS[instrument], instrument, quantity, price, fee)
    assert canonical.decode(canonical.encode(account), Account) == account
    assert Holding().lots is not Holding().lots
    assert Lot(quantity=1, cost=1) != Lot(quantity=1, cost=2)
