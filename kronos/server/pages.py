"""The debugger's pages: templates over the same shapes that the API speaks.

Rule 1: a page is complete without script; scripts only make it live.
Rule 2: templates escape everything; data reaches a script as JSON from the API, never inside the page.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from kronos.core.state import Phase
from kronos.errors import NotFound
from kronos.kernel.ids import RunId, parse_run_id
from kronos.ports.history import RunFilter
from kronos.resources import resource_folder
from kronos.server import shapes
from kronos.server.api import Desk, RunsQuery, read_query, run_id_of
from kronos.server.reading import Budget
from kronos.server.reports import html_of, policy
from kronos.server.status import public, status_of
from kronos.server.tokens import Secrets

__all__ = ["GLYPHS", "Pages", "duration_text"]

GLYPHS: Final[Mapping[str, str]] = {
    "pending": "○",
    "scheduled": "◔",
    "waiting": "◔",
    "running": "◐",
    "retrying": "↻",
    "completed": "✔",
    "failed": "✖",
    "cancelled": "⊘",
    "dead": "☠",
}
"""A status by shape; its word stands beside it, and its colour says the same again."""


class Pages:
    """Renders for one server."""

    def __init__(self, desk: Desk, secrets: Secrets) -> None:
        self._desk = desk
        self._secrets = secrets
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(resource_folder("debugger_ui") / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(clock=_clock, day=_day, took=_took)
        self._templates.globals.update(glyphs=GLYPHS, phases=[phase.value for phase in Phase])

    def runs(self, request: Request) -> Response:
        """The list of runs, filtered by the query string."""
        query: RunsQuery = read_query(request, RunsQuery)
        chosen = RunFilter(
            phases=query.phase,
            workflow=query.workflow or None,
            before=_cursor(query.cursor),
            limit=query.limit,
        )
        page = self._desk.reading.runs(chosen)
        more = [("phase", phase.value) for phase in query.phase]
        more += [("workflow", query.workflow)] if query.workflow else []
        return self._page(
            "runs.html",
            page=page,
            query=query,
            more=more,
            is_filtered=bool(query.phase or query.workflow),
            workflows=self._desk.reading.workflows().workflows,
        )

    def run(self, request: Request) -> Response:
        """One run: steps, timeline, inspector."""
        detail = self._desk.reading.detail(run_id_of(request), Budget(each=0))
        return self._page("run.html", detail=detail, run=detail.run)

    def report(self, request: Request) -> Response:
        """A step's own report, under a policy of its own."""
        run_id, step = run_id_of(request), request.path_params["step"]
        html = html_of(self._desk.positions.value(run_id, "output", step=step, seq=None))
        if html is None:
            raise NotFound(f"step {step!r} of run {run_id} has no report", step=step)
        return HTMLResponse(html, headers={"content-security-policy": policy(html)})

    def failed(self, error: Exception) -> Response:
        """A page that says what is wrong and what to do next."""
        told = public(error, where="this page")
        return self._page("error.html", status=status_of(told).http, error=told)

    def _page(self, name: str, *, status: int = 200, **values: Any) -> Response:
        html = self._templates.get_template(name).render(csrf=self._secrets.csrf, **values)
        return HTMLResponse(html, status_code=status)


def duration_text(start: str | None, end: str | None) -> str:
    """Return the time from `start` to `end` (ns) in its two largest units; "" where one is not known."""
    if start is None or end is None:
        return ""
    ms = max(0, int(end) - int(start)) // 1_000_000
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.2f} s"
    seconds = ms // 1_000
    for big, small, unit, sub in ((86_400, 3_600, "d", "h"), (3_600, 60, "h", "m"), (60, 1, "m", "s")):
        if seconds >= big:
            return f"{seconds // big} {unit} {seconds % big // small} {sub}"
    return f"{seconds} s"


def _cursor(text: str | None) -> RunId | None:
    return None if text is None else parse_run_id(text)


def _took(run: shapes.RunLine) -> str:
    return duration_text(run.started_at, run.finished_at or str(time.time_ns()))


def _clock(value: str | None) -> str:
    return "" if value is None else _utc(value).strftime("%H:%M:%S")


def _day(value: str | None) -> str:
    return "" if value is None else _utc(value).strftime("%Y-%m-%d")


def _utc(value: str) -> datetime:
    return datetime.fromtimestamp(int(value) / 1e9, UTC)
