"""The ten stages of a step: listed as they happened, and only when somebody asks."""

from __future__ import annotations

import sys

import pytest

from kronos.errors import InvalidInput
from kronos.trading import Session, SessionConfig, Strategy
from kronos.trading.stages import STAGES
from tests.trading.test_session import made

KEY = b"k" * 32
ROWS = 12


class TurnsEveryBar(Strategy):
    def on_bar(self, ctx, bar) -> None:
        if ctx.position_lots:
            ctx.sell(1)
        else:
            ctx.buy(1)


class BuysAtThree(Strategy):
    def on_bar(self, ctx, bar) -> None:
        if bar.row == 3:
            ctx.buy(1)


def session(strategy: Strategy) -> Session:
    return Session([made("A", ROWS)], [strategy], SessionConfig(), key=KEY)


def names(traced) -> list[str]:
    return [stage.name for stage in traced]


def test_the_last_step_of_a_busy_run_has_all_ten_stages_in_their_order() -> None:
    traced = session(TurnsEveryBar()).trace(ROWS - 1)
    assert tuple(names(traced)) == STAGES
    assert {stage.row for stage in traced} == {ROWS - 1}
    doors = {stage.name: stage.door for stage in traced}
    assert doors["strategy"] == "TurnsEveryBar.on_bar"
    assert doors["apply"] == "Desk.meet"


@pytest.mark.parametrize(
    ("row", "missing"),
    [
        (2, {"apply", "broker", "observe", "shutdown"}),
        (3, {"apply", "shutdown"}),
        (4, {"broker", "observe", "shutdown"}),
    ],
    ids=["nothing asked", "an order is asked for", "it is filled"],
)
def test_a_stage_in_which_nothing_was_to_be_done_is_not_listed(row, missing) -> None:
    assert names(session(BuysAtThree()).trace(row)) == [name for name in STAGES if name not in missing]


def test_a_traced_run_ends_where_any_other_does_and_nobody_watches_it_afterwards() -> None:
    watched, other = session(TurnsEveryBar()), session(TurnsEveryBar())
    before = sys.getprofile()
    for row in (0, 5):
        watched.trace(row)
        assert sys.getprofile() is before
    assert watched.row == 6
    assert watched.run() == other.run()


def test_a_handler_that_raises_is_not_watched_any_longer() -> None:
    class Fails(Strategy):
        def on_bar(self, ctx, bar) -> None:
            raise ValueError("no")

    before = sys.getprofile()
    with pytest.raises(ValueError, match="no"):
        Session([made("A", ROWS)], [Fails()], SessionConfig(isolate=False)).trace(1)
    assert sys.getprofile() is before


def test_a_row_that_has_passed_cannot_be_traced() -> None:
    run = session(BuysAtThree())
    run.trace(4)
    with pytest.raises(InvalidInput, match=r"cannot trace row 4: the run stands before row 5 and ends before 12"):
        run.trace(4)
