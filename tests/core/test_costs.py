"""Money is exact, and a budget says what it is and what was used up."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kronos.core.costs import NO_COSTS, Budget, Costs, Spent, usd_text
from kronos.core.events import expand
from kronos.core.state import fold
from kronos.errors import InvalidInput, WorkflowDefinitionError
from tests.core.histories import histories
from tests.core.test_state import RUN

amounts = st.decimals(min_value=0, max_value=10**12, places=9, allow_nan=False, allow_infinity=False)


@given(st.lists(amounts, max_size=50))
def test_a_sum_of_amounts_is_exact_to_the_last_place(values):
    total = NO_COSTS
    for value in values:
        total += Costs(usd=usd_text(value))
    assert Decimal(total.usd) == sum(int(value.scaleb(9)) for value in values) * Decimal("1e-9")


@given(amounts)
def test_equal_amounts_have_one_text(value):
    assert usd_text(value) == usd_text(value.normalize()) == usd_text(f"{value:f}000000000")
    assert "E" not in usd_text(value)


@pytest.mark.parametrize(
    "value", [0.1, float("nan"), "NaN", "Infinity", -1, "-0.01", "1e15", "ten", None, True, "1e-19"]
)
def test_what_is_no_exact_amount_is_refused_by_name(value):
    with pytest.raises(InvalidInput, match="usd="):
        usd_text(value)


@given(histories())
def test_a_run_sums_what_its_attempts_cost_failed_ones_too_wherever_its_rows_were_cut(history):
    run = fold(RUN, history)
    ended = sum(step.attempt - (step.status in ("running", "scheduled")) for step in run.steps.values())
    began = sum(step.attempt - (step.status == "scheduled") for step in run.steps.values())
    assert run.attempts == began
    assert (run.costs.calls, run.costs.tokens_in) == (ended, 7 * ended)
    assert Decimal(run.costs.usd) == ended * Decimal("0.1")
    singles = [single for event in history for single in expand(event)]
    for seq in range(1, history[-1].seq + 1):
        assert fold(RUN, history, upto=seq).spent == fold(RUN, singles[:seq]).spent


@pytest.mark.parametrize(
    ("budget", "spent", "says"),
    [
        (Budget(usd="5"), Spent(costs=Costs(usd="5.000001")), "usd=5 .* cost 5.000001 USD"),
        (Budget(usd="0.50"), Spent(costs=Costs(usd="0.5")), "usd=0.5 .* cost 0.5 USD"),
        (Budget(tokens=100), Spent(costs=Costs(tokens_in=60, tokens_out=40)), "tokens=100 .* took 100 tokens"),
        (Budget(attempts=3), Spent(attempts=3), "attempts=3 .* 3 attempts were made"),
        (Budget(time="2h"), Spent(worked_ns=7_200_500_000_000), "time=7200 s .* took 7200.500 s"),
    ],
)
def test_a_budget_that_is_used_up_names_itself_and_the_sum(budget, spent, says):
    import re

    assert re.search(says, budget.used_up_by(spent) or "")
    assert budget.used_up_by(Spent()) is None


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"usd": "0"},
        {"usd": 0.5},
        {"usd": "-1"},
        {"tokens": 0},
        {"attempts": -1},
        {"attempts": 1.5},
        {"time": "soon"},
    ],
)
def test_a_budget_that_says_nothing_sensible_is_refused_where_it_is_written(limits):
    with pytest.raises(WorkflowDefinitionError, match="budget"):
        Budget(**limits)
