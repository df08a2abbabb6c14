"""Errors that another attempt cannot mend are not tried again."""

from __future__ import annotations

import itertools

import pytest

from kronos import NonRetryable, RunFailedError, step, workflow
from kronos.errors import WorkflowDefinitionError

NUMBERS = itertools.count()


class GoneError(LookupError):
    pass


def attempts_of(engine, error, **options):
    """Return how often a step that raises `error` was tried."""
    tried = []

    def failing() -> int:
        tried.append(1)
        raise error

    failing.__qualname__ = f"failing_{next(NUMBERS)}"  # a step travels by its name
    failing_step = step(retries=2, backoff="1ms", **options)(failing)

    @workflow(version="1")
    def giving_up() -> int:
        return failing_step()

    with pytest.raises(RunFailedError, match=type(error).__name__):
        engine.start(giving_up, {}).result(20)
    return len(tried)


def test_an_error_that_is_not_retryable_ends_the_step_at_once(engine):
    assert attempts_of(engine, ValueError("again")) == 3
    assert attempts_of(engine, NonRetryable("no such symbol")) == 1


def test_named_errors_and_their_subclasses_are_given_up_on(engine):
    assert attempts_of(engine, GoneError("it"), give_up_on=[LookupError]) == 1
    assert attempts_of(engine, GoneError("it"), give_up_on=["GoneError"]) == 1
    assert attempts_of(engine, ValueError("it"), give_up_on=["GoneError"]) == 3


def test_where_errors_to_retry_are_named_no_other_is_retried(engine):
    assert attempts_of(engine, ConnectionResetError("it"), retry_on=[ConnectionError]) == 3
    assert attempts_of(engine, ValueError("it"), retry_on=[ConnectionError]) == 1


@pytest.mark.parametrize("given", [ValueError, "ValueError", [3], ["not a name"]])
def test_what_names_no_exception_is_refused(given):
    with pytest.raises(WorkflowDefinitionError, match="retry_on="):
        step(retry_on=given)(attempts_of)
