"""`kronos data`: from a file to an immutable dataset, and what is on the shelf."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kronos.cli.options import Json
from kronos.cli.output import note, print_fields, print_json, print_rows, show_time
from kronos.errors import InvalidInput

if TYPE_CHECKING:
    from kronos.market import Manifest

__all__ = ["app", "instant", "pairs", "read_decimal"]

app = typer.Typer(no_args_is_help=True)


@app.command("import")
def import_file(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Bars (CSV, Feather, Parquet), a file of Binance's archive, a capture."),
    ],
    *,
    name: Annotated[str | None, typer.Option(help="Default: the file's name.")] = None,
    instrument: Annotated[str | None, typer.Option(help="Such as BTCUSDT; default: the name.")] = None,
    tick: Annotated[str | None, typer.Option(help="Price step, such as 0.01; default: the finest that occurs.")] = None,
    volume_step: Annotated[str | None, typer.Option(help="Volume step; default: the finest that occurs.")] = None,
    interval: Annotated[str | None, typer.Option(help="Bar length, such as 1h; default: the most frequent.")] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="Such as close=Close; may be repeated.")
    ] = None,
    gaps: Annotated[str, typer.Option(help="refuse or accept: what to do with missing bars.")] = "refuse",
    actions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Splits and dividends: a table of date, type, value.")
    ] = None,
    calendar: Annotated[str | None, typer.Option(help="Trading days that explain gaps.")] = None,
    format: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option(help="aggTrades, trades, klines, futures-…: where it cannot be told.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="bars, trades or quotes; default: as its columns say.")] = None,
    clock: Annotated[
        str, typer.Option(help="as-is, or shift a capture's clock until nothing is known early.")
    ] = "as-is",
    accept: Annotated[
        list[str] | None, typer.Option(metavar="CHECK", help="Let a finding of the gate pass; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Import a file; whatever is wrong with it is refused, naming the row, and listed in the quarantine."""
    if not file.is_file():
        raise InvalidInput(f"{file}: there is no such file", field="file", value=str(file))
    fields = pairs(mapping or [], "--map") or None
    steps = read_decimal(tick, "--tick"), read_decimal(volume_step, "--volume-step")
    interval_ns = None if interval is None else _interval(interval)
    from kronos.app import Kronos
    from kronos.cli.progress import progress_bar
    from kronos.market import BringOptions
    from kronos.market.actions import read_actions

    options = BringOptions(
        name=name or file.name.split(".")[0],
        instrument=instrument or name or file.name.split(".")[0],
        mapping=fields,
        tick=steps[0],
        volume_step=steps[1],
        interval_ns=interval_ns,
        gaps=gaps,  # type: ignore[arg-type]  # checked by ImportOptions, in our words
        calendar=calendar,
        format=format,
        clock=clock,
        kind=kind,
        actions=() if actions is None else read_actions(actions),
        accept=tuple(accept or ()),
    )
    with Kronos.open() as opened, progress_bar(f"importing {file.name}") as advance:
        manifests = opened.importer.bring(file, options, progress=advance)
    _print_all(manifests, json=json)


@app.command()
def query(
    dataset: Annotated[str, typer.Argument(metavar="NAME", help="A name, an id, or the first 12 digits of one.")],
    *,
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="First row, ISO 8601 in UTC.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before this row, ISO 8601.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to print at most.")] = 20,
    output: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="All to a .parquet or .csv.")] = None,
    json: Json = False,
) -> None:
    """Rows of a dataset by range, printed or written to a file."""
    from kronos.app import Kronos
    from kronos.market.frames import write_table

    since_ns = None if since is None else instant(since, "--from")
    until_ns = None if until is None else instant(until, "--to")
    with Kronos.open() as opened:
        table = opened.catalog.table(dataset, since_ns=since_ns, until_ns=until_ns)
    if output is not None:
        write_table(table, output)
        note(f"{table.num_rows:,} rows written to {output}")
        return
    rows = table.slice(0, limit).to_pylist()
    if json:
        print_json(rows)
        return
    print_rows(table.column_names, [list(row.values()) for row in rows])
    note(f"{len(rows):,} of {table.num_rows:,} rows")


@app.command()
def candles(
    dataset: Annotated[str, typer.Argument(metavar="TRADES", help="A dataset of trades, by name or id.")],
    *,
    interval: Annotated[str, typer.Option(help="Such as 1m.")],
    name: Annotated[str | None, typer.Option(help="Default: the trades' name and the interval.")] = None,
    json: Json = False,
) -> None:
    """Make bars of a dataset of trades."""
    interval_ns = _interval(interval)
    from kronos.app import Kronos
    from kronos.cli.progress import progress_bar

    with Kronos.open() as opened, progress_bar(f"candles of {interval}") as advance:
        made = opened.importer.candles(dataset, interval_ns, name=name or f"{dataset}-{interval}", progress=advance)
    _print_all([made], json=json)


@app.command()
def quarantine(json: Json = False) -> None:
    """Files that the gate holds back, newest first, and why."""
    from kronos.app import Kronos
    from kronos.kernel import canonical

    with Kronos.open() as opened:
        held = opened.importer.held()
    if json:
        print_json(
            [
                {"name": each.name, "file": each.file, "sha256": each.sha256, "at": show_time(each.at_ns),
                 "message": each.message, "report": canonical.decode(each.report, list[dict[str, Any]])}
                for each in held
            ]
        )  # fmt: skip
        return
    print_rows(("name", "file", "at", "why"), [(e.name, e.file, show_time(e.at_ns), e.message) for e in held])


@app.command("list")
def list_datasets(json: Json = False) -> None:
    """Datasets, newest first."""
    from kronos.app import Kronos

    with Kronos.open() as opened:
        found = [_fields(opened.catalog.manifest(dataset)) for dataset in opened.catalog.list()]
    if json:
        print_json(found)
        return
    titles = ("name", "id", "instrument", "rows", "from", "to")
    print_rows(titles, [(d["name"], d["id"][:12], d["instrument"], d["rows"], d["start"], d["end"]) for d in found])


@app.command()
def show(
    dataset: Annotated[str, typer.Argument(metavar="NAME", help="A name, an id, or the first 12 digits of one.")],
    json: Json = False,
) -> None:
    """One dataset, and what its import found."""
    from kronos.app import Kronos

    with Kronos.open() as opened:
        manifest = opened.catalog.manifest(dataset)
    _print(manifest, json=json)


def _interval(text: str) -> int:
    from kronos.settings import read_duration

    try:
        return round(read_duration(text) * 1e9)
    except ValueError as error:
        raise InvalidInput(f"--interval {text}: {error}", field="interval", value=text) from None


def pairs(texts: list[str], option: str) -> dict[str, str]:
    """Return `name=value` texts as a mapping."""
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise InvalidInput(f"{option} {text}: write it as name=value", field=option.lstrip("-"), value=text)
        found[name.strip()] = value.strip()
    return found


def instant(text: str, option: str) -> int:
    """Return an ISO 8601 date or time, UTC where it names no zone, in ns since the epoch."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{option} {text}: give a date such as 2020-01-01", field=option, value=text) from None
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return int(aware.timestamp()) * 1_000_000_000


def read_decimal(text: str | None, option: str) -> Decimal | None:
    if text is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        raise InvalidInput(f"{option} {text}: give a decimal number such as 0.01", field=option, value=text) from None


def _print_all(manifests: list[Manifest], *, json: bool) -> None:
    if json and len(manifests) > 1:
        print_json([{**_fields(each), "manifest": each} for each in manifests])
        return
    for manifest in manifests:
        _print(manifest, json=json)
        if manifest.missing and not json:
            note(f"{manifest.missing} bars are missing in {manifest.gap_count} gaps: accepted")
        for finding in manifest.findings if not json else ():
            note(f"{finding.check}: {finding.detail} ({finding.count} rows)")


def _print(manifest: Manifest, *, json: bool) -> None:
    if json:
        print_json({**_fields(manifest), "manifest": manifest})
        return
    print_fields(_fields(manifest))


def _fields(manifest: Manifest) -> dict[str, Any]:
    found = manifest.dataset
    return {
        "name": found.name,
        "id": found.id,
        "instrument": found.instrument,
        "kind": found.kind,
        "rows": found.rows,
        "start": show_time(found.start_ns),
        "end": show_time(found.end_ns),
        "tick": str(found.tick),
        "volume_step": str(found.volume_step),
        "interval_ns": found.interval_ns,
        "gaps": manifest.gap_count,
        "missing": manifest.missing,
        "splits": len(manifest.splits),
        "dividends": len(manifest.dividends),
        "jumps": len(manifest.jumps),
    }
