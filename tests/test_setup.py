"""Set-up: what it refuses and how it says so, and what must never be committed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def setup(tmp_path):
    """The set-up script of a checkout that is still empty."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "setup.py", tmp_path / "tools")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    spec = importlib.util.spec_from_file_location("set_up", tmp_path / "tools" / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def without(tmp_path: Path, *modules: str) -> dict[str, str]:
    """An environment in which Python lacks `modules`, and PATH has no pip."""
    shim = tmp_path / "shim"
    shim.mkdir()
    for name in modules:
        (shim / f"{name}.py").write_text(f"raise ImportError('no {name} here')\n")
    return {"PATH": str(shim), "PYTHONPATH": str(shim), "HOME": str(tmp_path)}


def run(tmp_path: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(tmp_path / "tools" / "setup.py")]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_a_python_without_ensurepip_and_pip_is_told_which_package_to_install(setup, tmp_path):
    done = run(tmp_path, without(tmp_path, "ensurepip", "pip"))
    assert done.returncode == 1
    assert f"apt install python3.{sys.version_info.minor}-venv" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_python_without_ensurepip_uses_a_pip_from_outside(setup, tmp_path, monkeypatch):
    for name, value in without(tmp_path, "ensurepip").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        setup, "succeeds", lambda command, path=None: command[0] == sys.executable and "ensurepip" not in command[-1]
    )
    monkeypatch.setattr(setup, "pip_version", lambda pip: (23, 0))
    setup.make_venv()
    assert not list(Path(setup.VENV).glob("lib/python*/site-packages/pip"))
    assert setup.find_pip() == [sys.executable, "-m", "pip", "--python", setup.VENV_PYTHON]


def test_an_old_python_is_told_how_to_name_another(setup, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    monkeypatch.setattr(sys, "argv", ["setup.py"])
    assert setup.main() == 1
    assert re.search(r"Python 3\.9; Kronos needs 3\.11 or newer.*PYTHON=", capsys.readouterr().err)


def test_a_stamp_holds_until_its_sources_change(setup, tmp_path):
    Path(setup.VENV).mkdir()
    sources = [str(tmp_path / "pyproject.toml"), str(tmp_path / "constraints.txt")]
    setup.Stamp("run", setup.digest_of(*sources)).set()
    assert setup.Stamp("run", setup.digest_of(*sources)).holds()
    with Path(sources[1]).open("a", encoding="utf-8") as constraints:
        constraints.write("one-more==1\n")
    assert not setup.Stamp("run", setup.digest_of(*sources)).holds()


def test_constraints_hold_names_and_versions_only():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)] == []


def test_the_lock_file_of_the_browser_libraries_records_no_address():
    lock = json.loads((ROOT / "debugger_ui" / "package-lock.json").read_text())
    packages = [entry for name, entry in lock["packages"].items() if name]
    assert packages
    assert all("resolved" not in entry and entry["integrity"] for entry in packages)


def test_every_vendor_file_comes_from_a_pinned_package():
    package = json.loads((ROOT / "debugger_ui" / "package.json").read_text())
    assert all(source.split("/")[0] in package["dependencies"] for source in package["vendor"].values())
    assert all(re.fullmatch(r"[\d.]+", version) for version in package["dependencies"].values())


def test_the_launchers_folder_is_no_package():
    assert not (ROOT / "cmd" / "__init__.py").exists(), "it would shadow the standard library's cmd and break pdb"


def test_an_installed_wheel_finds_its_resources(tmp_path):
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    installed = tmp_path / "installed"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(installed)
    show = (
        "from kronos.resources import checkout, resource_folder as folder\n"
        "print(folder('migrations'), folder('debugger_ui'), folder('proto'), checkout(), sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", show]
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    share = installed / "kronos" / "_share"
    assert said.split() == [str(share / "migrations"), str(share / "debugger_ui"), str(share / "proto"), "None"]
    assert (share / "debugger_ui" / "vendor" / "uPlot.iife.min.js").is_file()
    assert list(share.glob("proto/kronos/v1/*.proto"))
    assert not list(share.rglob("node_modules"))
