"""The HTTP application: pages, API, stream, health, behind one guard.

Rule 1: questions run in threads; only streams live on the event loop.
Rule 2: what goes wrong under /api answers with the envelope, anything else with a page; never with a traceback.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kronos.errors import InvalidInput, KronosError, NotFound
from kronos.resources import resource_folder
from kronos.server.api import BODY_MAX, Desk, Endpoint, read_query
from kronos.server.endpoints import ENDPOINTS
from kronos.server.guarding import Guard
from kronos.server.metrics import Metrics
from kronos.server.openapi import document
from kronos.server.pages import Pages
from kronos.server.responses import error_response, json_response
from kronos.server.status import public
from kronos.server.streaming import Streams
from kronos.server.tokens import Secrets

__all__ = ["http_app"]

METHOD_NOT_ALLOWED: Final = 405


def http_app(desk: Desk, streams: Streams, *, secrets: Secrets, metrics: Metrics, hosts: Iterable[str]) -> ASGIApp:
    """Return the whole HTTP surface."""
    pages = Pages(desk, secrets)
    routes = [
        Route("/healthz", _healthz),
        Route("/readyz", _readyz(desk)),
        Route("/", _page(pages, pages.runs)),
        Route("/runs/{run_id}", _page(pages, pages.run)),
        Route("/runs/{run_id}/steps/{step}/report", _page(pages, pages.report)),
        Route("/api/v1/openapi.json", _openapi),
        Route("/api/v1/runs/{run_id}/stream", _stream(streams)),
        *(Route(each.path, _endpoint(desk, each), methods=[each.method]) for each in ENDPOINTS),
        Mount("/static", StaticFiles(directory=resource_folder("debugger_ui") / "static")),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _missed(pages)})
    return _Counted(Guard(app, secrets=secrets, hosts=hosts), metrics)


def _endpoint(desk: Desk, endpoint: Endpoint) -> Callable[[Request], Any]:
    async def handle(request: Request) -> Response:
        try:
            body = await _body(request) if endpoint.body else b""
            query = read_query(request, endpoint.query)
            return await run_in_threadpool(endpoint.handle, desk, request, query, body)
        except Exception as error:
            return error_response(public(error, where=endpoint.summary))

    return handle


async def _body(request: Request) -> bytes:
    found = b""
    async for chunk in request.stream():
        found += chunk
        if len(found) > BODY_MAX:
            raise InvalidInput(f"the body is larger than {BODY_MAX:,} bytes", field="body")
    return found


def _page(pages: Pages, render: Callable[[Request], Response]) -> Callable[[Request], Any]:
    async def handle(request: Request) -> Response:
        try:
            return await run_in_threadpool(render, request)
        except Exception as error:
            return await run_in_threadpool(pages.failed, error)

    return handle


def _stream(streams: Streams) -> Callable[[Request], Any]:
    async def handle(request: Request) -> Response:
        try:
            return await streams.respond(request)
        except Exception as error:
            return error_response(public(error, where="the stream"))

    return handle


def _missed(pages: Pages) -> Callable[[Request, Exception], Any]:
    async def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException), "registered for nothing else"
        if error.status_code == METHOD_NOT_ALLOWED:
            told: KronosError = InvalidInput(f"{request.method} is not for {request.url.path}", field="method")
        else:
            told = NotFound(f"there is nothing at {request.url.path}", path=request.url.path)
        if request.url.path.startswith("/api/"):
            answer = error_response(told)
            answer.status_code = error.status_code
            return answer
        return await run_in_threadpool(pages.failed, told)

    return handle


async def _healthz(request: Request) -> Response:
    return json_response({"status": "ok"})


def _readyz(desk: Desk) -> Callable[[Request], Any]:
    async def handle(request: Request) -> Response:
        try:
            return json_response(await run_in_threadpool(desk.app.ready))
        except Exception as error:
            return error_response(public(error, where="readiness"))

    return handle


async def _openapi(request: Request) -> Response:
    return json_response(document())


class _Counted:
    """Counts answers by method and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin, status = time.perf_counter(), ""

        async def sender(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"
                self._metrics.answered("http", method, status, time.perf_counter() - begin)
            await send(message)

        await self._app(scope, receive, sender)
