"""A step's HTML report, shown without trusting it.

Rule 1: the page runs no script, loads nothing, and cannot reach the debugger that links to it.
Rule 2: only its own <style> elements count, each named by its hash when it is served; no `unsafe-*`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final
from urllib.parse import quote

import msgspec

from kronos.errors import InvalidInput
from kronos.kernel.ids import RunId
from kronos.ports.history import History

__all__ = ["digest", "has_report", "html_of", "policy", "report_href"]

STYLES_MAX: Final = 16
_STYLE: Final = re.compile(r"<style[^>]*>(.*?)</style\s*>", re.DOTALL | re.IGNORECASE)


class _Output(msgspec.Struct):
    report_html: str | None = None
    html: str | None = None


_decode: Final = msgspec.json.Decoder(_Output).decode


def report_href(run_id: RunId, step: str) -> str:
    """Return where the report of a step is shown."""
    return f"/runs/{run_id}/steps/{quote(step, safe='')}/report"


def has_report(history: History, output: msgspec.Raw | msgspec.UnsetType) -> bool:
    """Whether a step's output holds a report."""
    return output is not msgspec.UNSET and html_of(history.payload(output)) is not None


def html_of(output: bytes) -> str | None:
    """Return the HTML in an output's field `report_html` or `html`, or None."""
    if b'html"' not in output:
        return None
    try:
        found = _decode(output)
    except msgspec.MsgspecError:
        return None
    text = found.report_html or found.html
    return text if text and "<" in text else None


def policy(html: str) -> str:
    """Return the Content-Security-Policy under which `html` may be shown."""
    styles = _STYLE.findall(html)
    if len(styles) > STYLES_MAX:
        raise InvalidInput(f"the report has {len(styles)} <style> elements, at most {STYLES_MAX} are shown")
    hashes = " ".join(f"'sha256-{digest(style)}'" for style in styles) or "'none'"
    return (
        f"default-src 'none'; style-src {hashes}; img-src data:; sandbox; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def digest(text: str) -> str:
    """Return what a policy calls an inline style: the base64 of its SHA-256."""
    # browsers hash the text after their parser has made every line end a line feed
    clean = text.replace("\r\n", "\n").replace("\r", "\n")
    return base64.b64encode(hashlib.sha256(clean.encode()).digest()).decode()
