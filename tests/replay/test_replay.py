"""`kronos replay` as a user types it: the checked-out code against a recorded run."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

SOURCE = Path(__file__).with_name("research_for_test.py")
UNKNOWN_RUN = "019a0000-0000-7000-8000-000000000000"


class Checkout:
    """A folder with the workflow in it, and the commands that are typed there."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.file = folder / SOURCE.name
        folder.mkdir(exist_ok=True)
        shutil.copy(SOURCE, self.file)
        self._environment = environment

    def change(self, before: str, after: str) -> None:
        text = self.file.read_text()
        assert before in text
        self.file.write_text(text.replace(before, after))

    def record(self) -> str:
        done = self._run(sys.executable, self.file.name)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def replay(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return self._run(sys.executable, "-m", "kronos", "replay", *arguments, typed=typed)

    def start_replay(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "kronos", "replay", *arguments]
        pipe = subprocess.PIPE
        folder = self.file.parent
        return subprocess.Popen(command, cwd=folder, env=self._environment, stdout=pipe, stderr=pipe, text=True)

    def _run(self, *command: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.file.parent,
            env=self._environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def environment(postgres_url, template_database, tmp_path_factory):
    """A database of this module alone: recording takes seconds, and a replay changes nothing."""
    folder = tmp_path_factory.mktemp("replay")
    (folder / "mailbox").mkdir()
    name = f"kronos_replay_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY")
    head, mark, query = postgres_url.partition("?")
    url = f"{head.rpartition('/')[0]}/{name}{mark}{query}"
    own = {"DATABASE_URL": url, "KRONOS_DATA_DIR": str(folder / "data"), "MAILBOX": str(folder / "mailbox")}
    yield {**os.environ, **own}
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def first(environment, tmp_path_factory) -> Checkout:
    """The checkout that made the run."""
    return Checkout(tmp_path_factory.mktemp("first"), environment)


@pytest.fixture(scope="module")
def run(first) -> str:
    """The recorded run."""
    return first.record()


@pytest.fixture
def second(environment, tmp_path, run) -> Checkout:
    """Another checkout of the same code, to be changed."""
    return Checkout(tmp_path / "second", environment)


def test_from_a_second_checkout_every_outcome_is_equal_and_no_mail_is_sent(run, second, environment):
    mailbox = Path(environment["MAILBOX"])
    assert len(list(mailbox.iterdir())) == 1
    done = second.replay(run)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [re.split(r"  +", line) for line in done.stdout.splitlines()]
    assert lines == [
        ["load", "OK"],
        ["measure", "OK"],
        ["draw", "OK"],
        ["flaky (attempt 1)", "OK", "failed as recorded"],
        ["flaky (attempt 2)", "OK"],
        ["mail", "SERVED", "external: not executed, its recorded outcome stands"],
        ["summary", "OK"],
    ]
    assert len(list(mailbox.iterdir())) == 1


def test_a_replay_that_compares_nothing_says_so_and_does_not_pass_for_equal(run, second):
    done = second.replay(run, "--step", "mail", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["exit_code"], report["equal"]) == (6, 6, False)
    assert "nothing was compared" in done.stderr


def test_one_changed_constant_diverges_and_names_the_field_and_only_there(run, second):
    second.change("FACTOR = 1.10", "FACTOR = 1.14")
    done = second.replay(run)
    assert done.returncode == 4, done.stderr
    diverged = [line for line in done.stdout.splitlines() if "DIVERGED" in line]
    assert len(diverged) == 1
    assert diverged[0].startswith("measure ")
    assert "$.sharpe 1.1 → 1.14" in diverged[0]
    assert "(code has changed since the run)" in diverged[0]


def test_json_is_one_document_on_standard_output(run, second):
    second.change("FACTOR = 1.10", 'FACTOR = 1.14\nprint("chatter of the module")')
    done = second.replay(run, "--step", "measure", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["exit_code"], report["run_id"], report["equal"]) == (4, 4, run, False)
    (step,) = report["steps"]
    assert (step["step"], step["status"], step["code_changed"]) == ("measure", "DIVERGED", True)
    assert step["differences"] == [{"path": "$.sharpe", "recorded": 1.1, "replayed": 1.14}]
    assert "chatter of the module" in done.stderr


def test_a_changed_constant_in_the_workflow_itself_diverges_at_the_input(run, second):
    second.change("flaky(count), mail", "flaky(7), mail")
    done = second.replay(run)
    assert done.returncode == 4, done.stderr
    assert "input $.count 5 → 7" in done.stdout


def test_a_step_that_opens_a_socket_is_named_and_nothing_arrives(run, second):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        second.change("SERVER_PORT = 0", f"SERVER_PORT = {port}")
        done = second.replay(run)
        assert done.returncode == 4, done.stdout
        (line,) = [line for line in done.stdout.splitlines() if "BLOCKED" in line]
        assert line.startswith("summary ")
        assert f"step 'summary' called socket.connect(('127.0.0.1', {port}))" in line
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_blocked_call_counts_also_when_the_step_swallows_it(run, second):
    second.change(
        "    values = list(range(count))",
        "    try:\n        os.system('true')\n    except Exception:\n        pass\n    values = list(range(count))",
    )
    done = second.replay(run, "--step", "load")
    assert done.returncode == 4, done.stdout
    assert "step 'load' called os.system(" in done.stdout


def test_an_effect_that_was_not_recorded_is_named(run, second):
    second.change("float(ctx.call(fetch))", "float(ctx.call(fetch)), float(ctx.call(fetch))")
    done = second.replay(run)
    assert done.returncode == 4, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "BLOCKED" in line]
    assert "step 'draw': effect 3 is call(research_for_test:fetch" in line
    assert "but the recording has now() there" in line


def test_a_step_that_fails_where_the_recording_did_not_is_exit_3(run, second):
    second.change("Stats(count=sum(values), sharpe=FACTOR)", "Stats(count=1 // 0, sharpe=FACTOR)")
    done = second.replay(run)
    assert done.returncode == 3, done.stdout
    assert re.search(r"^measure +FAILED  ZeroDivisionError", done.stdout, re.MULTILINE)


def test_another_failure_than_the_recorded_one_diverges(run, second):
    second.change('ValueError(f"not yet: {count}")', 'ValueError("never")')
    done = second.replay(run)
    assert done.returncode == 4, done.stdout
    assert '$.message "not yet: 5" → "never"' in done.stdout


def test_code_that_is_gone_fails_in_one_line(run, second):
    second.file.write_text(second.file.read_text().replace("def draw(", "def drawn("))
    done = second.replay(run, "--step", "draw")
    assert done.returncode in (3, 4), done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN", "--step", "nowhere"], "no step 'nowhere'"),
        (["RUN", "--break-at", "mesure"], "no step 'mesure'"),
        ([UNKNOWN_RUN], f"no run {UNKNOWN_RUN}: `kronos runs list` shows those on record"),
        (["not-a-run"], "run id 'not-a-run' is not a UUID"),
        (["RUN", "--break-at", "measure@row=3"], "`kronos state RUN measure@row=3` shows portfolio and variables"),
        (["RUN", "--pdb"], "say where with --break-at STEP"),
        (["RUN", "--break-at", "load", "--listen", "0.0.0.0:0"], "loopback only"),
        (["RUN", "--break-at", "load", "--listen", "nowhere"], "write it as host:port"),
    ],
)
def test_what_cannot_be_replayed_is_one_line_and_exit_2(run, first, arguments, message):
    done = first.replay(*[run if each == "RUN" else each for each in arguments])
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def line_of(checkout: Checkout, text: str) -> int:
    return next(i for i, line in enumerate(checkout.file.read_text().splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("step", "first_line", "local"),
    [
        ("load", "values = list(range(count))", ("count", "5")),
        ("measure", "return Stats(", ("values", "[0, 1, 2, 3, 4]")),
    ],
)
def test_an_editor_stops_on_the_first_line_of_the_step(run, first, debug_client, step, first_line, local):
    program = first.start_replay(run, "--break-at", step, "--wait-s", "20")
    assert program.stderr is not None
    told = ""
    while "waits" not in told:
        told = program.stderr.readline()
        assert told, "the replay ended before it waited for a debugger"
    found = re.search(r"pid (\d+) waits 20 s for a debugger at ([\d.]+):(\d+)", told)
    assert found is not None, told
    assert int(found[1]) == program.pid
    client = debug_client(found[2], int(found[3]))
    client.attach()
    frame = client.stopped()
    assert frame["source"]["path"] == str(first.file)
    assert frame["line"] == line_of(first, first_line)
    assert client.variables(frame)[local[0]] == local[1]
    client.resume(frame)
    output, errors = program.communicate(timeout=30)
    assert program.returncode == 0, output + errors
    assert len(output.splitlines()) == 7


def test_pdb_stops_on_the_first_line_of_the_step(run, first):
    done = first.replay(run, "--break-at", "summary", "--pdb", typed="p stats\nc\n")
    assert done.returncode == 0, done.stderr
    assert f"{first.file.name}({line_of(first, 'if SERVER_PORT')})" in done.stdout
    assert "Stats(count=10, sharpe=1.1)" in done.stdout


def test_when_no_debugger_comes_the_exit_code_is_5(run, first):
    done = first.replay(run, "--break-at", "load", "--wait-s", "0.3")
    assert done.returncode == 5, done.stderr
    assert "no debugger attached to 127.0.0.1:" in done.stderr
    assert "Traceback" not in done.stderr
