"""A run's input is the same whether or not whoever starts it holds the workflow's code."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal

import msgspec
import pytest

from kronos import step, workflow
from kronos.errors import InvalidInput
from kronos.kernel.schema import check_against


class Window(msgspec.Struct, frozen=True):
    fast: int = 10
    slow: int = 30


class Request(msgspec.Struct, frozen=True):
    symbol: str
    days: int = 2
    rate: float = float("inf")
    window: Window = Window()
    symbols: list[str] = []
    note: str | None = None


@dataclasses.dataclass
class Plan:
    name: str
    weights: dict[str, float] = dataclasses.field(default_factory=lambda: {"a": 1.0})
    size: int = 3


@step
def use(value: str) -> str:
    return value


@workflow(version="1")
def by_names(symbol: str, days: int = 2, size: Decimal = Decimal("0.5"), tags: list[str] = ["x"]) -> str:  # noqa: B006
    return use(symbol)


@workflow(version="1")
def by_record(request: Request) -> str:
    return use(request.symbol)


@workflow(version="1")
def by_dataclass(plan: Plan) -> str:
    return use(plan.name)


CASES = [
    (by_names, {"symbol": "A"}),
    (by_names, {"symbol": "A", "days": 5, "tags": []}),
    (by_record, {"symbol": "A"}),
    (by_record, {"symbol": "A", "window": {"fast": 3}, "note": "n"}),
    (by_dataclass, {"name": "p"}),
    (by_dataclass, {"name": "p", "weights": {}}),
]


@pytest.mark.parametrize(("definition", "given"), CASES)
def test_defaults_are_filled_from_the_schema_as_the_code_would_fill_them(definition, given):
    data = json.dumps(given).encode()
    assert check_against(json.dumps(definition.graph.input_schema).encode(), data) == definition.check_input(data)


def test_what_does_not_fit_names_its_path():
    with pytest.raises(InvalidInput, match=r"\$\.days"):
        check_against(json.dumps(by_names.graph.input_schema).encode(), b'{"symbol":"A","days":"two"}')
    with pytest.raises(InvalidInput, match="symbol"):
        check_against(json.dumps(by_names.graph.input_schema).encode(), b"{}")
