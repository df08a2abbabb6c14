"""`kronos.audit(frame, Strategy)`: whether a strategy knows the future, or looks at anything but its data.

Rule 1: `trading.audit` judges decisions; here the process is watched while it does: a file or a socket that a strategy
        opens is a finding, since what it brings is in no recording.
Rule 2: what the runtime, an import, the compiler or a warning (it shows a line of source) opens on a strategy's behalf
        is not the strategy's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cache, partial
from types import FrameType
from typing import Any, Final

import msgspec

from kronos.app.notebook import made_strategy, prepared_frame
from kronos.errors import InvalidInput
from kronos.market.catalog import Catalog
from kronos.market.dataset import Dataset
from kronos.market.plans import BacktestPlan
from kronos.market.session_plans import Plan
from kronos.market.strategies import load_strategy
from kronos.trading.audit import Audit, audit_session
from kronos.trading.audit import audit as audited
from kronos.trading.bars import Bars
from kronos.trading.strategy import Strategy

__all__ = ["audit", "audit_plan"]

OPENED_MAX: Final = 100
"""Different things opened that are listed."""

_EVENTS: Final = frozenset(
    {"open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "sqlite3.connect"}
)
_RUNTIME: Final = frozenset({"numba", "numpy", "msgspec", "encodings"})
"""What the trading runtime calls itself."""

_watchers: list[Callable[[str, tuple[Any, ...]], None]] = []


def audit(
    frame: Any,
    strategy: type[Strategy] | Strategy | str | Callable[[Bars], Strategy],
    *,
    params: Any = None,
    cash: Decimal | str | float = 1_000_000,
    fee_rate: Decimal | str | float = 0,
    **settings: Any,
) -> Audit:
    """Return what `strategy` reads of the future over a data frame of bars; `is_clean` where it reads nothing.

    The arguments are those of `backtest`.  Beside a class, an instance or "module:Class", `strategy` may be a function
    of the bars: what it fits, it then fits on the bars of each re-execution, so that a fit is seen too.
    """
    _, bars, config = prepared_frame(frame, cash=cash, fee_rate=fee_rate, **settings)
    make = _maker(strategy, params)
    with _watched() as opened:
        found = audited(bars, make, config)
    return msgspec.structs.replace(found, opened=tuple(opened))


def _maker(given: Any, params: Any) -> Callable[[Bars], Strategy]:
    if isinstance(given, str | Strategy | type):
        return lambda _: made_strategy(given, params)
    if not callable(given) or params is not None:
        raise InvalidInput(
            f"strategy: {given!r} is no Strategy and no function of bars (which knows its own params)",
            field="strategy",
        )
    made: Callable[[Bars], Strategy] = given
    return made


def audit_plan(catalog: Catalog, datasets: Sequence[Dataset], plan: Plan) -> Audit:
    """Return what the strategies of a run's plan, as they can be imported here, read of the future of its datasets."""
    with _watched() as opened:
        if isinstance(plan, BacktestPlan):
            alone = partial(load_strategy, plan.strategy, params=plan.params)
            found = audited(catalog.open(datasets[0]), lambda _: alone(), plan.config)
        else:
            each = [partial(load_strategy, one.strategy, params=one.params) for one in plan.strategies]
            streams = [catalog.stream(dataset) for dataset in datasets]
            found = audit_session(streams, lambda _: [make() for make in each], plan.config)
    return msgspec.structs.replace(found, opened=tuple(opened))


@contextmanager
def _watched() -> Iterator[list[str]]:
    """Yield a list that grows by what strategies open in this thread's process meanwhile."""
    found: list[str] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        caller = sys._getframe(2)  # noqa: SLF001 - the one way to the caller of an audited event
        if event == "open" and str(arguments[0]).endswith(".py") and _shows_source(caller):
            return
        place = _strategy_line(caller)
        if place is None or len(found) >= OPENED_MAX:
            return
        target = next((str(each) for each in arguments if isinstance(each, str | bytes | tuple | list)), "")
        line = f"{event} {target} at {place}"
        if line not in found:
            found.append(line)

    _install()
    _watchers.append(watch)
    try:
        yield found
    finally:
        _watchers.remove(watch)


@cache
def _install() -> None:
    """Install the hook once: it stays for the life of the process, and without a watcher it does nothing."""
    sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _EVENTS:
        for watch in tuple(_watchers):
            watch(event, arguments)


def _shows_source(frame: FrameType | None) -> bool:
    """Return whether the interpreter is reading a line of source, as warnings and tracebacks have it do."""
    while frame is not None:
        if frame.f_globals.get("__name__") == "linecache":
            return True
        frame = frame.f_back
    return False


def _strategy_line(frame: FrameType | None) -> str | None:
    """Return the line of user code, called by the trading runtime, that led to `frame`; None where none did."""
    user: FrameType | None = None
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("importlib.") or "importlib._bootstrap" in frame.f_code.co_filename:
            return None
        if name.startswith("kronos."):
            if not name.startswith("kronos.trading.") or user is None:
                return None
            if user.f_globals.get("__name__", "").partition(".")[0] in _RUNTIME:
                return None
            return f"{user.f_code.co_filename}:{user.f_lineno}"
        user, frame = frame, frame.f_back
    return None
