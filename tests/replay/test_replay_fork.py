"""`kronos replay --fork-from`: upstream from the record, the rest executed here, what it gives fed to what follows."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.replay.test_replay import Checkout, environment, first  # noqa: F401 - fixtures

SOURCE = Path(__file__).with_name("chain_for_test.py")


@pytest.fixture(scope="module")
def run(first) -> str:  # noqa: F811 - the fixture
    """A recorded run of the chain."""
    first.file = first.file.with_name(SOURCE.name)
    shutil.copy(SOURCE, first.file)
    return first.record()


@pytest.fixture
def second(environment, tmp_path, run) -> Checkout:  # noqa: F811 - the fixture
    checkout = Checkout(tmp_path / "second", environment)
    checkout.file = checkout.file.with_name(SOURCE.name)
    shutil.copy(SOURCE, checkout.file)
    return checkout


def lines(done):
    return [tuple(re.split(r"  +", line)[:2]) for line in done.stdout.splitlines() if not line.startswith("  ")]


def test_the_same_code_gives_the_same_outcomes_and_upstream_is_served(run, second):
    done = second.replay(run, "--fork-from", "scale")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines(done) == [
        ("load", "SERVED"),
        ("side", "SERVED"),
        ("scale", "OK"),
        ("mail", "SERVED"),
        ("each[0]", "OK"),
        ("each[1]", "OK"),
        ("total", "OK"),
    ]
    assert "0 of 4 executed steps differ" in done.stderr
    assert "the run's result is the recorded one" in done.stderr


def test_changed_code_is_fed_to_its_descendants_and_the_first_difference_is_named(run, second):
    second.change("FACTOR = 2", "FACTOR = 3")
    done = second.replay(run, "--fork-from", "scale")
    assert done.returncode == 4
    assert [line for line in lines(done) if line[1] == "DIVERGED"] == [
        ("scale", "DIVERGED"),
        ("each[0]", "DIVERGED"),
        ("each[1]", "DIVERGED"),
        ("total", "DIVERGED"),
    ]
    assert "4 of 4 executed steps differ, first: scale" in done.stderr
    assert "the run's result differs: $ 109 → 112" in done.stderr


def test_a_given_output_is_not_executed_and_reaches_what_follows(run, second):
    done = second.replay(run, "--fork-from", "scale", "--set-output", "scale=[5]", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["exit_code"]) == (4, 4)
    told = {each["step"]: each for each in report["steps"]}
    assert (told["scale"]["status"], told["scale"]["detail"]) == ("SERVED", "its output was given")
    assert told["each[0]"]["input_changed"]
    assert "each[1]" not in told
    assert report["result"] == [{"path": "$", "recorded": 109, "replayed": 107}]


def test_a_change_downstream_that_comes_out_the_same_is_no_difference(run, second):
    second.change("value + 1", "1 + value")
    done = second.replay(run, "--fork-from", "each")
    assert done.returncode == 0, done.stdout
    assert dict(lines(done))["scale"] == "SERVED"


def test_code_that_now_fails_is_exit_code_3_and_stops_its_descendants_alone(run, second):
    second.change("return [value * FACTOR", "raise ValueError('no'); return [value * FACTOR")
    done = second.replay(run, "--fork-from", "scale")
    assert done.returncode == 3
    assert ("scale", "FAILED") in lines(done)
    assert "total" not in dict(lines(done))


def test_it_breaks_in_a_step_that_was_given_another_input(run, second):
    done = second.replay(
        run, "--fork-from", "scale", "--set-output", "scale=[5]", "--break-at", "each[0]", "--pdb", typed="p value\nc\n"
    )
    assert "5" in done.stdout
    assert done.returncode == 4


def test_a_wrong_wish_is_refused_in_one_line(run, second):
    for arguments, says in [
        (("--fork-from", "scal"), "no step 'scal' (did you mean 'scale'?)"),
        (("--fork-from", "scale", "--set-output", "load=1"), "step 'load' does not depend on 'scale'"),
        (("--set-output", "scale=[1]"), "say --fork-from STEP"),
    ]:
        done = second.replay(run, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert says in done.stderr
        assert "Traceback" not in done.stderr
