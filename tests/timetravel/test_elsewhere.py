"""A second checkout, whose Kronos was edited and whose data folder has another key, sees the run as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from kronos import Engine
from kronos.flows.backtest import BacktestRequest, single_backtest
from kronos.market.plans import BacktestPlan

ROOT = Path(__file__).parents[2]

PROGRAM = """
import json, sys
from pathlib import Path
import kronos.trading.sma_cross
from kronos import Kronos
from kronos.debugger.machine import Machine

url, folder, run, row, tree = sys.argv[1:]
assert "EDITED" in Path(kronos.trading.sma_cross.__file__).read_text()
app = Kronos.open(database_url=url, data_dir=Path(folder))
machine = Machine(history=app.history, recordings=app.recordings, blobs=app.blobs, catalog=app.catalog,
                  key=app.checkpoint_key, cache_dir=Path(folder) / "cache")
seen = machine.state_at(run, "backtest", int(row), working_tree=tree == "tree")
print(json.dumps([seen.variables, seen.core_chain, str(seen.code), seen.verification.ok, seen.notes]))
machine.close()
app.close()
"""


def test_an_edited_checkout_with_another_key_re_executes_the_captured_runtime(
    engine: Engine, long_walk: str, make_machine, tmp_path: Path
) -> None:
    plan = BacktestPlan(strategy="kronos.trading.sma_cross:SmaCross")
    handle = engine.start(single_backtest, BacktestRequest(dataset=long_walk, plan=plan))
    handle.result(timeout=60)
    row = 200_000
    mine = make_machine().state_at(handle.run_id, "backtest", row)
    checkout = tmp_path / "checkout"
    for name in ("kronos", "migrations"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", checkout)
    strategy = checkout / "kronos" / "trading" / "sma_cross.py"
    text = strategy.read_text()
    assert "self.slow_sum += close - closes[0]" in text
    strategy.write_text(text.replace("self.slow_sum += close - closes[0]", "self.slow_sum += 7 + close - closes[0]"))
    strategy.write_text(strategy.read_text() + "\nEDITED = True\n")

    def ask(mode: str) -> tuple[dict[str, object], str, str, bool, list[str]]:
        done = subprocess.run(
            [
                sys.executable,
                "-P",
                "-c",
                PROGRAM,
                engine.app.url,
                str(tmp_path / "data"),
                handle.run_id,
                str(row),
                mode,
            ],
            env=os.environ | {"PYTHONPATH": str(checkout)},
            cwd=checkout,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    variables, chain, code, verified, notes = ask("captured")
    assert (variables, chain, code, verified) == (mine.variables, mine.core_chain, "captured", True)
    assert "not from this store" in notes[0]
    variables, chain, code, verified, _ = ask("tree")
    assert variables["slow_sum"] != mine.variables["slow_sum"]
    assert (code, verified) == ("working tree", False)
