"""One intent, with everything that a rule may look at, and the figures that several rules share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from kronos.trading.accounts import Account
from kronos.trading.events import IntentRaised
from kronos.trading.instruments import Instrument
from kronos.trading.margin import equity
from kronos.trading.marks import RiskMarks
from kronos.trading.orders import Order, Phase
from kronos.trading.risk.limits import Limits
from kronos.trading.state import TradingState
from kronos.trading.terms import Terms

__all__ = ["Operands", "Question", "Rule", "Verdict"]

Operands = dict[str, str]
"""What a rule compared, as text, so that a record of it never loses a digit."""


class Verdict(msgspec.Struct, frozen=True):
    """Allow or deny, why, and on which numbers."""

    allowed: bool
    reason: str
    operands: Operands


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One intent with what it is judged on.

    `price` is the last known price in ticks (0: none yet) and `seen` when it was known (ns UTC), `time` is now,
    `prices` are those of the other instruments, `open` is whether the session takes orders, `own` whether the order
    that is to be changed is the strategy's own.
    """

    intent: IntentRaised
    state: TradingState
    instrument: Instrument
    limits: Limits
    price: int
    open: bool
    time: int = 0
    seen: int = 0
    prices: Mapping[int, int] = {}
    own: bool = True

    @property
    def account(self) -> Account:
        """Return the account that would trade."""
        return self.state.accounts[self.state.owners[self.intent.origin]]

    @property
    def marks(self) -> RiskMarks:
        """Return what risk remembers of the account."""
        return self.state.marks[self.state.owners[self.intent.origin]]

    @property
    def held(self) -> int:
        """Return the lots that the account holds of the instrument."""
        return self.state.held(self.intent.origin, self.intent.instrument)

    @property
    def wanted(self) -> int:
        """Return the lots (signed) that the intent would still trade: less than its quantity if it modifies."""
        before = self.state.orders.get(self.intent.order_id) if self.intent.action == "modify" else None
        return self.intent.quantity - (before.filled if before else 0)

    @property
    def is_cancel(self) -> bool:
        """Whether the intent only takes an order away."""
        return self.intent.action == "cancel"

    @property
    def reduces(self) -> bool:
        """Whether the intent can only bring the position nearer to nothing, other orders apart."""
        return self.held * self.wanted < 0 and abs(self.wanted) <= abs(self.held)

    def equity(self) -> int:
        """Return the equity of the account in the instrument's currency (1e-8)."""
        return equity(self.account, self.state.contracts, self.known_prices(), self.instrument.currency)

    def known_prices(self) -> Mapping[int, int]:
        """Return the last price of every instrument that has one."""
        return {**self.prices, self.intent.instrument: self.price} if self.price else self.prices

    def others(self, *, instrument: bool = True) -> Iterable[Order]:
        """Return the account's other unfinished orders that left or may leave; of this `instrument` alone or all."""
        orders = self.state.orders
        if len(orders) == 1 and self.intent.order_id in orders:
            return ()
        return self._others(instrument=instrument)

    def _others(self, *, instrument: bool) -> Iterator[Order]:
        owners, intent = self.state.owners, self.intent
        account = owners[intent.origin]
        for order in self.state.orders.values():
            if order.id == intent.order_id or order.phase is Phase.INTENDED or owners[order.origin] != account:
                continue
            if not instrument or order.instrument == intent.instrument:
                yield order

    def reckoned(self, terms: Terms | None) -> int:
        """Return the price that an order is reckoned with: what it may pay at most, or the last one (0: unknown)."""
        if terms is None:
            return self.price
        return terms.limit or max(self.price, terms.stop)


Rule = Callable[[Question], Operands | None]
"""Returns the operands of its objection, or None when it has none."""
