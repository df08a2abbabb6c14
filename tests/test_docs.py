"""The documents say what the code does."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

import kronos.errors
from kronos.core.events import Kind
from kronos.core.options import StepOptions
from kronos.core.state import Phase
from kronos.engine.context import StepContext
from tests.terminal import type_here

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
LATER = {ROOT / "docs/images/run.png"}
"""Made from the running debugger."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse(text_of(path))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document):
    for target, _ in LINK.findall(document.read_text(encoding="utf-8")):
        found = (document.parent / target).resolve() if target else document
        assert found.exists() or found in LATER, f"{document.name} links to {target}"


def test_every_invariant_names_a_test_that_exists():
    named = TEST.findall(text_of("ARCHITECTURE.md"))
    assert len(named) > 40
    for path, test in named:
        assert (ROOT / path).is_file(), path
        assert test in names_in(path), f"{path}::{test}"


def test_every_row_of_invariants_is_proven_by_some_test():
    rows = [
        line for line in text_of("ARCHITECTURE.md").splitlines() if line.startswith("| ") and line.count(" | ") == 2
    ]
    rows = [row for row in rows if not row.startswith("| invariant")]
    assert len(rows) > 25
    assert [row for row in rows if not TEST.search(row)] == []


def test_the_diagrams_are_those_of_the_transition_tables():
    ran = subprocess.run(
        [sys.executable, "tools/diagrams.py", "--check"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_example_of_the_readme_runs_as_printed(database_url, tmp_path):
    (example,) = CODE.findall(text_of("README.md"))
    assert len(example.splitlines()) <= 22
    (tmp_path / "example.py").write_text(example)
    ran = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env={
            **os.environ,
            "DATABASE_URL": database_url,
            "KRONOS_DATA_DIR": str(tmp_path / "data"),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) == pytest.approx(104 / 101.5 - 1)


def test_the_trading_commands_of_the_readme_run_as_printed(database_url, tmp_path):
    from kronos import Kronos
    from kronos.market.sample import import_sample

    printed = text_of("README.md").partition("### Trading")[2].partition("```sh\n")[2].partition("```")[0]
    commands = [words for line in printed.splitlines() if (words := shlex.split(line, comments=True))]
    assert [words[0] for words in commands] == ["kronos", "kronos", "kronos", "python"]
    environment = {**os.environ, "DATABASE_URL": database_url, "KRONOS_DATA_DIR": str(tmp_path / "data")}
    with Kronos.open(database_url=database_url, data_dir=tmp_path / "data") as app:
        import_sample(app.catalog, "AAPL")
    shown = []
    for words in commands[:3]:
        done = type_here(*words[1:], folder=tmp_path, environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        shown.append(done.stdout)
    assert "status   completed" in shown[0]
    assert re.search(r"^findings +0$", shown[2], re.MULTILINE)
    alone = {**environment, "PYTHONPATH": str(ROOT), "DATABASE_URL": "postgresql://nowhere.invalid/none"}
    subprocess.run([sys.executable, *commands[3][1:]], cwd=tmp_path, env=alone, timeout=180, check=True)
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_workflow_of_the_tutorial_runs_as_printed(database_url, tmp_path, monkeypatch):
    from kronos import Engine

    (source,) = CODE.findall(text_of("docs/tutorial/first-run.md"))
    path = tmp_path / "first_of_tutorial.py"
    path.write_text(source.replace("time.sleep(10)", "time.sleep(0)"))
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = importlib.util.find_spec("first_of_tutorial")
    assert spec is not None
    module = importlib.import_module("first_of_tutorial")
    with Engine(workflows=[module.first], database_url=database_url, data_dir=tmp_path) as engine:
        assert engine.start(module.first, {"symbol": "AAPL"}).result(30) == "AAPL: 4.00%"


def test_the_example_of_jobs_and_queues_runs_as_printed(database_url, tmp_path, monkeypatch):
    (source,) = CODE.findall(text_of("docs/how-to/jobs-and-queues.md"))
    (tmp_path / "jobs_of_how_to.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("KRONOS_DATA_DIR", str(tmp_path / "data"))
    assert importlib.import_module("jobs_of_how_to").main() == [101.5, 404.0, 404.0]


def test_the_examples_of_control_flow_run_as_printed(database_url, tmp_path, monkeypatch):
    from kronos import Engine

    monkeypatch.syspath_prepend(str(tmp_path))
    modules = []
    for number, source in enumerate(CODE.findall(text_of("docs/how-to/control-flow.md"))):
        (tmp_path / f"control_flow_{number}.py").write_text(source)
        modules.append(importlib.import_module(f"control_flow_{number}"))
    assert len(modules) == 6
    with Engine(database_url=database_url, data_dir=tmp_path) as engine:
        for module in modules:
            assert engine.start(module.RUN, module.INPUT).result(30) == module.RESULT


def test_every_command_that_the_documents_show_exists():
    from kronos.cli.commands import app

    root = get_command(app)
    shown = {
        tuple(words.split())
        for document in DOCUMENTS
        for words in re.findall(r"\bkronos ([a-z]+(?: [a-z]+)?)", "\n".join(_code(document)))
    }
    assert len(shown) > 8
    for words in shown:
        command = root.commands.get(words[0])
        assert command is not None, f"kronos {' '.join(words)}"
        if len(words) > 1 and hasattr(command, "commands"):
            assert words[1] in command.commands, f"kronos {' '.join(words)}"


def test_the_reference_lists_every_event_every_error_and_every_option():
    events, errors = text_of("docs/reference/events.md"), text_of("docs/reference/errors.md")
    definitions, glossary = text_of("docs/reference/definitions.md"), text_of("docs/reference/glossary.md")
    assert [kind for kind in Kind if f"| `{kind}` |" not in events] == []
    ours = [name for name in kronos.errors.__all__ if name not in ("KronosError", "StepTimeout", "Cancelled")]
    assert [name for name in ours if f"`{name}`" not in errors] == []
    assert [name for name in StepOptions.__struct_fields__ if f"`{name.removesuffix('_s')}`" not in definitions] == []
    public = [name for name in vars(StepContext) if not name.startswith("_") and name != "effects"]
    assert [name for name in public if f"`{name}" not in definitions] == []
    assert [phase for phase in Phase if phase not in glossary] == []


@pytest.mark.parametrize("path", sorted((ROOT / "docs/adr").glob("*.md")), ids=lambda path: path.stem)
def test_a_decision_has_about_ten_lines_and_three_parts(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(path.stem[:4])}. ")
    assert len(text.splitlines()) <= 12
    for part in ("**Context.**", "**Decision.**", "**Consequences.**"):
        assert part in text


def _code(document: Path) -> list[str]:
    text = document.read_text(encoding="utf-8")
    return [*re.findall(r"```sh\n(.*?)```", text, re.DOTALL), *re.findall(r"`([^`\n]+)`", text)]
