"""Reference data is exact, proven and unambiguous, or it is refused by name."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.errors import InvalidInput, NotFound
from kronos.trading.instruments import BOUND, instrument
from kronos.trading.reference import InstrumentConfig, Reference, Venue, read_reference

BINANCE = Venue(id="binance", name="Binance")
GOOD = {"id": "BTC-PERP", "venue": "binance", "tick": Decimal("0.1"), "lot": Decimal("0.001"), "kind": "linear"}


def config(**changes: object) -> InstrumentConfig:
    return InstrumentConfig(**{**GOOD, **changes})


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"tick": Decimal(0)}, "tick", "tick 0 must be a positive number"),
        ({"tick": Decimal("-0.1")}, "tick", "tick -0.1 must be a positive number"),
        ({"tick": Decimal("NaN")}, "instrument.tick", "instrument.tick: .* is not a finite number"),
        ({"lot": Decimal("Infinity")}, "instrument.lot", "instrument.lot: .* is not a finite number"),
        ({"lot": Decimal("1e-8")}, "lot", "finer than 1e-8 USD; the finest lot that keeps values exact is 1E-7"),
        ({"multiplier": Decimal(0)}, "multiplier", "multiplier 0 must be a positive number"),
        ({"notional_min": Decimal(-5)}, "notional_min", "notional_min -5 must be a number of at least 0"),
        ({"notional_min": Decimal("1e-9")}, "notional_min", "1E-9 is not a multiple of 1E-8"),
        ({"kind": "option"}, "kind", "kind 'option' is none of spot, linear, inverse"),
        ({"kind": "spot", "leverage": Decimal(2)}, "leverage", "leverage 2 must be within 1 to 1000, and 1 unless"),
        ({"maintenance_margin": Decimal(2)}, "maintenance_margin", "must be within 0 and the initial margin"),
        ({"fee_rate": Decimal(1)}, "fee_rate", r"fee_rate: 1 is outside \[0, 1\)"),
        ({"maker_fee_rate": Decimal("-0.1")}, "maker_fee_rate", "a rebate is never more than the taker pays"),
        ({"kind": "inverse", "lot": Decimal(1), "tick": Decimal("0.03")}, "lot", "lot 1 / tick 0.03 is no multiple"),
        ({"listed_ns": 5, "delisted_ns": 5}, "delisted_ns", "listed from 5 to 5 is no time"),
        ({"id": " x"}, "instrument.id", "is no name: 1 to 100 printable characters"),
    ],
)
def test_what_cannot_be_exact_is_refused_with_its_field_and_value(changes, field, message) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        config(**changes)
    assert refused.value.facts["field"] == field


@pytest.mark.parametrize(
    ("instruments", "message"),
    [
        ([config(venue="nyse")], "venue 'nyse' is unknown; known are: binance"),
        ([config(), config()], "instrument 'BTC-PERP' is named twice"),
        ([config(symbol="X"), config(id="other", symbol="X")], "other: 'X' at binance is 'BTC-PERP' already"),
    ],
)
def test_a_name_that_means_nothing_or_two_things_is_refused(instruments, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        Reference([BINANCE], instruments)
    with pytest.raises(InvalidInput, match="venue 'binance' is named twice"):
        Reference([BINANCE, BINANCE], [])


def test_symbols_map_both_ways_and_unknown_ones_name_those_that_are_known() -> None:
    known = Reference([BINANCE], [config(symbol="BTCUSDT"), config(id="ETH-PERP", symbol="ETHUSDT")])
    for each in known.instruments.values():
        assert known.resolve("binance", known.symbol(each.id)) is each
    with pytest.raises(NotFound, match="'BTCUSD' is no symbol of 'binance'; known are: BTCUSDT, ETHUSDT"):
        known.resolve("binance", "BTCUSD")
    with pytest.raises(NotFound, match="instrument 'X' is unknown; known are: BTC-PERP, ETH-PERP"):
        known.instrument("X")


def test_an_instrument_is_listed_from_its_first_to_before_its_last_instant() -> None:
    known = Reference([BINANCE], [config(listed_ns=10, delisted_ns=20), config(id="always")])
    assert [known.listed(time) for time in (9, 10, 19, 20)] == [
        ("always",), ("BTC-PERP", "always"), ("BTC-PERP", "always"), ("always",),
    ]  # fmt: skip


steps = st.sampled_from([Decimal(step) for step in ("1", "0.5", "0.25", "0.1", "0.01", "0.001")])


@given(steps, steps, st.sampled_from(["spot", "linear", "inverse"]), st.integers(1, 125), st.integers(0, 10**9))
@settings(max_examples=50)
def test_reference_data_comes_back_equal_from_its_own_bytes(tick, lot, kind, leverage, listed) -> None:
    more = {} if kind == "spot" else {"leverage": Decimal(leverage), "maintenance_margin": Decimal("0.004")}
    known = Reference([BINANCE], [config(tick=tick, lot=lot, kind=kind, listed_ns=listed, **more)])
    again = read_reference(known.encode())
    assert again.encode() == known.encode()
    assert again.instruments == known.instruments
    assert again.venues == known.venues


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"venues": [{"name": "x"}]}', b'{"instruments": [{"ticks": 1}]}'])
def test_bytes_that_are_no_reference_data_are_refused(data) -> None:
    with pytest.raises(InvalidInput, match="reference data: "):
        read_reference(data)


@given(steps, steps, st.integers(1, 10**12), st.booleans(), st.sampled_from([Decimal(1), Decimal(10), Decimal("0.1")]))
def test_every_value_of_an_instrument_stays_below_the_bound_and_equals_the_fraction(
    tick, lot, price_max, inverse, multiplier
) -> None:
    try:
        traded = instrument(symbol="X", tick=tick, lot=lot, price_max=price_max, multiplier=multiplier, inverse=inverse)
    except InvalidInput as refused:
        assert refused.facts["field"] == "lot"  # noqa: PT017 - most draws are accepted; a refusal must name the lot
        return
    for price in {1, price_max}:
        value = traded.value(price, traded.quantity_max)
        assert abs(value) < BOUND
        off = abs(value_exactly(tick, lot * multiplier, price, traded.quantity_max, inverse=inverse) - value)
        assert off <= (Fraction(1, 2) if inverse else 0)


def value_exactly(tick: Decimal, size: Decimal, price: int, lots: int, *, inverse: bool) -> Fraction:
    face, at = Fraction(size) * lots, Fraction(tick) * price
    return (-face / at if inverse else face * at) * 10**8


def test_an_instrument_whose_bound_cannot_be_proven_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"one lot of 1 at 100000000000 exceeds the bound of 2\^62 units"):
        config(tick=Decimal(1), lot=Decimal(1)).prove(10**11)


def test_a_maker_may_be_paid_and_margin_is_rounded_up() -> None:
    traded = config(
        fee_rate=Decimal("0.0005"), maker_fee_rate=Decimal("-0.0001"), leverage=Decimal(3),
        maintenance_margin=Decimal("0.005"),
    ).prove(10**7)  # fmt: skip
    assert (traded.fee(10**8), traded.fee(10**8, maker=True)) == (50_000, -10_000)
    assert (traded.initial, traded.maintenance) == (33_333_334, 500_000)
    assert msgspec.structs.asdict(traded.contract)["margined"] is True
