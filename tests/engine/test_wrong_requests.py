"""What is asked for wrongly in library mode is refused in words, and nothing is recorded of it."""

from __future__ import annotations

import math

import pytest

from kronos import step, workflow
from kronos.app import Engine
from kronos.errors import InvalidInput, Unavailable
from kronos.ports.history import RunFilter
from kronos.settings import Settings


@step
def same(number: int) -> int:
    return number


@workflow(version="1")
def plain(number: int, other: int = 2) -> int:
    return same(number)


@pytest.fixture(scope="module")
def engine(module_database_url, tmp_path_factory):
    settings = Settings(data_dir=tmp_path_factory.mktemp("wrong"))
    with Engine(workflows=[plain], database_url=module_database_url, settings=settings) as opened:
        yield opened


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            3,
            "workflow 'plain' cannot be started with 3: $: Expected `object`, got `int`. Its input is a JSON object wi",
        ),
        ({"number": "x"}, '{"number":"x"}: $.number: Expected `int`, got `str`'),
        ({"numbr": 1}, "a JSON object with number, other"),
        ({"number": 10**5000}, "a number has too many digits to be recorded"),
    ],
)
def test_an_input_that_does_not_fit_is_told_with_the_workflow_and_what_it_takes(engine, given, said):
    with pytest.raises(InvalidInput) as refused:
        engine.start(plain, given)
    assert said in refused.value.message


@pytest.mark.parametrize("chosen", [{"workflow": "\0"}, {"where": {"a": "\0"}}, {"where": {"\0": "a"}}])
def test_a_listing_of_what_no_row_can_have_is_refused(engine, chosen):
    for ask in (engine.app.history.runs, engine.app.history.count):
        with pytest.raises(InvalidInput, match="has a NUL"):
            ask(RunFilter(**chosen))


def test_a_moment_that_no_history_has_is_refused(engine):
    run = engine.start(plain, {"number": 1})
    assert run.result(20) == 1
    with pytest.raises(InvalidInput, match=f"seq {10**30} is beyond any event"):
        engine.app.history.state_at(run.run_id, 10**30)
    with pytest.raises(InvalidInput, match=r"no step .* it has same"):
        engine.app.fork(run.run_id, at="\0")


def test_inputs_that_are_no_list_and_workflows_that_are_none_are_refused(engine):
    with pytest.raises(InvalidInput, match="inputs is a int: give a list"):
        engine.start_many(plain, 3)
    with pytest.raises(InvalidInput, match="3 is no workflow and no step"):
        engine.app.serve(3)


@pytest.mark.parametrize("timeout", ["x", math.nan])
def test_a_wait_of_no_number_of_seconds_is_refused(engine, timeout):
    run, job = engine.start(plain, {"number": 1}), engine.submit(same, {"number": 1})
    for handle in (run, job):
        with pytest.raises(InvalidInput, match="give seconds as a number"):
            handle.result(timeout)
        assert handle.result(10**400) == 1


def test_a_closed_engine_takes_nothing_that_nobody_would_execute(database_url, tmp_path):
    engine = Engine(workflows=[plain], database_url=database_url, settings=Settings(data_dir=tmp_path))
    engine.close(1)
    for ask in (lambda: engine.start(plain, {"number": 1}), lambda: engine.submit(same, {"number": 1})):
        with pytest.raises(Unavailable, match="this engine is closed"):
            ask()
