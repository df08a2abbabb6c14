"""The ten stages of a step, as they really happened in one that was asked about.

Rule 1: a stage is listed when a function that is its door was called, in the order of the first calls; one in which
        nothing was to be done is not listed.
Rule 2: what is not asked for costs nothing: no code of the loop knows that it can be watched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from kronos.trading.corporate import Corporate
from kronos.trading.desk import Desk
from kronos.trading.keeper import Keeper
from kronos.trading.strategy import Strategy
from kronos.trading.tape import Tape

__all__ = ["STAGES", "Stage", "watched"]

STAGES: Final = (
    "configure", "bootstrap", "ingest", "sequence", "apply", "strategy", "broker", "observe", "commit", "shutdown",
)  # fmt: skip
"""All stages in their order: the first two happen once, before any step, and the last after the last."""

_WHOLE: Final = frozenset({"bootstrap", "commit", "shutdown"})
"""Stages that call handlers or other runs themselves: what they call is theirs."""


class Stage(NamedTuple):
    """One stage of the step at `row`, and the function that was its door."""

    name: str
    row: int
    door: str


@contextmanager
def watched(row: int, doors: Mapping[str, Callable[..., Any]], strategies: Iterable[Strategy]) -> Iterator[list[Stage]]:
    """Give the list of stages that happen inside the block; `doors` are the session's own, by stage."""
    named = {_code(door): (stage, door.__qualname__) for stage, each in _doors(doors, strategies) for door in each}
    found: dict[str, Stage] = {}
    stages: list[Stage] = []
    inside: list[FrameType] = []

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "return" and inside and inside[0] is frame:
            inside.clear()
        if event != "call" or inside or frame.f_code not in named:
            return
        name, door = named[frame.f_code]
        if name in _WHOLE:
            inside.append(frame)
        if name not in found:
            found[name] = Stage(name, row, door)
            stages.append(found[name])

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield stages
    finally:
        sys.setprofile(before)


def _doors(
    doors: Mapping[str, Callable[..., Any]], strategies: Iterable[Strategy]
) -> Iterator[tuple[str, Iterable[Callable[..., Any]]]]:
    yield from ((stage, (door,)) for stage, door in doors.items())
    yield "apply", (Desk.meet, Desk.due, Desk.wake, Desk.control)
    yield "apply", (Corporate.split, Corporate.pay, Corporate.list_change)
    for kind in {type(strategy) for strategy in strategies}:
        yield "strategy", [getattr(kind, name) for name in dir(kind) if name.startswith("on_")]
    yield "broker", (Desk.decide,)
    yield "observe", (Desk.observe,)
    yield "commit", (Tape.prove, Keeper.after_chunk)


def _code(door: Any) -> CodeType:
    code: CodeType = door.__code__
    return code
