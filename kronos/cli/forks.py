"""`kronos runs fork | retry | lineage`: over gRPC where `--address` is given, else straight from the database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kronos.cli.inputs import read_assignments, read_input
from kronos.cli.output import note, print_json, show_time
from kronos.errors import InvalidInput

if TYPE_CHECKING:
    from kronos.app import Changes, Kronos
    from kronos.kernel.ids import RunId

__all__ = ["add_forks"]

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Address = Annotated[
    str | None, typer.Option("--address", metavar="HOST:PORT", help="Ask this server over gRPC, not the database.")
]
Token = Annotated[str | None, typer.Option("--token", help="For --address; default: that of this data folder.")]
AllowExternal = Annotated[
    bool, typer.Option("--allow-external", help="Let it act on the world outside once more (external and tx steps).")
]


def add_forks(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (fork, retry, lineage):
        app.command()(command)


def fork(
    run: RunArgument,
    *,
    at: Annotated[str | None, typer.Option("--at", metavar="STEP", help="Run this step and the rest again.")] = None,
    at_seq: Annotated[int | None, typer.Option("--at-seq", metavar="N", help="Share the facts up to this one.")] = None,
    run_input: Annotated[str, typer.Option("--input", metavar="JSON|@FILE", help="Another run input.")] = "",
    set_output: Annotated[
        list[str] | None, typer.Option("--set-output", metavar="STEP=JSON", help="Stands for executing the step.")
    ] = None,
    set_input: Annotated[
        list[str] | None, typer.Option("--set-input", metavar="STEP=JSON", help="Arguments to replace, an object.")
    ] = None,
    version: Annotated[str, typer.Option(help="Code of another registered version.")] = "",
    here: Annotated[bool, typer.Option("--here", help="Code of this checkout, which is registered.")] = False,
    allow_external: AllowExternal = False,
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Go back to a moment of a run, change something, and run on from there; prints the new run's id.

    What completed before is kept.  Without changes the step and all that depends on it run again; with changes only
    that for which something changed.
    """
    from kronos.kernel.ids import parse_run_id

    run_id = parse_run_id(run)
    if here and (version or address is not None):
        other = "--version names other code" if version else "a server does not have the code of this checkout"
        raise InvalidInput(f"--here and {other}: give one of them", field="here")
    outputs, inputs = read_assignments(set_output, "--set-output"), read_assignments(set_input, "--set-input")
    given = read_input(run_input)
    if address is not None:
        from kronos.cli.runs_source import server_client

        with server_client(address, token) as client:
            made = client.forks.fork_json(
                run_id, at=at or "", at_seq=at_seq, run_input=given, inputs=inputs, outputs=outputs, version=version,
                allow_external=allow_external,
            )  # fmt: skip
    else:
        from kronos.app import Kronos
        from kronos.app.changes import changes_from_json

        with Kronos.open() as app:
            changes = changes_from_json(
                run_input=given, outputs=outputs, inputs=inputs, version=version, allow_external=allow_external
            )
            made = app.fork(run_id, at=at, at_seq=at_seq, changes=_with_checkout(app, run_id, changes, here=here))
    print_json({"run_id": made}) if json else print(made)


def retry(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run; none with --failed or --phase.")] = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="All failed runs that have no fork yet.")] = False,
    phase: Annotated[
        list[str] | None, typer.Option("--phase", help="All runs in this phase instead: failed, cancelled, dead.")
    ] = None,
    workflow: Annotated[str, typer.Option(help="Of these, only runs of this workflow.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only the count is printed.")] = False,
    allow_external: AllowExternal = False,
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Run again what failed, in a fork that keeps all that completed; prints the new run's id."""
    if (run is None) == (not failed and not phase):
        raise InvalidInput("give a run, or say which with --failed or --phase PHASE", field="run", value=run)
    if run is None:
        _retry_many(phase or ["failed"], workflow, yes=yes, allow_external=allow_external, address=address, json=json)
        return
    from kronos.kernel.ids import parse_run_id

    run_id = parse_run_id(run)
    if address is not None:
        from kronos.cli.runs_source import server_client

        with server_client(address, token) as client:
            made = client.forks.retry(run_id, allow_external=allow_external)
    else:
        from kronos.app import Kronos

        with Kronos.open() as app:
            made = app.forks.retry(run_id, allow_external=allow_external)
    print_json({"run_id": made}) if json else print(made)


def lineage(run: RunArgument, *, address: Address = None, token: Token = None, json: Json = False) -> None:
    """The runs that a run comes from, and those that come from it, as a tree."""
    from kronos.kernel.ids import parse_run_id

    run_id = parse_run_id(run)
    if address is not None:
        from kronos.cli.runs_source import server_client

        with server_client(address, token) as client:
            found: Any = client.forks.lineage(run_id)
            kin = [*found.ancestors, found.run, *found.descendants]
            lines = [_line(each, each.created_at_ns) for each in kin]
    else:
        from kronos.app import Kronos

        with Kronos.open() as app:
            found = app.forks.family(run_id)
            kin = [*found.ancestors, found.run, *found.descendants]
            lines = [_line(each, each.created_at) for each in kin]
    if json:
        print_json({"run_id": run_id, "runs": lines, "is_cut": found.is_cut})
        return
    _print_tree(lines, run_id)
    if found.is_cut:
        note("there are more descendants than are shown")


def _with_checkout(app: Kronos, run_id: RunId, changes: Changes, *, here: bool) -> Changes:
    if not here:
        return changes
    from dataclasses import replace

    from kronos.debugger.replay_code import CheckedOutCode

    definition = app.history.definition(app.history.run(run_id).definition)
    workflow = CheckedOutCode(definition, Path.cwd()).workflow()
    if workflow is None:
        raise InvalidInput(
            f"--here: no workflow {definition.workflow!r} can be found in {Path.cwd()}: go where its code is",
            field="here",
        )
    note(f"the code of {workflow.target.partition(':')[0]} is registered; a worker that serves it executes the fork")
    return replace(changes, workflow=workflow)


def _retry_many(
    phases: list[str], workflow: str, *, yes: bool, allow_external: bool, address: str | None, json: bool
) -> None:
    if address is not None:
        raise InvalidInput("many runs are retried from the database: leave out --address", field="address")
    from kronos.app import Kronos
    from kronos.cli.runs_source import phase_of

    with Kronos.open() as app:
        runs = app.forks.retriable(workflow or None, tuple(map(phase_of, phases)))
        if not yes:
            print_json({"count": len(runs), "runs": [run.id for run in runs]}) if json else print(len(runs))
            note("nothing was done: add --yes to retry them")
            return
        done = app.forks.retry_many(runs, allow_external=allow_external)
    lines = [{"run_id": each.run_id, "fork": each.fork, "refused": each.refused} for each in done]
    if json:
        print_json(lines)
    for line in [] if json else lines:
        print(f"{line['run_id']}  {line['fork'] or 'refused: ' + str(line['refused'])}")
    if any(each.refused for each in done):
        sys.exit(1)


def _line(kin: Any, created_at_ns: int) -> dict[str, Any]:
    return {
        "run_id": kin.run_id,
        "parent": kin.parent,
        "parent_seq": kin.parent_seq,
        "version": kin.version,
        "phase": str(kin.phase),
        "created_at": show_time(created_at_ns),
        "changed": kin.changed,
    }


def _print_tree(lines: list[dict[str, Any]], run_id: str) -> None:
    known = {line["run_id"] for line in lines}
    children: dict[str | None, list[dict[str, Any]]] = {}
    for line in lines:
        children.setdefault(line["parent"] if line["parent"] in known else None, []).append(line)
    todo = [(line, 0) for line in reversed(children.get(None, []))]
    while todo:
        line, depth = todo.pop()
        where = f"after seq {line['parent_seq']}: " if line["parent"] else ""
        changed = ", ".join(line["changed"]) or ("nothing changed" if line["parent"] else f"version {line['version']}")
        here = " ←" if line["run_id"] == run_id else ""
        print(f"{'  ' * depth}{line['run_id']}  {line['phase']}  {where}{changed}{here}")
        todo += [(child, depth + 1) for child in reversed(children.get(line["run_id"], []))]
