"""Older checkpoints made ones of today, one version at a time; what comes from a newer Kronos is refused.

Rule 1: a version is the layout of the payload and of the state in it; whoever changes either adds a step here.
Rule 2: a step fills what did not exist with what it meant then; nothing else changes.

0: one account in one currency (`cash`, `deposited`, `holdings`, `units`); no settings but those of one backtest.
1: accounts, contracts, and what risk, outbox and venue remember; the code that made it is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kronos.errors import CorruptHistory
from kronos.kernel import canonical
from kronos.trading.accounts import Account, Contract, Holding
from kronos.trading.config import BacktestConfig
from kronos.trading.orders import Order
from kronos.trading.state import TradingState, encode_state

__all__ = ["FORMAT", "migrated"]

FORMAT: Final = 1
"""The version that is written."""


def migrated(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a decoded payload in the layout of today; raise `CorruptHistory` for a version that is not known."""
    version = payload.get("format")
    while version != FORMAT:
        if version not in _STEPS:
            raise CorruptHistory(
                f"checkpoint has format {version}; this Kronos reads 0 to {FORMAT}: it was made by another version, "
                "so the run is re-executed from an older checkpoint or from its first row",
                format=version,
            )
        payload = _STEPS[version](payload)
        version = payload["format"]
    return payload


def _from_0(payload: dict[str, Any]) -> dict[str, Any]:
    identity = canonical.decode(payload["identity"])
    config = canonical.decode(canonical.encode(identity["config"]), BacktestConfig)
    state = _state_from_0(canonical.decode(payload["state"]), config.currency)
    return {**payload, "identity": canonical.encode({**identity, "config": config}), "state": state, "format": 1}


def _state_from_0(old: Mapping[str, Any], currency: str) -> bytes:
    account = Account(
        cash={currency: old["cash"]},
        deposited={currency: old["deposited"]},
        holdings={int(key): Holding(**holding) for key, holding in old["holdings"].items()},
    )
    state = TradingState(
        accounts=[account],
        contracts={int(key): Contract(unit=unit, currency=currency) for key, unit in old["units"].items()},
        row=old["row"],
        sub=old["sub"],
        records=old["records"],
        trading_enabled=old["trading_enabled"],
        next_order_id=old["next_order_id"],
        orders=canonical.decode(canonical.encode(old["orders"]), dict[int, Order]),
    )
    return encode_state(state)


_STEPS: Final[Mapping[Any, Callable[[dict[str, Any]], dict[str, Any]]]] = {0: _from_0}
"""From a version to the next."""
