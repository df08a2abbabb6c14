"""Two values are compared field by field, floats within a bound, and the first difference is named."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from kronos.debugger.compare import compare, compare_bytes
from kronos.kernel import canonical

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def shown(recorded, replayed) -> list[str]:
    return [str(each) for each in compare(recorded, replayed)]


@given(VALUES)
def test_a_value_equals_its_own_record(value):
    assert compare(value, canonical.decode(canonical.encode(value))) == []


@settings(deadline=None)  # the first difference imports deepdiff
@given(VALUES, VALUES)
def test_a_difference_is_found_exactly_where_there_is_one(one, other):
    differs = compare(one, other) != []
    if canonical.encode(one) == canonical.encode(other):
        assert not differs
    elif not _has_numbers(one) and not _has_numbers(other):
        assert differs


def _has_numbers(value) -> bool:
    if isinstance(value, list):
        return any(map(_has_numbers, value))
    if isinstance(value, dict):
        return any(map(_has_numbers, value.values()))
    return isinstance(value, int | float)


def test_floats_are_equal_within_1e_12_relative_and_no_further():
    assert shown({"sharpe": 1.1}, {"sharpe": 1.1 * (1 + 5e-13)}) == []
    assert shown({"sharpe": 1.1}, {"sharpe": 1.1 * (1 + 5e-12)}) != []
    assert shown([math.nan, math.inf], [math.nan, math.inf]) == []
    assert shown([math.inf], [-math.inf]) != []
    assert shown([0.0], [1e-300]) != []


def test_paths_name_the_first_field_that_differs():
    recorded = {"sharpe": 1.1, "trades": [{"price": 1, "side": "buy"}, {"price": 2, "side": "sell"}]}
    replayed = {"sharpe": 1.1, "trades": [{"price": 1, "side": "buy"}, {"price": 3, "side": "SELL"}]}
    assert shown(recorded, replayed) == ["$.trades[1].price 2 → 3", '$.trades[1].side "sell" → "SELL"']
    assert shown({"sharpe": 1.1}, {"sharpe": 1.14}) == ["$.sharpe 1.1 → 1.14"]


def test_what_came_and_what_went_is_said():
    assert shown([1, 2], [1, 2, 3]) == ["$[2] (absent) → 3"]
    assert shown({"a": 1, "b": 2}, {"a": 1}) == ["$.b 2 → (absent)"]
    assert shown({"a": None}, {"a": {"x": 1}}) == ['$.a null → {"x":1}']


def test_long_texts_are_shown_where_they_part():
    (difference,) = shown({"html": "x" * 500 + "old" + "y" * 500}, {"html": "x" * 500 + "new" + "y" * 500})
    assert "old" in difference
    assert "new" in difference
    assert len(difference) < 300


def test_a_true_is_no_one():
    assert shown([True], [1]) == ["$[0] true → 1"]


def test_equal_bytes_are_equal():
    assert compare_bytes(b'{"a":1}', b'{"a":1}') == []
