"""What a position pays and receives while it is held: funding, the cost of borrowing, dividends.

Rule 1: each is a control event at a time that the settings name, before the first row at or after it, and a record.
Rule 2: an amount is rounded once, half up (away from zero), on the position as it stands at that moment.
Rule 3: a long receives dividends and pays funding of a positive rate; a short the reverse, and pays to borrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

import msgspec

from kronos.errors import InvalidInput
from kronos.trading.accounts import RATE_SCALE, Contract, value_of
from kronos.trading.events import BorrowCharged, DividendPaid, FundingPaid
from kronos.trading.money import round_half_up, to_money, to_units
from kronos.trading.settling import settle
from kronos.trading.tape import Tape

__all__ = ["DAY_NS", "KINDS", "Due", "Payment", "borrow_cost", "dividend", "dues_of", "funding", "pay"]

KINDS: Final = ("funding", "borrow", "dividend")
DAY_NS: Final = 86_400_000_000_000
_YEAR_NS: Final = 365 * DAY_NS
_TIME_END: Final = 2**62


class Payment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One payment on whatever is held of `instrument` (empty: of a run's only one) at `at` (ns UTC).

    `rate` is funding's share of the value (0.0001 is 0.01 %; negative: shorts pay) or a year's cost of borrowing, then
    charged for `elapsed_ns` (a day); `amount` is a dividend in currency a unit.  `every_ns` repeats it until the end.
    """

    kind: str
    at: int
    rate: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    instrument: str = ""
    elapsed_ns: int = DAY_NS
    every_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse a payment that there is not, and a figure that its kind does not have."""
        settle(self, "payments.")
        if self.kind not in KINDS:
            raise InvalidInput(
                f"payments: kind {self.kind!r} is none of {', '.join(KINDS)}", field="payments.kind", value=self.kind
            )
        name, other = ("amount", "rate") if self.kind == "dividend" else ("rate", "amount")
        value = getattr(self, name)
        if getattr(self, other) or not value.is_finite() or not value or (self.kind != "funding" and value < 0):
            raise InvalidInput(
                f"payments: a {self.kind} has {name}, a number "
                f"{'other than' if self.kind == 'funding' else 'above'} 0, not {value}, and no {other}",
                field=f"payments.{name}",
                value=str(value),
            )
        for field, least in (("at", 0), ("elapsed_ns", 1), ("every_ns", 0)):
            if not least <= getattr(self, field) < _TIME_END:
                raise InvalidInput(
                    f"payments: {field} {getattr(self, field)} is no time in ns", field=f"payments.{field}"
                )


class Due(msgspec.Struct, frozen=True):
    """A payment in integers: `rate` in 1e-8, or for a dividend the money (1e-8) of `per` lots."""

    kind: str
    at: int
    instrument: int
    rate: int
    elapsed_ns: int
    each: int
    per: int


def dues_of(payments: Iterable[Payment], numbers: dict[str, int], lots: dict[int, Decimal], end: int) -> list[Due]:
    """Return every payment before `end` (ns UTC) by time; `numbers` and `lots` are those of the run's instruments."""
    return sorted(_dues(payments, numbers, lots, end), key=lambda due: due.at)


def _dues(payments: Iterable[Payment], numbers: dict[str, int], lots: dict[int, Decimal], end: int) -> Iterator[Due]:
    step = Decimal(1) / RATE_SCALE
    for payment in payments:
        number = next(iter(numbers.values())) if not payment.instrument and len(numbers) == 1 else None
        number = numbers.get(payment.instrument) if number is None else number
        if number is None:
            raise InvalidInput(
                f"payments: instrument {payment.instrument!r} is none of {', '.join(numbers)}",
                field="payments.instrument",
                value=payment.instrument,
            )
        top, per = lots[number].as_integer_ratio()
        rate = to_units(payment.rate, step, field="payments.rate")
        each = to_money(payment.amount, field="payments.amount") * top
        for at in range(payment.at, end if payment.every_ns else min(end, payment.at + 1), payment.every_ns or 1):
            yield Due(payment.kind, at, number, rate, payment.elapsed_ns, each, per)


def funding(contract: Contract, quantity: int, price: int, rate: int) -> int:
    """Return what a position of `quantity` lots receives at a `rate` in 1e-8: a long pays a positive one."""
    value = abs(value_of(contract, price, quantity))
    paid = round_half_up(value * rate, RATE_SCALE)
    return -paid if quantity > 0 else paid


def borrow_cost(contract: Contract, quantity: int, price: int, rate: int, elapsed_ns: int) -> int:
    """Return what a short of `quantity` lots pays (≤ 0) at a yearly `rate` in 1e-8; a long borrows nothing."""
    if quantity >= 0:
        return 0
    value = abs(value_of(contract, price, quantity))
    return -round_half_up(value * rate * elapsed_ns, RATE_SCALE * _YEAR_NS)


def dividend(quantity: int, each: int, per: int) -> int:
    """Return what `quantity` lots receive of `each` money a `per` lots; a short pays it."""
    return round_half_up(quantity * each, per)


def pay(tape: Tape, due: Due, row: int, price: int, cause: int) -> None:
    """Record `due` for every account that holds the instrument, at its last `price` in ticks (0: none, no payment)."""
    contract = tape.state.contracts[due.instrument]
    for account, owner in enumerate(tape.state.accounts):
        holding = owner.holdings.get(due.instrument)
        lots = holding.quantity if holding is not None else 0
        if not lots or not price:
            continue
        head = (row, 0, (cause,), account, due.instrument, due.at)
        if due.kind == "funding":
            tape.write(FundingPaid, *head, due.rate, price, funding(contract, lots, price, due.rate))
        elif due.kind == "dividend":
            tape.write(DividendPaid, *head, due.each, due.per, dividend(lots, due.each, due.per))
        elif lots < 0:
            cost = borrow_cost(contract, lots, price, due.rate, due.elapsed_ns)
            tape.write(BorrowCharged, *head, due.rate, due.elapsed_ns, price, cost)
