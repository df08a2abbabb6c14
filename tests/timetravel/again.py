"""Another process, told by its environment to hash, format and tell the time differently: the same run again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kronos import Engine
from kronos.flows.backtest import BacktestRequest, single_backtest
from kronos.kernel import canonical
from kronos.kernel.ids import parse_run_id
from tests.timetravel.conftest import machine_of
from tests.timetravel.test_seek import heads_of


def main(url: str, folder: str, run: str, row: str) -> None:
    run_id = parse_run_id(run)
    with Engine(workflows=[single_backtest], database_url=url, data_dir=Path(folder)) as engine:
        app = engine.app
        request = canonical.decode(app.history.payload(app.history.run(run_id).input), BacktestRequest)
        handle = engine.start(single_backtest, request)
        result = handle.result(timeout=60)
        machine = machine_of(app)
        seen = machine.state_at(run_id, "backtest", int(row))
        machine.close()
        print(
            json.dumps(
                {
                    "chains": [result.core_chain, result.user_chain],
                    "seen": [seen.core_chain, seen.user_chain],
                    "heads": heads_of(engine, handle.run_id),
                }
            )
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
