"""`kronos fsck` and the other commands that keep a database sound."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kronos.cli.options import Json
from kronos.cli.output import note, print_json
from kronos.cli.progress import progress_bar

__all__ = ["doctor", "fsck", "sweep"]


def fsck(
    *,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Judge the history of this run alone.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Judge the whole database; the default.")] = False,
    anchor: Annotated[Path | None, typer.Option(metavar="FILE", help="Compare with heads that were exported.")] = None,
    write_anchor: Annotated[
        Path | None, typer.Option("--write-anchor", metavar="FILE", help="Export heads, to be kept elsewhere.")
    ] = None,
    json: Json = False,
) -> None:
    """Check every invariant of what is stored; exit 1 when something is wrong, 0 when nothing is."""
    from kronos.app import Kronos
    from kronos.errors import InvalidInput
    from kronos.kernel.ids import parse_run_id

    if everything and run is not None:
        raise InvalidInput("--run and --all exclude each other: give one", field="run", value=run)
    with Kronos.open() as app, progress_bar("fsck") as advance:
        if write_anchor is not None:
            note(f"{app.upkeep.write_anchor(write_anchor, progress=advance)} heads written to {write_anchor}")
            return
        only = None if run is None else parse_run_id(run)
        found = []
        for finding in app.upkeep.fsck(only, anchor=anchor, progress=advance):
            line = {name: getattr(finding, name) for name in ("check", "row", "what", "means", "do")}
            found.append(line)
            if not json:
                print("{check}: {row}: {what}\n    means: {means}\n    do:    {do}".format(**line), flush=True)
    if json:
        print_json(found)
    note(f"{len(found)} findings" if found else "sound: nothing is wrong")
    if found:
        sys.exit(1)


def doctor(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Why is this run not moving?")] = None,
    *,
    json: Json = False,
) -> None:
    """Say why a run is not moving, or what is wrong around all of them; exit 1 when something wants doing."""
    from kronos.app import Kronos
    from kronos.kernel.ids import parse_run_id

    with Kronos.open() as app:
        remarks = app.doctor(None if run is None else parse_run_id(run))
    if json:
        print_json([{"topic": r.topic, "level": r.level, "what": r.what, "do": r.do} for r in remarks])
    else:
        for remark in remarks:
            do = f" -> {remark.do}" if remark.do else ""
            print(f"{remark.level:<4}  {remark.topic}: {remark.what}{do}")
    if any(remark.level == "bad" for remark in remarks):
        sys.exit(1)


def sweep(json: Json = False) -> None:
    """Delete content that nobody has referred to or touched for an hour: what a leader does all the time."""
    from kronos.app import Kronos

    with Kronos.open() as app:
        swept = app.upkeep.sweep()
    if json:
        print_json({"examined": swept.examined, "deleted": swept.deleted, "bytes": swept.bytes})
        return
    note(f"{swept.deleted:,} of {swept.examined:,} blobs are gone ({swept.bytes:,} bytes)")
