"""A result in a few words, for a line of a list.

Rule: fields that traders look for come first, spelled as they spell them; otherwise the first scalars there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from kronos.core.events import Failure
from kronos.kernel import canonical

__all__ = ["cut", "glance_of_failure", "glance_of_output"]

LENGTH_MAX: Final = 160
FIELDS_MAX: Final = 4
BYTES_MAX: Final = 65_536
TEXT_MAX: Final = 40


def glance_of_failure(failure: Failure) -> str:
    """Return the kind of failure and its message in one line."""
    return cut(f"{failure.type}: {failure.message}")


def glance_of_output(output: bytes) -> str:
    """Return the first few telling fields of a result; "" for one that is too large to look into."""
    if len(output) > BYTES_MAX:
        return ""
    found = list(_telling(canonical.decode(output)))
    return cut(" · ".join(found[:FIELDS_MAX]))


def cut(text: str) -> str:
    """Return `text` as one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= LENGTH_MAX else line[: LENGTH_MAX - 1] + "…"


def _signed_percent(value: float) -> str:
    return f"{value:+.1%}".replace("%", " %")


_KNOWN: Final[dict[str, tuple[str, Callable[[float], str]]]] = {
    "total_return": ("return", _signed_percent),
    "sharpe": ("Sharpe", "{:.2f}".format),
    "max_drawdown": ("DD", _signed_percent),
    "worst_drawdown": ("DD", _signed_percent),
    "pnl": ("PnL", "{:+,.2f}".format),
    "trades": ("trades", "{:,.0f}".format),
}
_NAMES: Final = ("name", "title", "best")


def _telling(value: Any) -> Iterator[str]:
    fields = value if isinstance(value, dict) else {"": value}
    known = [key for key in _KNOWN if _is_number(fields.get(key))]
    if known:
        yield from (str(fields[key]) for key in _NAMES if _is_brief(fields.get(key)))
        yield from (f"{_KNOWN[key][0]} {_KNOWN[key][1](fields[key])}" for key in known)
        return
    scalars = [f"{key} {_plain(item)}".strip() for key, item in fields.items() if _is_number(item) or _is_brief(item)]
    yield from scalars
    if not scalars:
        for item in fields.values():
            if isinstance(item, dict):
                yield from _telling(item)


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _is_brief(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_MAX


def _plain(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
