"""`kronos db`: the embedded Postgres of this data folder, kept up for others."""

from __future__ import annotations

import typer

from kronos.cli.output import note

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)


@app.command()
def start() -> None:
    """Start the database and keep it up when nobody uses it; prints DATABASE_URL's value."""
    from kronos.settings import read_settings
    from kronos.storage.embedded import EmbeddedPostgres

    print(EmbeddedPostgres(read_settings().data_dir).start(keep=True))
    note("kept up until `kronos db stop`")


@app.command()
def url() -> None:
    """Print the URL of the running database: DATABASE_URL=$(kronos db url)."""
    from kronos.settings import read_settings
    from kronos.storage.embedded import EmbeddedPostgres

    print(EmbeddedPostgres(read_settings().data_dir).url())


@app.command()
def stop() -> None:
    """Stop the database, whoever uses it."""
    from kronos.settings import read_settings
    from kronos.storage.embedded import EmbeddedPostgres

    database = EmbeddedPostgres(read_settings().data_dir)
    was_up = database.server_pid() is not None
    database.stop()
    note("stopped" if was_up else "no database is running")
