"""Funding, borrowing and dividends are exact control events; margin is owed where a price says so."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.errors import InvalidInput
from kronos.trading.accounts import Contract, book_fill, new_account
from kronos.trading.events import BorrowCharged, DividendPaid, FundingPaid, MarginCalled, Origin
from kronos.trading.journal import decode_records, encode_records
from kronos.trading.margin import (
    breach_price,
    collateral,
    equity,
    initial_margin,
    maintenance_margin,
    margin_of,
)
from kronos.trading.payments import DAY_NS, Due, Payment, borrow_cost, dividend, dues_of, funding, pay
from kronos.trading.state import TradingState, apply, conserved
from kronos.trading.tape import Tape

LINEAR = Contract(unit=100, currency="USD", margined=True, initial=10**7, maintenance=5 * 10**6)
INVERSE = Contract(unit=10**9, currency="BTC", margined=True, inverse=True, initial=10**7, maintenance=5 * 10**6)
SPOT = Contract(unit=100, currency="USD")

lots = st.integers(-(10**6), 10**6)
prices = st.integers(1, 10**6)
rates = st.integers(-(10**6), 10**6)


def exactly(contract: Contract, quantity: int, price: int) -> Fraction:
    value = (
        Fraction(quantity * contract.unit, price) if contract.inverse else Fraction(quantity * price * contract.unit)
    )
    return abs(value)


@given(st.sampled_from([LINEAR, INVERSE]), lots, prices, rates)
def test_funding_is_the_rate_of_the_value_and_what_a_long_pays_a_short_receives(
    contract, quantity, price, rate
) -> None:
    paid = funding(contract, quantity, price, rate)
    exact = exactly(contract, quantity, price) * Fraction(rate, 10**8) * (-1 if quantity > 0 else 1)
    assert abs(paid - exact) <= 1 if contract.inverse else abs(paid - exact) <= Fraction(1, 2)
    assert funding(contract, -quantity, price, rate) == -paid


@given(lots, prices, st.integers(0, 10**8), st.integers(1, 400 * DAY_NS))
def test_only_a_short_pays_to_borrow_and_by_the_time_that_it_did(quantity, price, rate, elapsed) -> None:
    cost = borrow_cost(SPOT, quantity, price, rate, elapsed)
    exact = exactly(SPOT, quantity, price) * Fraction(rate, 10**8) * Fraction(elapsed, 365 * DAY_NS)
    assert abs(cost + (exact if quantity < 0 else 0)) <= Fraction(1, 2)
    assert cost <= 0


@given(lots, st.integers(1, 10**10), st.integers(1, 10**6))
def test_a_dividend_is_owed_by_a_short_as_it_is_paid_to_a_long(quantity, each, per) -> None:
    assert abs(dividend(quantity, each, per) - Fraction(quantity * each, per)) <= Fraction(1, 2)
    assert dividend(-quantity, each, per) == -dividend(quantity, each, per)


def state_with(*fills: tuple[int, int, int]) -> TradingState:
    accounts = [new_account({"USD": 10**12}), new_account({"USD": 10**12})]
    state = TradingState(accounts=accounts, contracts={0: SPOT, 1: LINEAR}, owners=[0, 1])
    for account, instrument, quantity in fills:
        book_fill(accounts[account], state.contracts[instrument], instrument, quantity, 50, 0)
    return state


def test_a_payment_is_recorded_for_every_account_that_holds_and_for_no_other() -> None:
    state = state_with((0, 0, -1_000), (1, 0, 500), (0, 1, 10))
    origin = Origin(strategy_id="s", execution_id="e", route_id="r", broker_id="b")
    tape = Tape(state, [origin], lambda: b"", row=0)
    pay(tape, Due("borrow", 7, 0, 365 * 10**6, DAY_NS, 0, 1), 3, 50, 1)
    pay(tape, Due("dividend", 8, 0, 0, 0, 3, 2), 3, 50, 1)
    pay(tape, Due("funding", 9, 1, 10**5, 0, 0, 1), 3, 60, 1)
    pay(tape, Due("funding", 9, 1, 10**5, 0, 0, 1), 3, 0, 1)
    assert [type(record) for record in tape.block] == [BorrowCharged, DividendPaid, DividendPaid, FundingPaid]
    first, second = state.accounts
    assert (first.holdings[0].borrow, first.holdings[0].dividends, second.holdings[0].dividends) == (
        -50_000,
        -1_500,
        750,
    )
    assert first.holdings[1].funding == -60
    assert conserved(state)
    assert decode_records(encode_records(tape.block)) == tape.block


def test_a_margin_call_marks_the_account_until_it_is_taken_back() -> None:
    state = state_with()
    for sub, called in enumerate((True, False), 1):
        apply(state, MarginCalled(0, sub, 0, 0, (), 1, "USD", 5, 10, 11, called))
        assert [account.breached for account in state.accounts] == [False, called]


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"kind": "tax"}, "kind 'tax' is none of funding, borrow, dividend"),
        ({"kind": "funding"}, "a funding has rate, a number other than 0, not 0, and no amount"),
        ({"kind": "borrow", "rate": Decimal("-0.1")}, "a borrow has rate, a number above 0, not -0.1"),
        ({"kind": "dividend", "rate": Decimal(1), "amount": Decimal(1)}, "a dividend has amount"),
        ({"kind": "dividend", "amount": Decimal("NaN")}, "amount: .* is not a finite number"),
        ({"kind": "dividend", "amount": Decimal(1), "at": -1}, "at -1 is no time in ns"),
    ],
)
def test_a_payment_that_there_is_not_is_refused(settings_, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        Payment(**{"at": 0, **settings_})


def test_payments_are_due_in_the_order_of_time_and_repeat_until_the_end() -> None:
    payments = [
        Payment(kind="borrow", at=5, rate=Decimal("0.1"), every_ns=10, instrument="X"),
        Payment(kind="dividend", at=16, amount=Decimal("0.25"), instrument="Y"),
        Payment(kind="funding", at=99, rate=Decimal("0.0001"), instrument="X"),
    ]
    dues = dues_of(payments, {"X": 0, "Y": 1}, {0: Decimal(1), 1: Decimal("0.001")}, 36)
    assert [(due.at, due.kind, due.instrument) for due in dues] == [
        (5, "borrow", 0), (15, "borrow", 0), (16, "dividend", 1), (25, "borrow", 0), (35, "borrow", 0),
    ]  # fmt: skip
    assert dividend(4_000, dues[2].each, dues[2].per) == 10**8  # 4 units at 0.25
    with pytest.raises(InvalidInput, match="instrument 'Z' is none of X, Y"):
        dues_of([Payment(kind="funding", at=1, rate=Decimal(1), instrument="Z")], {"X": 0, "Y": 1}, {}, 9)


@given(st.sampled_from([LINEAR, INVERSE]), lots.filter(bool), prices, st.integers(10**6, 10**13), prices)
@settings(max_examples=200)
def test_the_price_of_a_breach_divides_what_is_safe_from_what_is_not(contract, quantity, price, cash, last) -> None:
    account = new_account({contract.currency: cash})
    contracts = {1: contract}
    book_fill(account, contract, 1, quantity, price, 0)
    level = breach_price(account, contracts, {1: last}, 1, 10**6)

    def breached(at: int) -> bool:
        room = collateral(account, contracts, {1: at}, contract.currency)
        return room < maintenance_margin(account, contracts, {1: at}, contract.currency)

    sign = 1 if quantity > 0 else -1
    if level is None:
        assert not breached(1)
        assert not breached(10**6)
        return
    assert breached(level)
    if 1 <= level + sign <= 10**6:
        assert not breached(level + sign)


def test_equity_collateral_and_margin_of_a_mixed_account() -> None:
    account = new_account({"USD": 10**9})
    book_fill(account, SPOT, 0, 1_000, 500, 0)  # costs 50,000,000
    book_fill(account, LINEAR, 1, -2_000, 400, 0)
    contracts, at = {0: SPOT, 1: LINEAR}, {0: 600, 1: 450}
    open_loss = 2_000 * 50 * 100
    assert equity(account, contracts, at, "USD") == 10**9 + 1_000 * 100 * 100 - open_loss
    assert collateral(account, contracts, at, "USD") == 10**9 - 50_000_000 - open_loss
    assert initial_margin(account, contracts, at, "USD") == margin_of(2_000 * 450 * 100, 10**7) == 9_000_000
    assert maintenance_margin(account, contracts, at, "USD") == 4_500_000
    assert initial_margin(account, contracts, {}, "USD") == 8_000_000, "without a price its cost stands in"
    assert margin_of(1, 1) == 1, "rounded up"
