"""What an account is worth at given prices, what margin ties up of it, and where a price breaks it.

Rule 1: every currency stands alone: nothing is converted, and margin is owed in the currency of the contract.
Rule 2: margin is a share of a position's value at the latest price, rounded up; without a price, of its cost.
Rule 3: an account is breached when what backs its margined positions is less than their maintenance margin.
"""

from __future__ import annotations

from collections.abc import Mapping

from kronos.trading.accounts import RATE_SCALE, Account, Contract, Holding, value_of

__all__ = ["breach_price", "collateral", "equity", "initial_margin", "maintenance_margin", "margin_of", "unrealised"]

Contracts = Mapping[int, Contract]
Prices = Mapping[int, int]
"""The latest price of each instrument in ticks; one that is missing has none yet."""


def _worth(contract: Contract, holding: Holding, price: int | None) -> int:
    return value_of(contract, price, holding.quantity) if price else holding.cost


def unrealised(contract: Contract, holding: Holding, price: int | None) -> int:
    """Return what closing at `price` ticks would make (1e-8), fees apart."""
    return _worth(contract, holding, price) - holding.cost


def equity(account: Account, contracts: Contracts, prices: Prices, currency: str) -> int:
    """Return cash, what is held at its value, and open profit, in `currency` (1e-8)."""
    total = account.cash.get(currency, 0)
    for instrument, holding in account.holdings.items():
        contract = contracts[instrument]
        if contract.currency == currency:
            worth = _worth(contract, holding, prices.get(instrument))
            total += worth - holding.cost if contract.margined else worth
    return total


def collateral(account: Account, contracts: Contracts, prices: Prices, currency: str) -> int:
    """Return what backs margined positions in `currency` (1e-8): cash and their open profit."""
    return account.cash.get(currency, 0) + sum(
        unrealised(contract, holding, prices.get(instrument))
        for instrument, holding in account.holdings.items()
        if (contract := contracts[instrument]).margined and contract.currency == currency
    )


def margin_of(value: int, rate: int) -> int:
    """Return the margin on a position of `value` at a `rate` in 1e-8, rounded up."""
    return -(-abs(value) * rate // RATE_SCALE)


def initial_margin(account: Account, contracts: Contracts, prices: Prices, currency: str) -> int:
    """Return what margined positions tie up in `currency` (1e-8)."""
    return _margin(account, contracts, prices, currency, "initial")


def maintenance_margin(account: Account, contracts: Contracts, prices: Prices, currency: str) -> int:
    """Return what must be left to keep margined positions in `currency` (1e-8)."""
    return _margin(account, contracts, prices, currency, "maintenance")


def _margin(account: Account, contracts: Contracts, prices: Prices, currency: str, kind: str) -> int:
    total = 0
    for instrument, holding in account.holdings.items():
        contract = contracts[instrument]
        if contract.margined and contract.currency == currency:
            total += margin_of(_worth(contract, holding, prices.get(instrument)), getattr(contract, kind))
    return total


def breach_price(account: Account, contracts: Contracts, prices: Prices, instrument: int, price_max: int) -> int | None:
    """Return the price in ticks, the nearest to the safe side, at which a position breaches its account; None: none.

    A long breaches at or below it, a short at or above it, the prices of other instruments as they are.  The room
    above maintenance never falls as a long's price rises, nor as a short's falls, so it is found by bisection.
    """
    holding, contract = account.holdings.get(instrument), contracts[instrument]
    if holding is None or not holding.quantity or not contract.margined:
        return None

    def breaches(price: int) -> bool:
        at = {**prices, instrument: price}
        room = collateral(account, contracts, at, contract.currency)
        return room < maintenance_margin(account, contracts, at, contract.currency)

    worst, best = (1, price_max) if holding.quantity > 0 else (price_max, 1)
    if not breaches(worst):
        return None
    if breaches(best):
        return best
    while abs(best - worst) > 1:
        middle = (best + worst) // 2
        if breaches(middle):
            worst = middle
        else:
            best = middle
    return worst
