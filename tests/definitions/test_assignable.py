"""Only a certain mismatch of annotations is refused, and it is refused at its path."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, TypedDict, TypeVar

import msgspec
import pytest

from kronos.core.assignable import mismatch

T = TypeVar("T")
Price = NewType("Price", int)


class Base(msgspec.Struct):
    a: int


class Derived(Base):
    b: int = 0


class Other(msgspec.Struct):
    a: int


class Box(msgspec.Struct, Generic[T]):
    item: T


@dataclass
class Plain:
    a: int


class Row(TypedDict):
    a: int


class Side(enum.Enum):
    BUY = "buy"


FITS = [
    (int, int), (int, float), (int, Decimal), (Any, int), (int, Any), (bool, bool), (Derived, Base), (Price, int),
    (int, Price), (list[int], Sequence[int]), (list[int], list[float]), (tuple[int, ...], list[int]), (list, list[int]),
    (tuple[int, int], list[int]), (dict[str, int], Mapping[str, float]), (Row, dict[str, Any]), (int, int | None),
    (None, int | None), (Literal["a"], str), (Literal["a"], Literal["a", "b"]), (str, Literal["a"]), (Side, Side),
    (Annotated[int, msgspec.Meta(gt=0)], int), (Box[int], Box[int]), (Box[int], Box[float]), (T, int), (int, object),
    (int | float, float), (list[int], tuple[int, int]),
]  # fmt: skip
REFUSED = [
    (str, int, "$: expected int, got str"), (bool, int, "$: expected int, got bool"), (bool, float, "$: expected"),
    (float, int, "$: expected int"), (Base, Derived, "$: expected Derived, got Base"),
    (Base, Other, "$: expected Other"),
    (Base, Plain, "$: expected Plain"), (int | None, int, "$: expected int, got None"), (int | str, int, "got str"),
    (list[str], list[int], "$[...]: expected int, got str"),
    (dict[str, list[str]], dict[str, list[int]], "$[...][...]"),
    (tuple[int, str], tuple[int, int], "$[1]: expected int, got str"), (tuple[int, int], tuple[int], "$: expected"),
    (list[int], dict[str, int], "$: expected dict[str, int], got list[int]"), (str, list[str], "$: expected list[str]"),
    (Literal["c"], Literal["a", "b"], "'c' is not one of"), (int, Literal["a"], "$: expected"), (Side, str, "got Side"),
    (int, str | None, "$: expected"), (Plain, dict[str, int], "$: expected"), (Row, Base, "$: expected Base, got Row"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), FITS, ids=str)
def test_what_may_fit_is_let_through(given, expected):
    assert mismatch(given, expected) is None


@pytest.mark.parametrize(("given", "expected", "said"), REFUSED, ids=str)
def test_what_cannot_fit_is_refused_at_its_path(given, expected, said):
    assert said in (mismatch(given, expected) or "")


def test_a_generic_record_is_compared_by_what_it_holds():
    assert mismatch(Box[str], Box[int]) == "$.item: expected int, got str"
