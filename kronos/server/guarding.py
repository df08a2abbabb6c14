"""Who gets in, and under which rules a browser may use what it gets.

Rule 1: everything needs the token but /healthz and /readyz.
Rule 2: a page of another site can make a browser send requests here; so the Host must be ours (DNS rebinding), the
        cookie is SameSite=Strict, and whatever changes something carries the CSRF word.
Rule 3: the policy forbids every inline script and style, and every string that would become HTML.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kronos.errors import InvalidInput, KronosError, PermissionDenied, Unauthenticated
from kronos.server.reports import digest
from kronos.server.responses import error_response
from kronos.server.tokens import Secrets

__all__ = ["CSRF_HEADER", "Guard"]

CSRF_HEADER: Final = "x-csrf-token"
OPEN: Final = frozenset({"/healthz", "/readyz"})
COOKIE_AGE_S: Final = 30 * 86_400
SAFE: Final = frozenset({"GET", "HEAD"})

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


class Guard:
    """Stands before the whole HTTP application."""

    def __init__(self, app: ASGIApp, *, secrets: Secrets, hosts: Iterable[str]) -> None:
        self._app = app
        self._secrets = secrets
        self._hosts = frozenset(host.lower() for host in (*hosts, "localhost", socket.gethostname()) if host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope)
        answer = self._refusal(request)
        await (answer or self._app)(scope, receive, _with_headers(send))

    def _refusal(self, request: Request) -> Response | None:
        """Return what is answered instead, or None to let the request in."""
        try:
            self._check_host(request)
            if request.url.path in OPEN:
                return None
            if "token" in request.query_params and not _is_api(request):
                return self._login(request)
            self._check_identity(request)
        except Unauthenticated as error:
            return error_response(error) if _is_api(request) else _login_page(error)
        except KronosError as error:
            return error_response(error)
        return None

    def _check_host(self, request: Request) -> None:
        given = request.headers.get("host", "")
        name = urlsplit(f"//{given}").hostname or ""
        if name in self._hosts or _is_ip(name):
            return
        raise InvalidInput(
            f"Host {given!r} is not this server's: open it as localhost, by its IP address, or set ADMIN_ADDR",
            field="host",
            value=given,
        )

    def _check_identity(self, request: Request) -> None:
        authorization = request.headers.get("authorization")
        if authorization is not None:
            if not self._secrets.is_bearer(authorization):
                raise Unauthenticated(
                    "the token in the Authorization header is wrong: `kronos token` prints the right one"
                )
            return
        if not self._secrets.is_login(request.cookies.get(self._secrets.cookie, "")):
            raise Unauthenticated("a token is needed: send `Authorization: Bearer TOKEN`; `kronos token` prints it")
        if request.method not in SAFE:
            self._check_intent(request)

    def _check_intent(self, request: Request) -> None:
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            raise PermissionDenied(f"the request comes from {origin}, not from this server's pages", field="origin")
        if not self._secrets.is_csrf(request.headers.get(CSRF_HEADER, "")):
            raise PermissionDenied(f"the header {CSRF_HEADER} is missing or wrong: reload the page", field=CSRF_HEADER)

    def _login(self, request: Request) -> Response:
        if not self._secrets.is_token(request.query_params["token"]):
            raise Unauthenticated("this token is wrong: `kronos token` prints the right one")
        rest = [(key, value) for key, value in request.query_params.multi_items() if key != "token"]
        path = "/" + request.url.path.lstrip("/")  # never //host, which a browser takes for another site
        answer = RedirectResponse(f"{path}?{urlencode(rest)}" if rest else path, status_code=303)
        answer.set_cookie(
            self._secrets.cookie,
            self._secrets.login,
            max_age=COOKIE_AGE_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True  # rebinding needs a name


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sender


_LOGIN_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1.5rem;color-scheme:light dark}"
    "code{font-family:ui-monospace,monospace;padding:2px 6px;border-radius:4px;background:#8882}"
    "h1{font-size:1.25rem}input{font:inherit;padding:6px 8px;width:100%;box-sizing:border-box}"
    "button{font:inherit;padding:6px 14px;margin-top:12px}"
)


def _login_page(error: Unauthenticated) -> Response:
    # The page of somebody who may not see anything, style sheets included: it carries its own.
    body = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Kronos: token needed</title>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<style>{_LOGIN_STYLE}</style><main><h1>Kronos needs its token</h1>"
        "<p>Run <code>kronos token</code> on the machine where the server runs, and open the address that "
        "<code>kronos demo</code> or <code>kronos dev</code> printed, which carries it. Or paste it here:</p>"
        "<form method=get><label for=token>Token</label> "
        "<input id=token name=token type=password autocomplete=current-password required>"
        "<button>Open</button></form></main></html>"
    )
    rules = f"default-src 'none'; style-src 'sha256-{digest(_LOGIN_STYLE)}'; form-action 'self'; frame-ancestors 'none'"
    headers = {"content-security-policy": rules, "www-authenticate": "Bearer"}
    return HTMLResponse(body, status_code=401, headers=headers)
