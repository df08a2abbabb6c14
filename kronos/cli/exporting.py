"""`kronos export`: histories as Parquet."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kronos.cli.output import note, print_json
from kronos.cli.progress import progress_bar

if TYPE_CHECKING:
    from kronos.app.exporting import Exported
    from kronos.core.state import Phase

__all__ = ["export"]


def export(
    *,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="For runs.parquet, events.parquet, steps.parquet.")],
    runs: Annotated[list[str] | None, typer.Option("--runs", metavar="RUN", help="This run; may be repeated.")] = None,
    workflow: Annotated[str | None, typer.Option(help="All runs of this workflow.")] = None,
    phase: Annotated[list[str] | None, typer.Option(help="All runs in this phase; may be repeated.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Created then or later: 2026-01-31, or with T12:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Created before; without a zone, UTC.")] = None,
    partition: Annotated[
        str | None, typer.Option(help="A detached partition, as `kronos retention list` shows it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write runs, their events and their attempts as Parquet files with typed columns."""
    from kronos.app import Kronos
    from kronos.errors import InvalidInput
    from kronos.kernel.ids import parse_run_id
    from kronos.ports.history import RunFilter

    filters = [workflow, phase, since, until]
    if sum(map(bool, (runs, any(filters), partition))) > 1:
        raise InvalidInput("--runs, --partition and the filters exclude each other: give one kind", field="runs")
    chosen = RunFilter(phases=tuple(_phase(each) for each in phase or ()), workflow=workflow)
    since_ns, until_ns = _time(since, "since"), _time(until, "until")
    ids = [parse_run_id(each) for each in runs or ()]
    with Kronos.open() as app, progress_bar("exporting") as advance:
        if ids:
            written = app.upkeep.export(to, ids, progress=advance)
        elif partition is not None:
            written = app.upkeep.export_partition(to, partition, progress=advance)
        else:
            written = app.upkeep.export_where(to, chosen, since_ns=since_ns, until_ns=until_ns, progress=advance)
    _show(written, to, json=json)


def _show(written: Exported, to: Path, *, json: bool) -> None:
    if json:
        print_json({"runs": written.runs, "events": written.events, "steps": written.steps, "folder": str(to)})
    else:
        note(f"{written.runs:,} runs, {written.events:,} events, {written.steps:,} attempts written to {to}")


def _phase(text: str) -> Phase:
    from kronos.core.state import Phase
    from kronos.errors import InvalidInput

    try:
        return Phase(text)
    except ValueError:
        known = ", ".join(Phase)
        raise InvalidInput(f"--phase {text!r} is unknown; known: {known}", field="phase", value=text) from None


def _time(text: str | None, field: str) -> int | None:
    from kronos.errors import InvalidInput

    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"--{field} {text!r}: write it as 2026-01-31 or 2026-01-31T12:00Z", field=field, value=text
        ) from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000
