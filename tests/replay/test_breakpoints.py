"""A debugger stops on the first line of the user's function, whatever kind of function it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kronos.debugger.breakpoints import armed, stopping_code, user_function
from kronos.debugger.breakpoints_attach import wait_for_debugger
from kronos.errors import InvalidInput, NotFound

PROGRAM = Path(__file__).with_name("stops_for_test.py")
KINDS = ["plain", "coroutine", "closure", "method", "wrapped"]


def marked_line(kind: str) -> int:
    lines = PROGRAM.read_text().splitlines()
    return next(i for i, line in enumerate(lines, 1) if line.endswith(f"# STOP {kind}"))


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-X", "frozen_modules=off", str(PROGRAM), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize("kind", KINDS)
def test_an_editor_stops_on_the_first_line_reads_a_local_and_continues(kind, debug_client):
    program = start("dap", kind, "20")
    assert program.stdout is not None
    host, port = program.stdout.readline().split()
    client = debug_client(host, int(port))
    client.attach()
    frame = client.stopped()
    assert (frame["source"]["path"], frame["line"]) == (str(PROGRAM), marked_line(kind))
    assert client.variables(frame)["amount"] == "21"
    client.resume(frame)
    _, errors = program.communicate(timeout=20)
    assert program.returncode == 0, errors


@pytest.mark.parametrize("kind", KINDS)
def test_pdb_stops_on_the_first_line(kind):
    program = start("pdb", kind)
    output, errors = program.communicate("p amount\nc\n", timeout=20)
    assert program.returncode == 0, errors
    assert f"{PROGRAM}({marked_line(kind)})" in output.splitlines()[0]
    assert "(Pdb) 21" in output


def test_waiting_for_a_debugger_has_a_limit():
    program = start("dap", "plain", "0.3")
    _, errors = program.communicate(timeout=20)
    assert "no debugger attached to 127.0.0.1:" in errors
    assert program.returncode == 1


def test_a_debugger_is_offered_on_loopback_only():
    with pytest.raises(InvalidInput) as refused:
        wait_for_debugger("0.0.0.0", 0, wait_s=1, announce=lambda host, port: None)
    assert "loopback only" in refused.value.message


def test_a_function_is_itself_again_afterwards():
    def sample() -> int:
        return 1

    code = sample.__code__
    with armed(sample):
        assert sample.__code__ is not code
    assert sample.__code__ is code


def test_functions_of_one_name_are_told_apart_by_line():
    def make(value: int):
        if value:

            def sample() -> str:
                return "first"
        else:

            def sample() -> str:
                return "second"

        return sample

    for value in (0, 1):
        function = make(value)
        assert stopping_code(function).co_firstlineno == function.__code__.co_firstlineno


def test_a_lambda_and_an_edited_file_are_refused_with_the_reason(tmp_path):
    with pytest.raises(InvalidInput) as refused:
        stopping_code(lambda: 1)
    assert "make it a `def`" in refused.value.message
    file = tmp_path / "edited.py"
    file.write_text("def sample():\n    return 1\n")
    names: dict = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    file.write_text("\n\n\ndef sample():\n    return 1\n")
    with pytest.raises(NotFound) as moved:
        stopping_code(names["sample"])
    assert "edited after it was loaded" in moved.value.message


def test_a_builtin_is_refused():
    with pytest.raises(InvalidInput) as refused:
        user_function(len)
    assert "no Python source" in refused.value.message
