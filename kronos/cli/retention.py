"""`kronos retention`: how long histories are kept, and what is let go."""

from __future__ import annotations

from typing import Annotated

import typer

from kronos.cli.options import Json
from kronos.cli.output import note, print_json, print_rows

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_classes(json: Json = False) -> None:
    """Classes, how long each keeps, and the partitions that are due."""
    from kronos.app import Kronos

    with Kronos.open() as opened:
        classes, due, held = (
            opened.upkeep.retention.classes(),
            opened.upkeep.retention.due(),
            opened.upkeep.retention.held(),
        )
    if json:
        print_json({"classes": classes, "due": due, "held": held})
        return
    rows = [(c.name, "for ever" if c.keep_s is None else _shown(c.keep_s), c.runs, c.expired) for c in classes]
    print_rows(("class", "keep", "runs", "expired"), rows)
    for each in due:
        pinned = (
            f"kept by {each.pins} runs, such as {each.run} ({each.phase})" if each.pins else "goes at the next turn"
        )
        note(f"due: {each.leaf}: {pinned}")
    for leaf in held:
        note(f"held: {leaf}: detached; kronos retention drop {leaf}")


@app.command("set")
def set_class(
    name: Annotated[str, typer.Argument(metavar="CLASS", help="For workflow(retention=) and start(retention=).")],
    *,
    keep: Annotated[str, typer.Option(help='How long after its end a run is kept, such as "30d"; "forever".')],
    hold: Annotated[
        bool, typer.Option("--hold", help="Keep tables of detached partitions until they are dropped.")
    ] = False,
) -> None:
    """Make a class, or change how long it keeps."""
    from kronos.app import Kronos
    from kronos.errors import InvalidInput
    from kronos.settings import read_duration

    try:
        keep_s = None if keep == "forever" else read_duration(keep)
    except ValueError as error:
        raise InvalidInput(f"--keep {keep!r}: {error}, or forever", field="keep", value=keep) from None
    with Kronos.open() as opened:
        opened.upkeep.retention.set(name, keep_s=keep_s, hold=hold)
    note(f"runs of class {name} are kept {'for ever' if keep_s is None else _shown(keep_s)}")


@app.command()
def expire() -> None:
    """Let go of every partition that is due, now: what a leader does every quarter of an hour."""
    from kronos.app import Kronos
    from kronos.cli.progress import progress_bar

    with Kronos.open() as opened, progress_bar("expiring") as advance:
        gone, due = 0, len([each for each in opened.upkeep.retention.due() if not each.pins])
        while (leaf := opened.upkeep.retention.turn()) is not None:
            gone += 1
            advance(gone, max(gone, due))
            print(leaf)
    note(f"{gone} partitions have expired")


@app.command()
def drop(
    leaf: Annotated[str, typer.Argument(metavar="PARTITION", help="As `kronos retention list` shows it.")],
) -> None:
    """Drop the table of a detached partition."""
    from kronos.app import Kronos

    with Kronos.open() as opened:
        opened.upkeep.retention.drop(leaf)
    note(f"{leaf} is gone")


def _shown(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"
