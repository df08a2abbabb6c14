"""The surfaces: gRPC, HTTP and metrics.  They translate; they never decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kronos.server.running import RunningServer, serve
    from kronos.server.tokens import read_or_create

__all__ = ["RunningServer", "read_or_create", "serve"]


def __getattr__(name: str) -> Any:
    """Load the servers on first use: whoever only wants the token does not wait for them."""
    if name in {"RunningServer", "serve"}:
        from kronos.server import running

        return getattr(running, name)
    if name == "read_or_create":
        from kronos.server.tokens import read_or_create as found

        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
