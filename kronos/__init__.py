"""Kronos: durable workflows over Postgres, and a time-travel debugger for trading runs.

Rule 1: this is a façade for users; nothing inside the package imports it.
Rule 2: importing it costs nothing: each name is fetched from its home when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kronos.app import Changes, Engine, Handle, Kronos, RunFailedError
    from kronos.app.auditing import audit
    from kronos.app.notebook import NotebookResult, backtest
    from kronos.client import Client
    from kronos.core.children import child, continue_as_new
    from kronos.core.control import repeat_until, when
    from kronos.core.costs import Budget
    from kronos.core.decorators import step, workflow
    from kronos.core.queries import RunView
    from kronos.core.retry import NonRetryable
    from kronos.core.waiting import approval, sleep, sleep_until, wait_for_signal
    from kronos.engine.context import StepContext
    from kronos.engine.transactions import Transaction
    from kronos.errors import KronosError
    from kronos.market import Dataset
    from kronos.trading.strategy import Strategy

__all__ = [
    "Budget",
    "Changes",
    "Client",
    "Dataset",
    "Engine",
    "Handle",
    "JobFailedError",
    "JobHandle",
    "Kronos",
    "KronosError",
    "NonRetryable",
    "NotebookResult",
    "RunFailedError",
    "RunView",
    "StepContext",
    "Strategy",
    "Transaction",
    "approval",
    "audit",
    "backtest",
    "child",
    "continue_as_new",
    "repeat_until",
    "sleep",
    "sleep_until",
    "step",
    "wait_for_signal",
    "when",
    "workflow",
]

_HOMES = {
    "Budget": "kronos.core.costs",
    "Changes": "kronos.app",
    "Client": "kronos.client",
    "Dataset": "kronos.market",
    "Engine": "kronos.app",
    "Handle": "kronos.app",
    "JobFailedError": "kronos.app",
    "JobHandle": "kronos.app",
    "Kronos": "kronos.app",
    "KronosError": "kronos.errors",
    "NonRetryable": "kronos.core.retry",
    "NotebookResult": "kronos.app.notebook",
    "RunFailedError": "kronos.app",
    "RunView": "kronos.core.queries",
    "StepContext": "kronos.engine.context",
    "Strategy": "kronos.trading.strategy",
    "Transaction": "kronos.engine.transactions",
    "approval": "kronos.core.waiting",
    "audit": "kronos.app.auditing",
    "backtest": "kronos.app.notebook",
    "child": "kronos.core.children",
    "continue_as_new": "kronos.core.children",
    "repeat_until": "kronos.core.control",
    "sleep": "kronos.core.waiting",
    "sleep_until": "kronos.core.waiting",
    "step": "kronos.core.decorators",
    "wait_for_signal": "kronos.core.waiting",
    "when": "kronos.core.control",
    "workflow": "kronos.core.decorators",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kronos' has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
