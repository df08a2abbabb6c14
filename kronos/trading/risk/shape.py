"""Whether an order is one: its words, its grid, its least value, its price."""

from __future__ import annotations

from decimal import Decimal

from kronos.trading.accounts import RATE_SCALE
from kronos.trading.money import from_money
from kronos.trading.risk.question import Operands, Question
from kronos.trading.terms import is_price_words

__all__ = ["lot", "notional_min", "parent", "post_only", "price_band", "reduce_only", "terms", "tick"]


def terms(question: Question) -> Operands | None:
    """Words must be terms; a request whose quantity is no number keeps a quantity of 0 and is for `lot`."""
    intent = question.intent
    return {"asked": intent.asked} if intent.asked and intent.quantity and not is_price_words(intent.asked) else None


def tick(question: Question) -> Operands | None:
    """Every price is a positive number of ticks within bounds."""
    intent = question.intent
    if intent.asked and intent.quantity:
        return {"asked": intent.asked, "tick": str(question.instrument.tick)}
    return None


def lot(question: Question) -> Operands | None:
    """The quantity is a positive number of lots within the instrument's proven bound."""
    intent = question.intent
    if question.is_cancel:
        return None
    if intent.asked:
        return {"quantity": intent.asked, "lot": str(question.instrument.lot)}
    if intent.quantity == 0:
        return {"quantity": "0"}
    if abs(intent.quantity) > question.instrument.quantity_max:
        return {"quantity": str(abs(intent.quantity)), "quantity_max": str(question.instrument.quantity_max)}
    return None


def notional_min(question: Question) -> Operands | None:
    """An order is worth at least what the venue takes; one that only reduces is let out with less."""
    limit, price = question.limits.notional_min, question.reckoned(question.intent.terms)
    if not limit or question.is_cancel or not price or question.reduces:
        return None
    value = abs(question.instrument.value(price, question.intent.quantity))
    return None if value >= limit else {"notional": str(from_money(value)), "notional_min": str(from_money(limit))}


def post_only(question: Question) -> Operands | None:
    """What must not take liquidity does not cross the last price."""
    wished, last = question.intent.terms, question.price
    if not question.limits.check_post_only or wished is None or not wished.post_only or not last:
        return None
    if (wished.limit < last) if question.intent.quantity > 0 else (wished.limit > last):
        return None
    price = question.instrument.price
    return {"limit": str(price(wished.limit)), "price": str(price(last))}


def price_band(question: Question) -> Operands | None:
    """A price is not far from the last one; one that nobody would write on purpose is a slip."""
    limit, wished, last = question.limits.price_band, question.intent.terms, question.price
    if limit is None or wished is None or not last or question.is_cancel:
        return None
    for name in ("limit", "stop"):
        price = getattr(wished, name)
        if price and abs(price - last) * RATE_SCALE > limit * last:
            to_price = question.instrument.price
            return {
                name: str(to_price(price)),
                "price": str(to_price(last)),
                "price_band": f"{Decimal(limit) / RATE_SCALE:.8f}",
            }
    return None


def parent(question: Question) -> Operands | None:
    """What begins when another order is filled finds that order: one that was denied or has ended never begins it."""
    wished = question.intent.terms
    if (
        question.intent.action != "submit"
        or wished is None
        or not wished.parent
        or wished.parent in question.state.orders
    ):
        return None
    return {"parent": str(wished.parent)}


def reduce_only(question: Question) -> Operands | None:
    """What may only reduce finds something to reduce; a child is held back, and the venue sees to it then."""
    wished = question.intent.terms
    if question.is_cancel or wished is None or not wished.reduce_only or wished.parent:
        return None
    position = question.held
    if position * question.intent.quantity < 0:
        return None
    quantity = question.instrument.quantity
    return {"position": str(quantity(position)), "quantity": str(quantity(question.intent.quantity))}
