"""Two places to ask for jobs, queues and dead letters, and one shape in which they are printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from kronos.cli.opening import opened
from kronos.cli.output import show_time
from kronos.errors import InvalidInput
from kronos.kernel import canonical
from kronos.kernel.unreadable import readable_text

__all__ = ["job_fields", "jobs_source"]


class JobsOfDatabase:
    """The database itself."""

    def __init__(self, app: Any) -> None:
        self.jobs, self.queues, self.dead_letters = app.jobs, app.queues, app.dead_letters

    def list_jobs(self, *, queue: str, states: Any, target: str, limit: int, before: str) -> Any:
        from kronos.core.jobs import JobState
        from kronos.ports.jobbook import JobFilter

        unknown = [each for each in states if each not in tuple(JobState)]
        if unknown:
            raise InvalidInput(
                f"state {unknown[0]!r} is unknown; known: {', '.join(JobState)}", field="state", value=unknown[0]
            )
        return self.jobs.list(
            JobFilter(
                queue=queue or None,
                target=target or None,
                states=tuple(map(JobState, states)) or None,
                limit=limit,
                before=before or None,  # type: ignore[arg-type]
            )
        )

    def list_dead(self, *, error: str, what: str, limit: int) -> Any:
        return self.dead_letters.list(error=error or None, what=what or None, limit=limit)

    def keys(self, queue: str) -> list[tuple[str, int, int]]:
        return [(each.key, each.pending, each.running) for each in self.queues.keys(queue)]


class JobsOfServer:
    """A server, over gRPC."""

    def __init__(self, client: Any) -> None:
        self.jobs, self.queues, self.dead_letters = client.jobs, client.queues, client.dead_letters

    def list_jobs(self, **wanted: Any) -> Any:
        return self.jobs.list(**wanted)

    def list_dead(self, **wanted: Any) -> Any:
        return self.dead_letters.list(**wanted)

    def keys(self, queue: str) -> list[tuple[str, int, int]]:
        return [(key, *counts) for key, counts in self.queues.get(queue).keys.items()]


@contextmanager
def jobs_source(address: str | None, token: str | None) -> Iterator[JobsOfDatabase | JobsOfServer]:
    """Yield where jobs, queues and dead letters are asked for."""
    with opened(address, token) as place:
        yield JobsOfDatabase(place) if address is None else JobsOfServer(place)


def job_fields(record: Any) -> dict[str, Any]:
    """Return a record as it is printed: JSON decoded, times as text."""
    fields: dict[str, Any] = {name: getattr(record, name) for name in record.__struct_fields__}
    for name, value in fields.items():
        if name in ("at", "last") or name.endswith("_at"):
            fields[name] = None if value is None else show_time(value)
        elif name in ("input", "output") and isinstance(value, bytes):
            fields[name] = canonical.decode(readable_text(value).encode())
        elif isinstance(value, msgspec.Struct):
            fields[name] = msgspec.to_builtins(value)
    return fields
