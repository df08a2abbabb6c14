"""Whom a command asks: a server where `--address` is given, else the database.

Rule: nothing heavy is imported before somebody is asked; `kronos --help` answers at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kronos.client import Client

__all__ = ["opened", "server_client"]


@contextmanager
def opened(address: str | None, token: str | None) -> Iterator[Any]:
    """Yield a `Client` of the server at `address`, or without one a `Kronos` of the database."""
    if address is not None:
        with server_client(address, token) as client:
            yield client
        return
    from kronos.app import Kronos

    with Kronos.open() as app:
        yield app


def server_client(address: str | None, token: str | None) -> Client:
    """Return a client of the server at `address`, by default the one of these settings."""
    from kronos.client import Client
    from kronos.server.tokens import read_or_create
    from kronos.settings import read_settings

    settings = read_settings()
    return Client(address or str(settings.grpc_addr), token or read_or_create(settings.data_dir))
