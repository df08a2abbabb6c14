"""The command line: quick to answer, one line for a mistake, data on standard output only."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.terminal import Typed, type_here

RUN = "019a0000-0000-7000-8000-000000000000"


@pytest.fixture
def kronos(module_database_url, tmp_path):
    """Type a command in a folder of its own; `apart` gives it a process of its own."""

    def type_command(*arguments: str, apart: bool = False, **environment: str) -> Typed:
        own = {**os.environ, "DATABASE_URL": module_database_url, "KRONOS_DATA_DIR": str(tmp_path / "data")}
        if not apart:
            return type_here(*arguments, folder=tmp_path, environment=own | environment)
        command = [sys.executable, "-m", "kronos", *arguments]
        pipe = subprocess.PIPE
        done = subprocess.run(
            command, cwd=tmp_path, env=own | environment, stdout=pipe, stderr=pipe, text=True, timeout=60, check=False
        )
        return Typed(done.returncode, done.stdout, done.stderr)

    return type_command


def answer_s(command: list[str], environment: dict[str, str]) -> float:
    """Return the processor time that a command takes: others on the machine do not add to it."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("arguments", [["--help"], ["replay", "--help"], ["backtest", "--help"]])
def test_it_answers_in_less_than_400_ms(arguments, tmp_path):
    environment = {**os.environ, "KRONOS_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "kronos", *arguments]
    assert min(answer_s(command, environment) for _ in range(3)) < 0.4


def test_importing_the_facade_imports_nothing_heavy():
    program = "import sys, kronos; print([m for m in sys.modules if m.split('.')[0] in ('numpy', 'psycopg', 'grpc')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_command_that_only_asks_imports_neither_arrays_nor_the_trading_runtime():
    program = "import sys, kronos.app; print([m for m in sys.modules if m in {heavy}])"
    heavy = ["numpy", "pyarrow", "sqlalchemy", "jsonschema", "kronos.trading", "kronos.engine.worker"]
    done = subprocess.run(
        [sys.executable, "-c", program.format(heavy=heavy)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs", "show", "nonsense"], "run id 'nonsense' is not a UUID"),
        (["runs", "show", RUN], f"no run {RUN}: `kronos runs list`"),
        (["runs", "list", "--phase", "sleeping"], "phase 'sleeping' is none of pending, running"),
        (["state", RUN], f"no run {RUN}"),
        (["state", RUN, "backtest@512"], "write a position as STEP@row=N"),
        (["data", "show", "nothing"], "nothing"),
        (["data", "import", "absent.csv"], "absent.csv"),
        (["data", "import", __file__, "--map", "close"], "--map close: write it as name=value"),
        (["data", "import", __file__, "--tick", "fine"], "--tick fine: give a decimal number"),
        (["fsck", "--write-anchor", "none/heads"], "none/heads: No such file or directory; name another file"),
        (["start", "sma_research", "--input", "@absent.json"], "--input @absent.json: the file cannot be read"),
    ],
)
def test_a_mistake_is_one_line_on_standard_error(kronos, arguments, message):
    done = kronos(*arguments)
    assert done.returncode in (1, 2), done.stdout
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("apart", [False, True], ids=["here", "apart"])
@pytest.mark.parametrize("arguments", [["frobnicate"], ["runs", "show"], ["replay", RUN, "--nonsense"]])
def test_a_command_that_does_not_exist_is_a_usage_error(kronos, arguments, apart):
    done = kronos(*arguments, apart=apart)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_unreachable_database_is_named_without_its_password(kronos):
    done = kronos("runs", "list", DATABASE_URL="postgresql://me:hush@127.0.0.1:1/none", apart=True)
    assert done.returncode == 1
    assert "127.0.0.1" in done.stderr
    assert "hush" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_setting_that_cannot_be_used_is_named(kronos):
    done = kronos("worker", GRPC_ADDR="everywhere")
    assert done.returncode == 2
    assert "GRPC_ADDR" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_server_is_one_line(kronos):
    done = kronos("start", "sma_research", "--address", "127.0.0.1:1")
    assert done.returncode == 1
    assert "no server answers at 127.0.0.1:1" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_an_empty_list_is_an_empty_document(kronos):
    done = kronos("runs", "list", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"runs": [], "next": None})


def test_the_token_is_made_once_and_kept_private(kronos, tmp_path):
    first, second = kronos("token"), kronos("token")
    assert first.stdout == second.stdout
    assert first.stdout.strip()
    assert (tmp_path / "data" / "token").stat().st_mode & 0o077 == 0


def test_a_file_of_bars_becomes_a_dataset_that_is_listed_and_shown(kronos, tmp_path):
    rows = [f"2024-01-{day:02d},{day},{day + 1},{day - 1},{day},10" for day in range(2, 12)]
    (tmp_path / "bars.csv").write_text("\n".join(["Date,Open,High,Low,Close,Volume", *rows]) + "\n")
    done = kronos("data", "import", "bars.csv", "--name", "mine", "--instrument", "ABC", "--map", "time=Date", "--json")
    assert done.returncode == 0, done.stderr
    imported = json.loads(done.stdout)
    assert (imported["name"], imported["instrument"], imported["rows"]) == ("mine", "ABC", 10)
    listed = json.loads(kronos("data", "list", "--json").stdout)
    assert [each["id"] for each in listed] == [imported["id"]]
    shown = json.loads(kronos("data", "show", imported["id"][:12], "--json").stdout)
    assert shown["id"] == imported["id"]
    assert "mine" in kronos("data", "list").stdout


def test_bad_data_names_the_row_and_nothing_is_listed(kronos, tmp_path):
    rows = [f"2024-01-{day:02d},{day},{day + 1},{day - 1},{day},10" for day in range(2, 12)]
    rows[4] = "2024-01-06,6,4,5,6,10"
    (tmp_path / "bars.csv").write_text("\n".join(["time,open,high,low,close,volume", *rows]) + "\n")
    before = kronos("data", "list", "--json").stdout
    done = kronos("data", "import", "bars.csv")
    assert done.returncode == 1
    assert "row" in done.stderr
    assert "Traceback" not in done.stderr
    assert kronos("data", "list", "--json").stdout == before


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("start", "timer", "--input", '{"x": 1'), '--input {"x": 1: malformed JSON: '),
        (("jobs", "submit", "shop.work:pack", "{x}"), "ARGUMENTS {x}: malformed JSON: "),
        (("runs", "signal", RUN, "go", "nope"), "VALUE nope: malformed JSON: "),
    ],
)
def test_json_that_is_none_is_named_with_its_option_its_value_and_the_remedy(kronos, command, named):
    typed = kronos(*command)
    assert typed.returncode == 2
    assert named in typed.stderr
    assert "write one JSON value" in typed.stderr
