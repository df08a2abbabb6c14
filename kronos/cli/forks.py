"""`kronos runs fork | retry | lineage`: over gRPC where `--address` is given, else straight from the database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kronos.cli.inputs import read_assignments, read_input
from kronos.cli.options import Address, Json, RunArgument, Token
from kronos.cli.output import note, print_json, show_time
from kronos.errors import InvalidInput

if TYPE_CHECKING:
    from kronos.app import Changes, Kronos
    from kronos.app.fork_many import Forked
    from kronos.kernel.ids import RunId
    from kronos.ports.history import RunFilter, RunSummary

__all__ = ["add_forks"]

OneOrMany = Annotated[str, typer.Argument(metavar="[RUN]", help="The run's id; left out for many.")]
Phases = Annotated[list[str] | None, typer.Option("--phase", help="Of many: only runs in this phase; may be repeated.")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="NAME=VALUE", help="Of many: only runs with this attribute; may be repeated."),
]
WorkflowName = Annotated[str, typer.Option("--workflow", help="Of many: only runs of this workflow.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Of many: only count the runs.")]
AllowExternal = Annotated[
    bool, typer.Option("--allow-external", help="Let it act on the world outside once more (external and tx steps).")
]


def add_forks(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (fork, retry, lineage):
        app.command()(command)


def fork(
    run: OneOrMany = "",
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
    phase: Phases = None,
    where: Where = None,
    workflow: WorkflowName = "",
    dry_run: DryRun = False,
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Go back to a moment of a run, change something, and run on from there; prints the new run's id.

    What completed before is kept.  Without changes the step and all that depends on it run again; with changes only
    that for which something changed.
    """
    if here and (version or address is not None):
        other = "--version names other code" if version else "a server does not have the code of this checkout"
        raise InvalidInput(f"--here and {other}: give one of them", field="here")
    many = _many(run, phase, where, workflow, dry_run=dry_run, address=address)
    texts: dict[str, Any] = {
        "run_input": read_input(run_input),
        "outputs": read_assignments(set_output, "--set-output"),
        "inputs": read_assignments(set_input, "--set-input"),
        "version": version,
        "allow_external": allow_external,
    }
    from kronos.app import Kronos
    from kronos.app.changes import changes_from_json
    from kronos.kernel.ids import parse_run_id

    if address is not None:
        from kronos.cli.opening import server_client

        with server_client(address, token) as client:
            _print_made(client.forks.fork_json(parse_run_id(run), at=at or "", at_seq=at_seq, **texts), json=json)
        return
    with Kronos.open() as app:
        changes = changes_from_json(**texts)
        if many is None:
            run_id = parse_run_id(run)
            changes = _with_checkout(app, run_id, changes, here=here)
            _print_made(app.fork(run_id, at=at, at_seq=at_seq, changes=changes), json=json)
            return
        runs = app.forks.chosen(many)
        if dry_run or not runs:
            _print_count(runs, json=json)
            return
        changes = _with_checkout(app, runs[0].id, changes, here=here)
        _print_done(app.forks.fork_many(runs, at=at, at_seq=at_seq, changes=changes), json=json)


def retry(
    run: OneOrMany = "",
    *,
    failed: Annotated[bool, typer.Option("--failed", help="All failed runs that have no fork yet.")] = False,
    phase: Phases = None,
    where: Where = None,
    workflow: WorkflowName = "",
    dry_run: DryRun = False,
    allow_external: AllowExternal = False,
    address: Address = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Run again what failed, in a fork that keeps all that completed; of many, those that have no fork yet."""
    phases = [*(phase or []), *(["failed"] if failed else [])]
    many = _many(run, phases, where, workflow, dry_run=dry_run, address=address)
    from kronos.app import Kronos
    from kronos.kernel.ids import parse_run_id

    if address is not None:
        from kronos.cli.opening import server_client

        with server_client(address, token) as client:
            _print_made(client.forks.retry(parse_run_id(run), allow_external=allow_external), json=json)
        return
    with Kronos.open() as app:
        if many is None:
            _print_made(app.forks.retry(parse_run_id(run), allow_external=allow_external), json=json)
            return
        runs = app.forks.retriable(many)
        if dry_run:
            _print_count(runs, json=json)
            return
        _print_done(app.forks.retry_many(runs, allow_external=allow_external), json=json)


def lineage(run: RunArgument, *, address: Address = None, token: Token = None, json: Json = False) -> None:
    """The runs that a run comes from, and those that come from it, as a tree."""
    from kronos.kernel.ids import parse_run_id

    run_id = parse_run_id(run)
    if address is not None:
        from kronos.cli.opening import server_client

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


def _many(
    run: str, phases: list[str] | None, where: list[str] | None, workflow: str, *, dry_run: bool, address: str | None
) -> RunFilter | None:
    """Return which runs are meant, None for the one that is named."""
    from kronos.cli.runs_source import phase_of
    from kronos.core.attributes import parse_where
    from kronos.ports.history import RunFilter

    conditions = parse_where(where or [])
    if bool(run) == bool(phases or conditions or workflow):
        raise InvalidInput("give a RUN, or --phase, --where or --workflow for many", field="run", value=run)
    if run:
        if dry_run:
            raise InvalidInput("--dry-run counts many runs: leave it out with one RUN", field="dry_run")
        return None
    if address is not None:
        raise InvalidInput("many runs are forked from the database: leave out --address", field="address")
    return RunFilter(phases=tuple(map(phase_of, phases or ())), where=conditions, workflow=workflow or None)


def _print_made(made: str, *, json: bool) -> None:
    print_json({"run_id": made}) if json else print(made)


def _print_count(runs: list[RunSummary], *, json: bool) -> None:
    print_json({"count": len(runs), "runs": [run.id for run in runs]}) if json else print(len(runs))


def _print_done(done: list[Forked], *, json: bool) -> None:
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
