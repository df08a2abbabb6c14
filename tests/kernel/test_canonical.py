"""One value, one byte string: what every hash and every recorded value rests on."""

from __future__ import annotations

import datetime as dt
import math
import os
import struct
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kronos.errors import InvalidInput
from kronos.kernel import canonical

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.one_of(TEXT, st.sampled_from(["$float", "$$float", "$blob", "$from", "$input", "$", "$$"]))
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.sampled_from([math.nan, math.inf, -math.inf, -0.0])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=20,
)


def same(a: object, b: object) -> bool:
    """Equality that tells 1 from 1.0 and from True, 0.0 from -0.0, and finds NaN equal to itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


@given(VALUES)
def test_a_value_comes_back_as_it_was_whatever_it_holds(value):
    assert same(canonical.decode(canonical.encode(value)), value)


@given(VALUES)
def test_what_was_decoded_encodes_to_the_same_bytes(value):
    data = canonical.encode(value)
    assert canonical.encode(canonical.decode(data)) == data


@given(st.dictionaries(KEYS, VALUES, max_size=6), st.randoms(use_true_random=False))
def test_the_order_in_which_keys_were_set_does_not_matter(value, random):
    items = list(value.items())
    random.shuffle(items)
    assert canonical.encode(dict(items)) == canonical.encode(value)


@given(VALUES)
def test_the_bytes_are_plain_json(value):
    msgspec.json.decode(canonical.encode(value))


def test_a_users_own_dollar_keys_never_meet_ours():
    impostor = {"$float": "nan"}
    data = canonical.encode(impostor)
    assert data == b'{"$$float":"nan"}'
    assert canonical.decode(data) == impostor
    assert canonical.encode(math.nan) == b'{"$float":"nan"}'
    assert canonical.decode(canonical.encode({"$blob": "0" * 64})) == {"$blob": "0" * 64}


def test_sets_encode_alike_in_processes_that_hash_differently():
    code = "from kronos.kernel.canonical import encode; print(encode({'s': {str(i) for i in range(50)}}).decode())"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1


class Side(Enum):
    BUY = "buy"


@dataclass
class Fill:
    price: Decimal
    at: dt.datetime
    side: Side
    ratio: float


def test_records_enums_decimals_and_times_keep_their_types():
    fill = Fill(Decimal("10.10"), dt.datetime(2024, 1, 2, tzinfo=dt.UTC), Side.BUY, math.inf)
    assert canonical.decode(canonical.encode(fill), Fill) == fill
    identity = uuid.UUID(int=7)
    assert canonical.decode(canonical.encode([identity, b"\x00\xff"]), tuple[uuid.UUID, bytes]) == (
        identity,
        b"\x00\xff",
    )


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "type object"),
        (lambda: 1, "type function"),
        ({"a": object()}, "type dict"),
        ("\ud800", "surrogate"),
        ([["\udfff"]], "surrogate"),
        (1 + 2j, "type complex"),
    ],
)
def test_what_json_cannot_carry_is_refused_and_named(value, says):
    with pytest.raises(InvalidInput, match=says):
        canonical.encode(value)


def test_bottomless_values_are_refused_going_in_and_coming_out():
    deep: list[object] = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(InvalidInput, match="nested deeper than 200"):
        canonical.encode(deep)
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(InvalidInput):
        canonical.encode(circle)
    with pytest.raises(InvalidInput, match="too deep"):
        canonical.decode(b"[" * 100_000)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"a":1', b"nan", b"NaN", b"1e400", b'"\xff"', b'{"$float":"abc"}', b'{"$float":[]}', b"[1,]"],
)
def test_malformed_bytes_are_invalid_input(data):
    with pytest.raises(InvalidInput):
        canonical.decode(data)


class Params(msgspec.Struct):
    fast: int
    weights: list[float] = []


class Request(msgspec.Struct):
    params: Params


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b'{"params":{"fast":"ten"}}', "$.params.fast"),
        (b'{"params":{"fast":1,"weights":[1,"x"]}}', "$.params.weights[1]"),
        (b'{"params":7}', "$.params"),
        (b'{"params":{}}', "$.params"),
        (b"[]", "$"),
    ],
)
def test_a_wrong_type_is_refused_with_the_path_of_its_field(data, field):
    with pytest.raises(InvalidInput) as refused:
        canonical.decode(data, Request)
    assert refused.value.facts["field"] == field
    assert field in refused.value.message


def test_non_finite_floats_are_floats_where_a_type_asks_for_them():
    data = canonical.encode({"params": {"fast": 1, "weights": [math.nan, -math.inf]}})
    weights = canonical.decode(data, Request).params.weights
    assert math.isnan(weights[0])
    assert weights[1] == -math.inf


@dataclass
class Inner:
    depth: int = 3
    tags: list[str] = field(default_factory=list)


@dataclass
class Outer:
    name: str
    inner: Inner
    many: list[Inner]
    times: int = 1


def test_defaults_that_json_did_not_give_are_written_too():
    found = canonical.decode(b'{"name":"n","inner":{},"many":[{"depth":4}]}', Outer)
    assert canonical.decode(canonical.encode(canonical.settle(found))) == {
        "name": "n",
        "inner": {"depth": 3, "tags": []},
        "many": [{"depth": 4, "tags": []}],
        "times": 1,
    }
