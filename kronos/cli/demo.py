"""`kronos demo`: the main job from nothing to a result, in one command.

Rule: it uses what everybody uses: the server over gRPC, a worker, the embedded database; nothing is special about it.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kronos.cli.output import note, print_fields, print_json, print_rows
from kronos.cli.serving import DEMO_WORKFLOWS, Stop, show_logs

if TYPE_CHECKING:
    from kronos.client import Client, RunRecord
    from kronos.server import RunningServer
    from kronos.settings import Settings

__all__ = ["demo", "replay_command"]

WORKFLOW: Final = "sma_research"
RUN_TIMEOUT_S: Final = 600.0
TEXT_MAX: Final = 1_000
LIST_MAX: Final = 20
_PORTS: Final = {"GRPC_ADDR": "grpc_addr", "ADMIN_ADDR": "admin_addr", "METRICS_ADDR": "metrics_addr"}


def demo(
    leave: Annotated[bool, typer.Option("--exit", help="Leave when it is done, also in a terminal.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Start everything, run a research workflow on real daily bars, and show where to look at it."""
    import logging

    show_logs(logging.WARNING)
    stays = not leave and sys.stdout.isatty()
    with ExitStack() as stack:
        stop = Stop() if stays else None
        client, server, steps = stack.enter_context(_everything(free_ports(_settings())))
        run = _run(client, steps)
        found = _outcome(run, steps, server.run_url(run.run_id, with_token=True))
        print_json(found) if json else _print(found)
        if stop is not None:
            note("\nup until Ctrl-C")
            stop.wait()
    if run.phase != "completed":
        sys.exit(1)


def free_ports(settings: Settings) -> Settings:
    """Let the system choose every port that the environment does not."""
    from kronos.settings import Address

    chosen: dict[str, Any] = {
        field: Address("127.0.0.1", 0) for name, field in _PORTS.items() if name not in settings.given
    }
    return replace(settings, **chosen)


def replay_command(run_id: str, settings: Settings) -> str:
    """Return what to type to replay a run, as it works from here."""
    on_path = shutil.which("kronos")
    typed = Path(sys.argv[0])
    if on_path is not None and typed.name == "kronos" and Path(on_path).resolve() == typed.resolve():
        program = ["kronos"]
    elif typed.name == "kronos":
        program = [str(typed)]
    else:
        program = [sys.executable, "-m", "kronos"]
    command = shlex.join([*program, "replay", run_id])
    given = "KRONOS_DATA_DIR" in settings.given
    return f"KRONOS_DATA_DIR={shlex.quote(str(settings.data_dir))} {command}" if given else command


def _settings() -> Settings:
    from kronos.settings import read_settings

    return read_settings()


@contextmanager
def _everything(settings: Settings) -> Iterator[tuple[Client, RunningServer, int]]:
    """Start database, server and worker; yield a client, the server, and how many steps there will be."""
    note("starting the database" if settings.database_url is None else "connecting to the database")
    from kronos.app import Kronos
    from kronos.client import Client
    from kronos.server import serve

    with ExitStack() as stack:
        opened = stack.enter_context(Kronos.open(settings, workflows=DEMO_WORKFLOWS))
        running = serve(opened)
        stack.callback(running.stop)
        working = opened.worker().start()
        stack.callback(working.stop, 10.0)
        client = stack.enter_context(Client(str(running.grpc_address), running.token))
        served = opened.definitions.named(WORKFLOW)
        assert served is not None, "the demo workflow is among those served"
        yield client, running, len(served.graph.nodes)


def _run(client: Client, steps: int) -> RunRecord:
    from kronos.cli.progress import progress_bar

    run_id = client.start(WORKFLOW, {})
    note(f"run {run_id} started")
    done = 0
    with progress_bar(f"{WORKFLOW}: {steps} steps") as advance:
        for event in client.follow(run_id, timeout_s=RUN_TIMEOUT_S):
            done += event.kind == "step_completed"
            advance(done, steps)
    return client.result(run_id, timeout_s=RUN_TIMEOUT_S)


def _outcome(run: RunRecord, steps: int, url: str) -> dict[str, Any]:
    ended = run.finished_at_ns or time.time_ns()
    return {
        "run_id": run.run_id,
        "workflow": run.workflow,
        "status": run.phase,
        "steps": steps,
        "events": run.head_seq,
        "seconds": round((ended - run.created_at_ns) / 1e9, 3),
        "result": shortened(run.output) if run.failure is None else {"failure": run.failure, "step": run.failed_step},
        "debugger_url": url,
        "replay_command": replay_command(run.run_id, _settings()),
    }


def shortened(value: Any) -> Any:
    """Return a result without what only a page can show: long texts and long lists are told by their size."""
    if isinstance(value, dict):
        return {key: shortened(each) for key, each in value.items()}
    if isinstance(value, list):
        return f"({len(value)} items)" if len(value) > LIST_MAX else [shortened(each) for each in value]
    return f"({len(value):,} characters)" if isinstance(value, str) and len(value) > TEXT_MAX else value


def _print(found: dict[str, Any]) -> None:
    result = found["result"] if isinstance(found["result"], dict) else {"result": found["result"]}
    tables = {key: value for key, value in result.items() if _is_table(value)}
    print_fields({key: found[key] for key in ("run_id", "workflow", "status", "steps", "events", "seconds")})
    print()
    print_fields({key: value for key, value in result.items() if key not in tables})
    for rows in tables.values():
        print()
        titles = [key for key, value in rows[0].items() if not isinstance(value, list | dict)]
        print_rows(titles, [[_figure(row.get(title)) for title in titles] for row in rows])
    print()
    print_fields({"debugger": found["debugger_url"], "replay": found["replay_command"]})


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _figure(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
