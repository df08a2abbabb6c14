"""What an account owns and owes, and how one fill, split or payment moves it.

Rule 1: money is conserved in every currency after every booking: cash + cost of what was paid for = deposited
        + realised - fees + income; `imbalance` is zero or the run halts.
Rule 2: value is signed and grows with a long's profit: linear contracts P · Q · unit, inverse ones -Q · unit / P,
        rounded once per fill, half up; so that profit is always value at the exit - value at the entry.
Rule 3: a partial close releases cost pro rata, rounded toward zero: the remainder stays in the position.
Rule 4: a cash contract exchanges its value for money; a margined one exchanges profit alone and ties up margin.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

import msgspec

from kronos.trading.money import round_half_up

__all__ = [
    "METHODS", "RATE_SCALE", "Account", "Contract", "Holding", "Income", "Lot", "book_fill", "book_payment",
    "book_split", "imbalance", "new_account", "value_of",
]  # fmt: skip

METHODS: Final = ("average", "fifo")
"""How cost leaves a position: in proportion, or with the oldest lots first."""

RATE_SCALE: Final = 10**8
"""Rates (margin, funding, borrow) are integers in 1e-8."""

Income = Literal["funding", "borrow", "dividends"]


class Valued(Protocol):
    """What a value is reckoned with."""

    @property
    def unit(self) -> int: ...
    @property
    def inverse(self) -> bool: ...


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What one lot of an instrument is worth, and in which currency it settles; see `reference.Instrument.contract`.

    `unit` is money (1e-8) per tick and lot, times ticks for an inverse contract; `initial` and `maintenance` are the
    shares (1e-8) of a margined position's value that must be there to open it and to keep it.
    """

    unit: int
    currency: str
    inverse: bool = False
    margined: bool = False
    initial: int = RATE_SCALE
    maintenance: int = 0


class Lot(msgspec.Struct, kw_only=True):
    """What is left of one entry, for accounts that go first in, first out: signed lots and their cost."""

    quantity: int
    cost: int


class Holding(msgspec.Struct, kw_only=True):
    """One position: signed lots, what they cost, and what was made and paid so far (money, 1e-8; income is signed)."""

    quantity: int = 0
    cost: int = 0
    realised: int = 0
    fees: int = 0
    funding: int = 0
    borrow: int = 0
    dividends: int = 0
    lots: list[Lot] = []

    @property
    def income(self) -> int:
        """Return funding, borrow cost and dividends together; negative when paid."""
        return self.funding + self.borrow + self.dividends


class Account(msgspec.Struct, kw_only=True):
    """Cash and what was ever paid in, by currency; holdings by instrument; `breached` while margin is called."""

    cash: dict[str, int]
    deposited: dict[str, int]
    method: str = "average"
    breached: bool = False
    holdings: dict[int, Holding] = {}


def new_account(deposits: dict[str, int], *, method: str = "average") -> Account:
    """Return an account that holds `deposits` (money by currency) and nothing else."""
    return Account(cash=dict(deposits), deposited=dict(deposits), method=method)


def value_of(contract: Valued, price: int, quantity: int) -> int:
    """Return the signed value (1e-8) of `quantity` lots at `price` ticks (> 0), as rule 2 has it."""
    if contract.inverse:
        return -round_half_up(quantity * contract.unit, price)
    return price * quantity * contract.unit


def book_fill(  # noqa: PLR0917 - a fill is these facts, and this is called once for each
    account: Account, contract: Contract, instrument: int, quantity: int, price: int, fee: int
) -> int:
    """Book `quantity` lots (signed) at `price` ticks for `fee` money (negative: a rebate); return what it realised."""
    value = value_of(contract, price, quantity)
    holding = account.holdings.get(instrument)
    if holding is None:
        holding = account.holdings[instrument] = Holding()
    realised = _book(holding, quantity, value, fifo=account.method == "fifo")
    holding.realised += realised
    holding.fees += fee
    paid = -realised if contract.margined else value
    account.cash[contract.currency] = account.cash.get(contract.currency, 0) - paid - fee
    return realised


def _book(holding: Holding, quantity: int, value: int, *, fifo: bool) -> int:
    """Add `quantity` lots bought (or sold, both negative) for `value`; return what closing realised."""
    held = holding.quantity
    holding.quantity = held + quantity
    if held * quantity >= 0:
        _open(holding, quantity, value, fifo=fifo)
        return 0
    if abs(quantity) <= abs(held):
        released = _release(holding, abs(quantity), abs(held), fifo=fifo)
        holding.cost -= released
        return -value - released
    closing = _pro_rata(value, abs(held), abs(quantity))
    realised = -closing - holding.cost
    holding.cost = 0
    holding.lots.clear()
    _open(holding, held + quantity, value - closing, fifo=fifo)
    return realised


def _open(holding: Holding, quantity: int, value: int, *, fifo: bool) -> None:
    holding.cost += value
    if fifo and quantity:
        holding.lots.append(Lot(quantity=quantity, cost=value))


def _release(holding: Holding, part: int, whole: int, *, fifo: bool) -> int:
    """Return the cost of `part` of `whole` lots; first in, first out it is taken out of the oldest lots."""
    if not fifo:
        return _pro_rata(holding.cost, part, whole)
    released = gone = 0
    for lot in holding.lots:
        size = abs(lot.quantity)
        if part < size:
            share = _pro_rata(lot.cost, part, size)
            lot.quantity -= part if lot.quantity > 0 else -part
            lot.cost -= share
            released += share
            break
        gone, part, released = gone + 1, part - size, released + lot.cost
    del holding.lots[:gone]
    return released


def book_split(account: Account, contract: Contract, instrument: int, ratio: tuple[int, int], cash: int) -> None:
    """Make lots `ratio` (new, old) of what they were, toward zero in all, and book `cash` paid for the fraction."""
    numerator, denominator = ratio
    holding = account.holdings.get(instrument)
    if holding is not None:
        before = after = 0
        for lot in holding.lots:  # together, so that fractions add up as they do in the whole
            before += lot.quantity
            upto = _pro_rata(before, numerator, denominator)
            lot.quantity, after = upto - after, upto
        holding.quantity = _pro_rata(holding.quantity, numerator, denominator)
        holding.realised += cash
        _sweep(holding)
    if cash:
        account.cash[contract.currency] = account.cash.get(contract.currency, 0) + cash


def _sweep(holding: Holding) -> None:
    """Let the cost of lots that a split has rounded away join the next, or what was realised when nothing is left."""
    carried, kept = 0, []
    for lot in holding.lots:
        lot.cost, carried = lot.cost + carried, 0
        if lot.quantity:
            kept.append(lot)
        else:
            carried = lot.cost
    holding.lots[:] = kept
    if kept:
        kept[-1].cost += carried
    if not holding.quantity:
        holding.realised -= holding.cost
        holding.cost = 0


def book_payment(account: Account, contract: Contract, instrument: int, kind: Income, amount: int) -> None:
    """Book `amount` money (negative: paid) of funding, borrow cost or dividends on a position."""
    holding = account.holdings.get(instrument)
    if holding is None:
        holding = account.holdings[instrument] = Holding()
    setattr(holding, kind, getattr(holding, kind) + amount)
    account.cash[contract.currency] = account.cash.get(contract.currency, 0) + amount


def imbalance(account: Account, contracts: dict[int, Contract]) -> dict[str, int]:
    """Return the currencies in which money appeared or vanished, and how much: empty when it is conserved."""
    owed = dict(account.deposited)
    for instrument, holding in account.holdings.items():
        contract = contracts[instrument]
        made = holding.realised - holding.fees + holding.income - (0 if contract.margined else holding.cost)
        owed[contract.currency] = owed.get(contract.currency, 0) + made
    differences = {name: account.cash.get(name, 0) - amount for name, amount in owed.items()}
    return {name: amount for name, amount in differences.items() if amount}


def _pro_rata(amount: int, part: int, whole: int) -> int:
    share = abs(amount) * part // whole
    return share if amount >= 0 else -share
