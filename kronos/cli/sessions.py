"""`kronos backtest` with several datasets or strategies: one session as a durable run."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from kronos.cli.output import note, print_fields, print_rows
from kronos.errors import InvalidInput

if TYPE_CHECKING:
    from kronos.market import Dataset
    from kronos.trading.session_config import SessionConfig

__all__ = ["WORKFLOW", "latencies", "print_mishaps", "print_session", "session_request"]

WORKFLOW: Final = "session"
FILLS_SHOWN: Final = 10
_MISHAPS: Final = {
    "stopped": ("a strategy that raised was stopped", ("strategy", "row", "handler", "error", "message", "line")),
    "refused": ("orders refused, by reason", ("strategy", "what", "reason", "orders", "order_id", "row", "asked")),
}
"""What did not come to pass: its title, and the columns of its table."""
_STATISTICS: Final = ("sharpe", "max_drawdown", "trades", "win_rate")


def session_request(
    datasets: list[Dataset],
    strategies: list[str],
    settings: dict[str, str],
    config: SessionConfig,
    *,
    sinks: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the input of a session run; a setting `Class.name` is for one strategy, `name` for all that have it."""
    from kronos.market.session_plans import SessionPlan, strategy_plan_from_text
    from kronos.market.strategies import find_strategy

    plans, used = [], set()
    for spec in strategies:
        known = set(find_strategy(spec).Params.__struct_fields__)
        own = {}
        for setting, value in settings.items():
            owner, _, name = setting.rpartition(".")
            if owner == spec.rpartition(":")[2] or (not owner and name in known):
                own[name] = value
                used.add(setting)
        plans.append(strategy_plan_from_text(spec, own))
    for setting in settings:
        if setting not in used:
            raise InvalidInput(f"--set {setting}: no strategy has it", field="set", value=setting)
    names = [f"{dataset.name}@{dataset.id}" for dataset in datasets]
    return {"datasets": names, "plan": SessionPlan(strategies=tuple(plans), config=config, sinks=sinks)}


def latencies(given: dict[str, str]) -> dict[str, int]:
    """Return `feed=1ms order=5ms report=5ms` as the fields of `Latency`, in ns."""
    from kronos.settings import read_duration

    found = {}
    for name, text in given.items():
        if name not in {"feed", "order", "report"}:
            raise InvalidInput(f"--latency {name}: one of feed, order, report", field="latency", value=name)
        try:
            found[f"{name}_ns"] = int(Decimal(str(read_duration(text))) * 10**9)
        except ValueError as error:
            raise InvalidInput(f"--latency {name}={text}: {error}", field="latency", value=text) from None
    return found


def print_session(result: dict[str, Any]) -> None:
    """Print totals, what is held, who filled how often, and the last fills that are kept."""
    totals = result["result"]
    print_fields({key: value for key, value in totals.items() if key not in {"positions", "late", "dropped"}})
    for name in ("positions", "late", "dropped"):
        if totals.get(name):
            print(f"\n{name}")
            print_fields(totals[name])
    if not result["fills"]:
        note("no fills")
        print()
        return
    print("\nfills")
    print_fields(result["fill_counts"])
    print()
    titles = list(result["fills"][0])
    print_rows(titles, [[fill[title] for title in titles] for fill in result["fills"][-FILLS_SHOWN:]])
    _print_strategies(result["analysis"]["strategies"])


def print_mishaps(result: dict[str, Any]) -> None:
    """Print the strategies that were stopped, and how many orders were refused for which reason."""
    for name, (told, titles) in _MISHAPS.items():
        rows = result.get(name)
        if rows:
            note(told)
            print_rows(titles, [[row[title] for title in titles] for row in rows])
            print()


def _print_strategies(parts: list[dict[str, Any]]) -> None:
    """Print what each strategy earned, in one table."""
    rows = [
        (
            part["strategy"],
            part["profit"],
            *(part["statistics"][name] for name in _STATISTICS),
            part["shortfall"]["fees"],
        )
        for part in parts
    ]
    print()
    if rows:
        print_rows(("strategy", "profit", *_STATISTICS, "fees"), rows)
        print()
