"""`kronos state RUN STEP@row=N`: portfolio and strategy variables at a market event."""

from __future__ import annotations

from typing import Any

import msgspec

from kronos.app import Kronos
from kronos.cli.output import note, print_fields, print_json, print_rows, show_time
from kronos.cli.progress import progress_bar
from kronos.kernel.ids import RunId

__all__ = ["print_trading_state"]


def print_trading_state(opened: Kronos, run_id: RunId, step: str, row: int, *, working_tree: bool, json: bool) -> None:
    """Print what stood before `row` of a trading step was dispatched."""
    machine = opened.machine()
    try:
        with progress_bar(f"going to row {row}") as advance:
            view = machine.state_at(
                run_id, step, row, working_tree=working_tree, progress=lambda done: advance(done, row)
            )
    finally:
        machine.close()
    _show(msgspec.to_builtins(view), json=json)


def _show(found: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(found)
        return
    _print("", found)


def _print(title: str, found: dict[str, Any]) -> None:
    """Print what is plain as lines, then each part under its name."""
    if title:
        print(f"\n{title}")
    print_fields({name: _text(name, value) for name, value in found.items() if not _is_part(value)})
    for name, value in found.items():
        if name == "notes":
            for text in value:
                note(str(text))
        elif isinstance(value, dict) and value:
            _print(name, value)
        elif _is_part(value) and isinstance(value, list):
            print(f"\n{name}")
            titles = list(value[0])
            print_rows(titles, [[row.get(each) for each in titles] for row in value])


def _text(name: str, value: Any) -> Any:
    return show_time(value) if name == "time_ns" else value


def _is_part(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value)
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)
