"""Options that many commands share: one word, one meaning, one help text."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Address", "Json", "RunArgument", "Token", "Where"]

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Address = Annotated[
    str | None, typer.Option("--address", metavar="HOST:PORT", help="Ask this server over gRPC, not the database.")
]
Token = Annotated[str | None, typer.Option("--token", help="For --address; default: that of this data folder.")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="NAME=VALUE", help="Only runs with this attribute; may be repeated."),
]
