"""Whether too much rests at the venue: how many orders, and what they are worth, added up and set off."""

from __future__ import annotations

from kronos.trading.money import from_money
from kronos.trading.risk.question import Operands, Question

__all__ = ["active_quotes", "quote_notional"]

_RESTS = frozenset({"limit", "stop_limit"})


def _is_quote(question: Question) -> bool:
    wished = question.intent.terms
    return wished is not None and wished.kind in _RESTS and not question.is_cancel


def active_quotes(question: Question) -> Operands | None:
    """The instrument's resting limit orders, this one included, are not too many."""
    limit = question.limits.quotes_max
    if limit is None or not _is_quote(question):
        return None
    resting = sum(order.terms.kind in _RESTS for order in question.others())
    return None if resting < limit else {"resting": str(resting), "quotes_max": str(limit)}


def quote_notional(question: Question) -> Operands | None:
    """Their value, this one's included, stays within the limits: all of it, and what one side exceeds the other by."""
    limits, wished = question.limits, question.intent.terms
    if (limits.quotes_gross_max is None and limits.quotes_net_max is None) or not _is_quote(question):
        return None
    assert wished is not None, "a quote has terms"
    values = [_value(question, wished.limit, question.wanted)]
    values += [_value(question, o.terms.limit, o.left) for o in question.others() if o.terms.kind in _RESTS]
    gross, net = sum(map(abs, values)), abs(sum(values))
    if limits.quotes_gross_max is not None and gross > limits.quotes_gross_max:
        return {"gross": str(from_money(gross)), "quotes_gross_max": str(from_money(limits.quotes_gross_max))}
    if limits.quotes_net_max is not None and net > limits.quotes_net_max:
        return {"net": str(from_money(net)), "quotes_net_max": str(from_money(limits.quotes_net_max))}
    return None


def _value(question: Question, price: int, quantity: int) -> int:
    value = abs(question.instrument.value(price, quantity))
    return value if quantity > 0 else -value
