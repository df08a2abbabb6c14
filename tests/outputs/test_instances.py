"""An instance runs as it is: attributes and constructor kept, in every re-execution, and never a new one instead."""

from __future__ import annotations

import threading

import pytest

import kronos
from kronos.errors import Conflict, InvalidInput
from kronos.market.strategies import load_strategy
from kronos.trading import SmaCross
from kronos.trading.reference import InstrumentConfig
from tests.outputs.sized import Constructed, Demanding, Forgetful, Named, Peeking, Sized, WithParams
from tests.outputs.test_notebook import walk


def bought(strategy, **more) -> list[float]:
    return kronos.backtest(walk(200), strategy, **more).orders()["quantity"].tolist()


def with_size(strategy, size):
    strategy.size = size
    return strategy


@pytest.mark.parametrize(
    ("strategy", "quantity"),
    [
        (Sized, 1),
        (with_size(Sized(), 7), 7),
        (Constructed, 3),
        (Constructed(5), 5),
        (Demanding(6), 6),
        (WithParams, 5),
        (WithParams({"size": 8}), 8),
        ("tests.outputs.sized:Constructed", 3),
    ],
)
def test_what_was_given_is_what_runs(strategy, quantity):
    assert bought(strategy) == [quantity]


def test_the_instance_given_stays_what_it_was_so_that_it_runs_the_same_again():
    strategy = Demanding(4)
    outcomes = [kronos.backtest(walk(300), strategy) for _ in range(2)]
    assert vars(strategy) == {"params": strategy.params, "size": 4}
    assert len({outcome.core_chain + outcome.result.user_chain for outcome in outcomes}) == 1
    assert outcomes[0].run.strategy.heard == 300


def test_the_state_at_any_row_re_executes_the_instance_as_it_was_given():
    strategy = with_size(Sized(), 7)
    outcome = kronos.backtest(walk(6_000), strategy)
    strategy.size = 9
    for row in (0, 1, 102, 3_000, 6_000):
        state = outcome.state(row)
        assert state.variables.get("heard", 0) == row
        assert state.variables["size"] == 7
        assert state.portfolio.position == (7 if row > 101 else 0)


def test_an_id_of_the_instance_attributes_its_orders_in_every_execution():
    strategy = Named()
    strategy.strategy_id = "of the instance"
    outcome = kronos.backtest(walk(6_000), strategy)
    assert set(outcome.orders()["strategy"]) == {"of the instance"}
    assert outcome.state(5_900).variables["heard"] == 5_900


def test_an_audit_judges_the_instance_as_it_is():
    curious = Peeking()
    curious.peeks = True
    assert not kronos.audit(walk(300), curious).is_clean
    assert kronos.audit(walk(300), Peeking()).is_clean


def test_what_cannot_be_executed_again_is_refused():
    locked, own = Sized(), Sized()
    locked.lock = threading.Lock()
    own.on_bar = lambda ctx, bar: None
    for strategy, message in (
        (locked, "this Sized cannot be copied .*so it could not be executed again: give the class"),
        (own, "Sized.on_bar was set on the instance, where it is not heard: write it in the class"),
        (Demanding, r"Demanding.__init__ takes \(size\), .* move what it needs into Params"),
        (Forgetful, r"Forgetful.__init__ left params unset: it must call super\(\).__init__\(params\)"),
        (Forgetful(), "Forgetful.__init__ left params unset"),
    ):
        with pytest.raises(InvalidInput, match=message):
            kronos.backtest(walk(50), strategy)
    with pytest.raises(InvalidInput, match=r"Demanding.__init__ takes \(size\)"):
        load_strategy("tests.outputs.sized:Demanding")


def test_an_instance_that_its_parameters_do_not_make_is_not_pushed():
    for strategy in (with_size(Sized(), 7), Constructed(5)):
        with pytest.raises(Conflict, match=r"strategy: self.size is not what .* of these params has"):
            kronos.backtest(walk(150), strategy).push(None)


@pytest.mark.parametrize("row", [-1, 201, 10**9, 1.5, "5", None, True])
def test_a_row_that_the_run_has_not_is_refused_with_its_range(row):
    outcome = kronos.backtest(walk(200), Sized)
    with pytest.raises(InvalidInput, match=r"0 to 200 \(200 is after the last row\)|is no whole number"):
        outcome.state(row)


def test_the_first_row_of_a_range_is_the_first_that_has_a_state():
    outcome = kronos.backtest(walk(200), Sized, first_row=50, stop_row=90)
    assert outcome.state(50).row == 50
    for row in (49, 91):
        with pytest.raises(InvalidInput, match=f"row {row} is outside the rows of this run: 50 to 90"):
            outcome.state(row)


def test_params_and_trades_of_a_wrong_type_are_refused_in_one_line():
    with pytest.raises(
        InvalidInput, match=r"SmaCross: params: 5 is neither a mapping of parameters nor SmaCross.Params"
    ):
        kronos.backtest(walk(50), SmaCross, params=5)
    with pytest.raises(InvalidInput, match="trade: 'x' is no whole number"):
        kronos.backtest(walk(50), Sized).trace("x")


def test_settings_of_a_wrong_type_are_refused_in_one_line_and_numbers_are_taken_as_written():
    for wrong, message in (
        ({"splits": "x"}, "splits: 'x' does not fit: Expected `array`, got `str`; give a tuple of Split"),
        ({"long_only": "no"}, "long_only: 'no' does not fit: Expected `bool`, got `str`; give bool"),
        ({"risk": {"drawdown": 0.2}}, "risk: .* does not fit: Object contains unknown field `drawdown`"),
        ({"mapping": "Close"}, "mapping: 'Close' does not fit"),
        ({"instrument": 5}, "instrument: 5 does not fit"),
    ):
        with pytest.raises(InvalidInput, match=message):
            kronos.backtest(walk(50), Sized, **wrong)
    limited = kronos.backtest(walk(200), with_size(Sized(), 7), risk={"position_max": 3}, slippage_bps=2.5)
    assert limited.orders()["reason"].tolist() == ["position_limit"]


def test_an_instrument_is_a_name_or_all_that_is_known_of_it():
    known = InstrumentConfig(id="GOLD", venue="COMEX", tick="0.01", lot="0.5", fee_rate=0.01)
    outcome = kronos.backtest(walk(200), with_size(Sized(), "1.5"), instrument=known)
    assert set(outcome.orders()["instrument"]) == {"GOLD"}
    assert outcome.fills()["quantity"].tolist() == [1.5]
    assert outcome.result.fees > 0
    assert kronos.backtest(walk(200), Sized, instrument="SILVER").result.instrument == "SILVER"
