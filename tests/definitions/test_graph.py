"""A traced workflow is a graph with equal bytes on every machine."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from kronos.core.decorators import step, workflow
from kronos.core.graph import decode_graph, encode_graph
from kronos.core.signature import Injected
from kronos.errors import InvalidInput, NotFound
from kronos.kernel import canonical


class Context(Injected):
    pass


class Params(msgspec.Struct):
    fast: int
    slow: int = 30


class Renamed(msgspec.Struct, rename="camel"):
    net_profit: float


class Packed(msgspec.Struct, array_like=True, tag="packed"):
    first: int
    second: int


@dataclass
class Pair:
    left: Any
    right: Any


@step
def double(x: int) -> int:
    return 2 * x


@step
def join(values: list[int]) -> int:
    return sum(values)


@step
def pair(of: Pair) -> int:
    return of.left


@step
def with_context(ctx: Context, x: int) -> int:
    return x


@workflow(version="1")
def diamond(x: int) -> int:
    top = double(x)
    return join([double.named("left")(top), double.named("right")(top), 5])


def test_branches_and_fan_in_are_seen_in_the_graph():
    graph = diamond.graph
    assert [node.name for node in graph.nodes] == ["double", "left", "right", "join"]
    assert graph.roots == ("double",)
    assert graph.successors == {"double": ("left", "right"), "left": ("join",), "right": ("join",), "join": ()}
    assert graph.predecessors["join"] == ("left", "right")


def test_a_graph_is_equal_to_its_encoding_and_back():
    data = encode_graph(diamond.graph)
    assert decode_graph(data) == diamond.graph
    assert encode_graph(decode_graph(data)) == data


def test_a_decoded_graph_binds_without_the_code():
    graph = decode_graph(encode_graph(diamond.graph))
    assert graph.bind("double", b'{"x":3}', {}) == b'{"x":3}'
    assert graph.bind("join", b"", {"left": b"1", "right": b"2"}) == b'{"values":[1,2,5]}'
    assert graph.result.bytes_of(b"", {"join": b"8"}) == b"8"


def test_a_graph_has_the_same_bytes_under_every_hash_seed():
    program = (
        "import json\nfrom kronos.core.decorators import step, workflow\nfrom kronos.core.graph import encode_graph\n"
        "@step\ndef f(a: dict[str, int], b: list[str]) -> int: return 1\n"
        "@workflow(version='1')\ndef w(x: int) -> int: return f({'b': 1, 'a': 2, '$c': 3}, list('xyzq'))\n"
        "print(encode_graph(w.graph).hex())\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


def test_order_without_data_moves_a_step_behind_the_one_it_comes_after():
    @workflow(version="1")
    def ordered(x: int) -> int:
        first = double.named("first", after=["last"])(x)
        double.named("last")(x)
        return first

    assert [node.name for node in ordered.graph.nodes] == ["last", "first"]
    assert ordered.graph.node("first").after == ("last",)
    assert ordered.graph.node("first").needs == ()


def test_after_takes_names_steps_and_results():
    @workflow(version="1")
    def ordered(x: int) -> int:
        one = double.named("one")(x)
        with_context(x)
        return double.named("last", after=[one, with_context, "one"])(x)

    assert ordered.graph.node("last").after == ("one", "with_context")


def test_a_context_is_no_part_of_the_recorded_input():
    @workflow(version="1")
    def uses(x: int) -> int:
        return with_context(x)

    assert uses.graph.node("with_context").args == {"x": {"$input": ["x"]}}


def test_fields_are_followed_by_their_name_in_json():
    @step
    def renamed() -> Renamed:
        return Renamed(1.0)

    @step
    def packed() -> Packed:
        return Packed(1, 2)

    @step
    def take(a: float, b: int) -> float:
        return a

    @workflow(version="1")
    def uses() -> float:
        return take(renamed().net_profit, packed().second)

    outputs = {"renamed": canonical.encode(Renamed(1.5)), "packed": canonical.encode(Packed(1, 7))}
    assert uses.graph.bind("take", b"{}", outputs) == b'{"a":1.5,"b":7}'


def test_results_inside_records_lists_and_dicts_are_found():
    @workflow(version="1")
    def uses(x: int) -> dict[str, int]:
        one = double(x)
        return {"$total": pair(Pair(one, {"$key": [one, x]})), "one": one}

    graph = uses.graph
    assert graph.bind("pair", b'{"x":1}', {"double": b"2"}) == b'{"of":{"left":2,"right":{"$$key":[2,1]}}}'
    whole = graph.result.bytes_of(b"", {"pair": b"4", "double": b"2"})
    assert canonical.decode(whole) == {"$total": 4, "one": 2}


def test_a_default_is_recorded_with_the_input():
    @step
    def padded(x: int, by: int = 3, *, label: str = "a") -> int:
        return x + by

    @workflow(version="1")
    def uses(x: int) -> int:
        return padded(x)

    assert uses.graph.bind("padded", b'{"x":1}', {}) == b'{"by":3,"label":"a","x":1}'


def test_a_workflow_called_outside_is_its_function():
    assert diamond(2) == 8 + 8 + 5
    assert double(4) == 8


def test_inputs_are_one_json_object_whether_a_record_or_parameters():
    @workflow(version="1")
    def by_record(params: Params) -> int:
        return double(params.fast)

    @workflow(version="1")
    def by_name(fast: int, slow: int = 30) -> int:
        return join([double(fast), slow])

    assert by_record.check_input(b'{"fast": 1}') == b'{"fast":1,"slow":30}'
    assert by_name.check_input(b'{"fast": 1}') == b'{"fast":1,"slow":30}'
    assert by_name.graph.bind("double", b'{"fast":1,"slow":30}', {}) == b'{"x":1}'
    assert by_record.graph.input_schema["$defs"]["Params"]["required"] == ["fast"]


@pytest.mark.parametrize(
    ("data", "field"),
    [(b'{"fast": "x"}', "$.fast"), (b"{}", "$"), (b"[]", "$"), (b'{"fast": 1, "slow": null}', "$.slow")],
)
def test_a_mistyped_input_is_refused_with_the_path_of_the_field(data, field):
    @workflow(version="1")
    def by_record(params: Params) -> int:
        return double(params.fast)

    with pytest.raises(InvalidInput) as caught:
        by_record.check_input(data)
    assert caught.value.facts["field"] == field


def test_an_unknown_step_is_named_with_the_nearest():
    with pytest.raises(NotFound, match=r"no step 'jion' \(did you mean 'join'\?\)"):
        diamond.graph.node("jion")


def test_a_path_that_leads_nowhere_in_a_run_is_named():
    @step
    def anything():
        return {}

    @workflow(version="1")
    def uses():
        return double(anything().a.b)

    for output in (b"{}", b'{"a":1}', b'{"a":{}}', b"[]", b"null"):
        with pytest.raises(InvalidInput, match=r"the output of step 'anything' has no \$\.a"):
            uses.graph.bind("double", b"null", {"anything": output})
