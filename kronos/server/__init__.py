"""The surfaces: gRPC, HTTP and metrics.  They translate; they never decide."""

from kronos.server.running import RunningServer, serve
from kronos.server.tokens import read_or_create

__all__ = ["RunningServer", "read_or_create", "serve"]
