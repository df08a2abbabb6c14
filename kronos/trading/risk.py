"""Whether an intent may become an order: mandatory, stable in its reasons, closed when in doubt.

Rule 1: no order exists without a decision here; the first rule that objects decides.
Rule 2: a denial names a stable reason and the operands that were compared.
Rule 3: an exception inside a rule is a denial (`rule_error`), never a pass.
Rule 4: cancels pass a kill switch: they only ever reduce what is at risk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from kronos.trading.events import IntentRaised
from kronos.trading.instruments import Instrument
from kronos.trading.money import from_money
from kronos.trading.orders import Phase
from kronos.trading.state import TradingState
from kronos.trading.terms import Terms

__all__ = ["RULES", "Limits", "Operands", "Question", "Rule", "Verdict", "judge"]

Operands = dict[str, str]
"""What a rule compared, as text, so that a record of it never loses a digit."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules compare with: lots that may be held, and whether cash must suffice."""

    position_min: int
    position_max: int
    check_cash: bool


class Verdict(msgspec.Struct, frozen=True):
    """Allow or deny, why, and on which numbers."""

    allowed: bool
    reason: str
    operands: Operands


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One intent with what it is judged on; `price` is the last known close in ticks (0: none yet)."""

    intent: IntentRaised
    state: TradingState
    instrument: Instrument
    limits: Limits
    price: int
    open: bool


Rule = Callable[[Question], Operands | None]
"""Returns the operands of its objection, or None when it has none."""

_ALLOW: Final = Verdict(True, "ok", {})


def judge(question: Question, rules: tuple[tuple[str, Rule], ...] | None = None) -> Verdict:
    """Return the verdict on an intent, after every rule or at the first that objects."""
    for reason, rule in RULES if rules is None else rules:
        try:
            operands = rule(question)
        except Exception as error:
            return Verdict(False, "rule_error", {"rule": reason, "error": f"{type(error).__name__}: {error}"})
        if operands is not None:
            return Verdict(False, reason, operands)
    return _ALLOW


def _session_open(question: Question) -> Operands | None:
    return None if question.open else {"stage": "stop"}


def _trading_enabled(question: Question) -> Operands | None:
    if question.state.trading_enabled or question.intent.action == "cancel":
        return None
    return {"trading_enabled": "false"}


def _known_order(question: Question) -> Operands | None:
    intent = question.intent
    if intent.action == "submit" or intent.order_id in question.state.orders:
        return None
    return {"order_id": str(intent.order_id)}


def _terms(question: Question) -> Operands | None:
    """Refuse words that are no terms; a request whose quantity is no number keeps a quantity of 0."""
    intent = question.intent
    return {"asked": intent.asked} if intent.asked and intent.quantity else None


def _sanity(question: Question) -> Operands | None:
    intent = question.intent
    if intent.action == "cancel":
        return None
    if intent.asked:
        return {"quantity": intent.asked, "lot": str(question.instrument.lot)}
    if intent.quantity == 0:
        return {"quantity": "0"}
    if abs(intent.quantity) > question.instrument.quantity_max:
        return {"quantity": str(abs(intent.quantity)), "quantity_max": str(question.instrument.quantity_max)}
    return None


def _position_limit(question: Question) -> Operands | None:
    intent = question.intent
    if intent.action == "cancel" or (intent.terms is not None and intent.terms.reduce_only):
        return None
    position = _held(question)
    same_side = sum(
        order.left
        for order in question.state.orders.values()
        if order.instrument == intent.instrument
        and order.phase is not Phase.INTENDED
        and order.id != intent.order_id
        and not order.held
        and not order.terms.reduce_only
        and (order.quantity > 0) == (intent.quantity > 0)
    )
    before = question.state.orders.get(intent.order_id)
    after = position + same_side + intent.quantity - (before.filled if before else 0)
    if intent.quantity > 0 and after > question.limits.position_max:
        return _position_operands(question, position, same_side, "position_max", question.limits.position_max)
    if intent.quantity < 0 and after < question.limits.position_min:
        return _position_operands(question, position, same_side, "position_min", question.limits.position_min)
    return None


def _held(question: Question) -> int:
    return question.state.held(question.intent.origin, question.intent.instrument)


def _reduce_only(question: Question) -> Operands | None:
    intent = question.intent
    terms = intent.terms
    if intent.action == "cancel" or terms is None or not terms.reduce_only or terms.parent:
        return None  # a child is held back until its parent is filled: the venue sees to it then
    position = _held(question)
    if position * intent.quantity < 0:
        return None
    quantity = question.instrument.quantity
    return {"position": str(quantity(position)), "quantity": str(quantity(intent.quantity))}


def _position_operands(question: Question, position: int, resting: int, name: str, limit: int) -> Operands:
    quantity = question.instrument.quantity
    return {
        "position": str(quantity(position)),
        "resting": str(quantity(resting)),
        "quantity": str(quantity(question.intent.quantity)),
        name: str(quantity(limit)),
    }


def _cash(question: Question) -> Operands | None:
    """Refuse an order whose cost (at its limit, else at the last close) exceeds what is left; sales need none."""
    intent, instrument = question.intent, question.instrument
    if not question.limits.check_cash or intent.quantity <= 0 or question.price <= 0:
        return None
    needed = _cost(instrument, _price(question, intent.terms), intent.quantity)
    reserved = sum(
        _cost(instrument, _price(question, order.terms), order.left)
        for order in question.state.orders.values()
        if order.quantity > 0 and order.phase is not Phase.INTENDED and order.id != intent.order_id
    )
    state = question.state
    available = state.accounts[state.owners[intent.origin]].cash.get(instrument.currency, 0) - reserved
    if needed <= available:
        return None
    return {"needed": str(from_money(needed)), "available": str(from_money(available))}


def _price(question: Question, terms: Terms | None) -> int:
    """Return the price that an order is reckoned with: what it may pay at most, or the last close."""
    if terms is None:
        return question.price
    return terms.limit or max(question.price, terms.stop)


def _cost(instrument: Instrument, price: int, quantity: int) -> int:
    value = instrument.value(price, quantity)
    return value + instrument.fee(value)


RULES: Final[tuple[tuple[str, Rule], ...]] = (
    ("session_closed", _session_open),
    ("trading_disabled", _trading_enabled),
    ("unknown_order", _known_order),
    ("terms_invalid", _terms),
    ("quantity_invalid", _sanity),
    ("reduce_only", _reduce_only),
    ("position_limit", _position_limit),
    ("cash_insufficient", _cash),
)
"""Every rule with its stable reason, in the order in which they are asked."""
