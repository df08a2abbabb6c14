"""An input held against a JSON Schema, where the code is not at hand."""

from __future__ import annotations

import math

import msgspec
import pytest

from kronos.errors import InvalidInput
from kronos.kernel import canonical
from kronos.kernel.ids import parse_run_id
from kronos.kernel.schema import check_against


class Params(msgspec.Struct):
    fast: int
    weights: list[float] = []


class Request(msgspec.Struct):
    symbol: str
    params: Params


SCHEMA = msgspec.json.encode(msgspec.json.schema(Request))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"symbol": "A", "params": {"fast": "ten"}}, "$.params.fast"),
        ({"symbol": "A", "params": {"fast": 1, "weights": [0.5, "x"]}}, "$.params.weights[1]"),
        ({"symbol": 7, "params": {"fast": 1}}, "$.symbol"),
        ({"params": {"fast": 1}}, "$"),
    ],
)
def test_a_mismatch_is_refused_with_the_path_of_its_field(value, path):
    with pytest.raises(InvalidInput) as refused:
        check_against(SCHEMA, msgspec.json.encode(value))
    assert refused.value.facts["field"] == path
    assert refused.value.message.startswith(path + ":")


def test_what_passes_comes_back_in_canonical_bytes():
    loose = b'{ "symbol": "A", "params": {"weights": [{"$float": "nan"}], "fast": 1} }'
    data = check_against(SCHEMA, loose)
    assert data == b'{"params":{"fast":1,"weights":[{"$float":"nan"}]},"symbol":"A"}'
    assert math.isnan(canonical.decode(data)["params"]["weights"][0])


def test_a_run_id_is_a_uuid_or_the_error_says_where_to_find_one():
    assert parse_run_id("01890A5D-AC96-774B-BCCE-B302099A8057") == "01890a5d-ac96-774b-bcce-b302099a8057"
    with pytest.raises(InvalidInput, match="kronos runs list"):
        parse_run_id("latest")
