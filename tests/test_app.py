"""The composition root: what a user's program holds in its hands."""

from __future__ import annotations

import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import kronos
from kronos.app import Kronos
from kronos.errors import NotFound, Unavailable
from kronos.storage.migrate import CODE_VERSION


def test_every_name_of_the_facade_is_there_and_importing_it_costs_nothing():
    for name in kronos.__all__:
        assert getattr(kronos, name) is not None
    assert dir(kronos) == sorted(kronos.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Enigne'"):
        kronos.Enigne  # noqa: B018
    code = "import sys, kronos; print(sorted({m.split('.')[0] for m in sys.modules} & {'psycopg', 'numpy', 'grpc'}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_library_mode_example_runs_as_a_script(database_url, tmp_path):
    script = tmp_path / "research.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from pathlib import Path
            from kronos import Engine, step, workflow

            @step(retries=3)
            def load(symbol: str) -> list[float]:
                return [1.0, 2.0, 4.0]

            @step(executor="process", timeout="30s")
            def total(prices: list[float]) -> float:
                return sum(prices)

            @workflow(version="1")
            def research(symbol: str) -> float:
                return total(load(symbol))

            if __name__ == "__main__":
                with Engine(workflows=[research], database_url=sys.argv[1], data_dir=Path(sys.argv[2])) as engine:
                    print(engine.start(research, {"symbol": "AAPL"}).result(timeout=60))
            """
        )
    )
    ran = subprocess.run(
        [sys.executable, str(script), database_url, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (ran.stdout, ran.returncode) == ("7.0\n", 0), ran.stderr
    assert ran.stderr == ""


def test_modules_are_served_by_name_and_those_without_a_workflow_are_refused(database_url, tmp_path, monkeypatch):
    (tmp_path / "some_flows.py").write_text(
        "from kronos import step, workflow\n"
        "@step\n"
        "def one() -> int: return 1\n"
        "@workflow(version='3')\n"
        "def first() -> int: return one()\n"
        "@workflow(version='1')\n"
        "def second() -> int: return one()\n"
    )
    (tmp_path / "no_flows.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    with Kronos.open(database_url=database_url, data_dir=tmp_path, workflows=["some_flows"]) as app:
        assert {each.workflow for each in app.history.definitions()} == {"first", "second"}
        with pytest.raises(NotFound, match="module no_flows defines no workflow"):
            app.serve("no_flows")
        with pytest.raises(NotFound, match="no module 'nowhere'"):
            app.serve("nowhere")
        assert len(app.history.definitions()) == 2


def test_registering_again_is_registering_once_and_keeps_the_source(database_url, tmp_path, monkeypatch):
    source = (
        "from kronos import step, workflow\n@step\ndef f() -> int: return 1\n"
        "@workflow(version='1')\ndef w() -> int: return f()\n"
    )
    (tmp_path / "flow_again.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    for _ in range(2):
        with Kronos.open(database_url=database_url, data_dir=tmp_path, workflows=["flow_again"]) as app:
            (definition,) = app.history.definitions()
            stored = {path: app.blobs.get(blob) for path, (_, blob) in definition.sources.items()}
            assert source.encode() in stored.values()
            assert definition.environment["python"].count(".") == 2


def test_readiness_names_the_schema_or_what_is_wrong(database_url, tmp_path):
    with Kronos.open(database_url=database_url, data_dir=tmp_path) as app:
        assert app.ready() == {"database": "ok", "schema": CODE_VERSION}
        app._session._url = "postgresql://nobody@127.0.0.1:1/none"
        app._session.close()
        with pytest.raises(Unavailable, match="does not answer"):
            app.ready()


def test_the_checkpoint_key_is_made_once_and_is_its_owners_alone(database_url, tmp_path):
    with Kronos.open(database_url=database_url, data_dir=tmp_path / "data") as app:
        key = app.checkpoint_key
        assert len(key) == 32
        assert app.checkpoint_key == key
        (made,) = [path for path in Path(tmp_path / "data").iterdir() if path.is_file()]
        assert stat.S_IMODE(made.stat().st_mode) == 0o600


def test_who_starts_a_run_without_its_code_leaves_defaults_to_the_workflow(database_url, tmp_path):
    from kronos import Engine
    from tests.definitions.test_inputs_without_code import by_names

    with (
        Engine(workflows=[by_names], database_url=database_url, data_dir=tmp_path) as engine,
        Kronos.open(database_url=database_url, data_dir=tmp_path) as stranger,
    ):
        run = stranger.wait(stranger.start_json("by_names", '{"symbol": "A"}'), 30)
        assert run.phase == "completed"
        assert run.input == engine.app.history.run(engine.start(by_names, {"symbol": "A"}).run_id).input
