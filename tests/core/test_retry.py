"""When a failed attempt is tried again."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kronos.core.events import Failure
from kronos.core.options import StepOptions
from kronos.core.retry import JITTER, retry_delay_s

CHANCES = st.floats(0, 1, exclude_max=True)
ERROR = Failure(type="ValueError", message="no")


@given(st.floats(0.001, 100), st.floats(1, 1_000), st.lists(CHANCES, min_size=2, max_size=12))
def test_gaps_grow_until_the_longest_whatever_the_jitter(backoff_s, times, chances):
    options = StepOptions(retries=1_000, backoff_s=backoff_s, backoff_max_s=backoff_s * times)
    gaps = [
        retry_delay_s(options, ERROR, failures=number, chance=chance) for number, chance in enumerate(chances, start=1)
    ]
    for number, gap in enumerate(gaps, start=1):
        planned = min(options.backoff_max_s, backoff_s * 2 ** (number - 1))
        assert planned * (1 - JITTER) <= gap <= planned * (1 + JITTER)
    for number, (gap, later) in enumerate(itertools.pairwise(gaps), start=1):
        if backoff_s * 2**number <= options.backoff_max_s:
            assert later > gap


@given(st.integers(0, 20), CHANCES)
def test_there_are_as_many_retries_as_were_declared(retries, chance):
    options = StepOptions(retries=retries)
    given_up = [retry_delay_s(options, ERROR, failures=n, chance=chance) is None for n in range(1, retries + 3)]
    assert given_up == [False] * retries + [True] * 2


@given(st.integers(1, 50), CHANCES)
def test_a_lost_attempt_is_tried_again_at_once_and_for_nothing(failures, chance):
    lost = Failure(type="WorkerLost", message="", cause="lost")
    assert retry_delay_s(StepOptions(retries=0), lost, failures=failures, chance=chance) == 0.0


@given(CHANCES)
def test_what_cannot_succeed_is_not_tried_again(chance):
    options = StepOptions(retries=5)
    for failure in (
        Failure(type="InvalidInput", message="", retryable=False),
        Failure(type="Cancelled", message="", cause="cancelled"),
    ):
        assert retry_delay_s(options, failure, failures=1, chance=chance) is None
    timeout = Failure(type="StepTimeout", message="", cause="timeout")
    assert retry_delay_s(options, timeout, failures=1, chance=chance) is not None


def test_a_thousand_retries_do_not_overflow():
    options = StepOptions(retries=1_000)
    assert retry_delay_s(options, ERROR, failures=1_000, chance=0.5) == options.backoff_max_s
