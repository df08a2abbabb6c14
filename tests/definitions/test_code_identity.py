"""Code identity follows what runs, and nothing else."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
from pathlib import Path

import pytest

from kronos.core.definition import StepDefinition, WorkflowDefinition
from kronos.engine.code import CodeReader, token_hash
from kronos.errors import WorkflowDefinitionError

FLOW = """
from __future__ import annotations
from kronos.core.decorators import step, workflow
from {package} import fees
from .costs import spread

@step(depends={depends})
def price(x: int) -> int:
    from .deep.rounding import up
    return up(x * fees.RATE + spread(x))

@workflow(version="1")
def quote(x: int) -> int:
    return price(x)
"""
FILES = {
    "pyproject.toml": "",
    "constraints.txt": "numpy==1.0\n",
    "{package}/__init__.py": "",
    "{package}/fees.py": "RATE = 3  # per mille\n",
    "{package}/costs.py": "import json\ndef spread(x: int) -> int:\n    return 1\n",
    "{package}/deep/__init__.py": "LEVEL = 1\n",
    "{package}/deep/rounding.py": "def up(x: int) -> int:\n    return x\n",
    "{package}/unrelated.py": "X = 1\n",
    "data/table.csv": "a,b\n",
}
_numbers = itertools.count()


class Shop:
    """A project on disk with one workflow."""

    def __init__(self, root: Path, depends: list[str]) -> None:
        self.root = root
        self.package = f"shop{next(_numbers)}"
        for name, text in FILES.items():
            self.write(name, text)
        self.write("{package}/flow.py", FLOW.format(package=self.package, depends=depends))
        module = importlib.import_module(f"{self.package}.flow")
        self.step: StepDefinition = module.price
        self.workflow: WorkflowDefinition = module.quote

    def write(self, name: str, text: str) -> None:
        path = self.root / name.format(package=self.package)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(package=self.package) if "{package}" in text else text)
        later = 1_000_000_000 + next(_numbers)
        os.utime(path, (later, later))

    @property
    def hash(self) -> str:
        return CodeReader().identity(self.step).hash


@pytest.fixture
def make_shop(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda depends=(): Shop(tmp_path, list(depends))
    for name in [name for name in sys.modules if name.startswith("shop")]:
        del sys.modules[name]


def test_every_first_party_module_that_is_reached_is_captured_and_no_other(make_shop):
    shop = make_shop()
    found = {source.path for source in CodeReader().identity(shop.step).sources}
    assert found == {
        f"{shop.package}/{name}"
        for name in ("__init__.py", "flow.py", "fees.py", "costs.py", "deep/__init__.py", "deep/rounding.py")
    } | {"constraints.txt"}
    assert [source.path for source in CodeReader().capture(shop.workflow)] == sorted(found)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("{package}/fees.py", "# all new words\nRATE = 3\n\n"),
        ("{package}/fees.py", "RATE   =   3"),
        ("{package}/costs.py", "import json\n\n\ndef spread(x: int) -> int:\n        # wider\n        return 1\n"),
        ("{package}/unrelated.py", "X = 2\n"),
    ],
)
def test_comments_spaces_and_unreached_modules_do_not_change_it(make_shop, file, text):
    shop = make_shop()
    before = (shop.hash, CodeReader().definition_id(shop.workflow))
    shop.write(file, text)
    assert (shop.hash, CodeReader().definition_id(shop.workflow)) == before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("{package}/fees.py", "RATE = 4  # per mille\n"),
        ("{package}/deep/rounding.py", "def up(x: int) -> int:\n    return x + 1\n"),
        ("{package}/deep/__init__.py", "LEVEL = 2\n"),
        ("{package}/costs.py", 'import json\ndef spread(x: int) -> int:\n    "Docstrings are read."\n    return 1\n'),
        ("constraints.txt", "numpy==1.1\n"),
    ],
)
def test_a_constant_in_a_reached_module_or_another_lock_changes_it(make_shop, file, text):
    shop = make_shop()
    before = (shop.hash, CodeReader().definition_id(shop.workflow))
    shop.write(file, text)
    assert shop.hash != before[0]
    assert CodeReader().definition_id(shop.workflow) != before[1]


def test_what_is_declared_counts(make_shop):
    shop = make_shop(["data/table.csv"])
    before = shop.hash
    shop.write("data/table.csv", "a,b,c\n")
    assert shop.hash != before


def test_declaring_what_is_not_there_is_refused(make_shop):
    shop = make_shop(["data/nothing.csv"])
    with pytest.raises(WorkflowDefinitionError, match=r"depends='data/nothing\.csv'"):
        _ = shop.hash


def test_an_imported_module_is_not_run_by_looking_at_it(make_shop):
    shop = make_shop()
    shop.write("{package}/deep/rounding.py", "raise SystemExit('was run')\n")
    assert shop.hash


@pytest.mark.parametrize(
    ("one", "other"),
    [(b"x = 1", b"x = 2"), (b"if a:\n  b\nc", b"if a:\n  b\n  c"), (b"x = 'a  b'", b"x = 'a b'"), (b"ab", b"a;b")],
)
def test_different_code_has_different_tokens(one, other):
    assert token_hash(one) != token_hash(other)


def test_an_fstring_is_one_token_as_it_is_written():
    assert token_hash(b'x = f"{a + 1}  b"') == token_hash(b'x  =  f"{a + 1}  b"  # c')
    assert token_hash(b'x = f"{a + 1}  b"') != token_hash(b'x = f"{a +  1}  b"')


def test_a_function_typed_into_a_prompt_is_known_by_its_bytecode():
    def typed(text: str) -> str:
        cell: dict = {}
        exec(f"from kronos.core.decorators import step\n@step\ndef f(x: int) -> int:\n    return {text}", cell)
        return CodeReader().identity(cell["f"]).hash

    assert typed("x + 1") == typed("x + 1")
    assert typed("x + 1") != typed("x + 2")
