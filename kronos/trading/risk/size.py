"""Whether an order is too much: for the position, on its own, with all others, for the cash and for the margin.

Rule: open orders count as if they filled, and an order of no price at the last one.
"""

from __future__ import annotations

from collections.abc import Iterable

from kronos.trading.accounts import value_of
from kronos.trading.instruments import Instrument
from kronos.trading.margin import collateral, initial_margin, margin_of
from kronos.trading.money import from_money
from kronos.trading.orders import Order
from kronos.trading.risk.question import Operands, Question
from kronos.trading.terms import Terms

__all__ = ["cash", "gross_notional", "margin", "order_size", "position"]


def position(question: Question) -> Operands | None:
    """What is held and what rests on the same side stay within the limit, the order included, whatever fills first.

    What only reduces never leaves the limit by itself; beside orders that do not, it may take what they were to sell.
    """
    intent = question.intent
    if question.is_cancel:
        return None
    held, buys = question.held, intent.quantity > 0
    same = [
        (order.terms, left)
        for order in question.others()
        if (order.quantity > 0) == buys and (left := _may_trade(question, order))
    ]
    reduces = intent.terms is not None and intent.terms.reduce_only
    resting = sum(left for terms, left in same if not terms.reduce_only)
    if reduces and not resting:
        return None
    if held * intent.quantity < 0:
        largest = _reducing([*same, (intent.terms, question.wanted)])
        resting += min(largest, -held) if buys else max(largest, -held)
    after = held + resting + (0 if reduces else question.wanted)
    if buys and after > question.limits.position_max:
        return _position(question, held, resting, "position_max", question.limits.position_max)
    if not buys and after < question.limits.position_min:
        return _position(question, held, resting, "position_min", question.limits.position_min)
    return None


def _may_trade(question: Question, order: Order) -> int:
    """Return the lots (signed) of an order that something held may meet: of one held back, what its parent filled."""
    if not order.held:
        return order.left
    parent = question.state.orders.get(order.terms.parent)
    begun = abs(parent.filled) if parent is not None else 0
    return max(-begun, min(begun, order.left))


def _reducing(orders: Iterable[tuple[Terms | None, int]]) -> int:
    """Return the lots (signed) that those which only reduce may take at most: of a group, one."""
    groups, alone = dict[int, int](), 0
    for terms, left in orders:
        if terms is None or not terms.reduce_only:
            continue
        if terms.group:
            groups[terms.group] = max(groups.get(terms.group, 0), left, key=abs)
        else:
            alone += left
    return alone + sum(groups.values())


def _position(question: Question, held: int, resting: int, name: str, limit: int) -> Operands:
    quantity = question.instrument.quantity
    return {
        "position": str(quantity(held)),
        "resting": str(quantity(resting)),
        "quantity": str(quantity(question.intent.quantity)),
        name: str(quantity(limit)),
    }


def order_size(question: Question) -> Operands | None:
    """One order stays within the quantity and the value of one order."""
    limits, lots = question.limits, abs(question.intent.quantity)
    if question.is_cancel:
        return None
    if limits.order_max is not None and lots > limits.order_max:
        quantity = question.instrument.quantity
        return {"quantity": str(quantity(lots)), "order_max": str(quantity(limits.order_max))}
    price = question.reckoned(question.intent.terms)
    if limits.order_notional_max is None or not price:
        return None
    value = abs(question.instrument.value(price, lots))
    if value <= limits.order_notional_max:
        return None
    return {"notional": str(from_money(value)), "order_notional_max": str(from_money(limits.order_notional_max))}


def gross_notional(question: Question) -> Operands | None:
    """Positions and open orders of one currency, all added up, stay within the limit; what only reduces passes."""
    limit = question.limits.gross_notional_max
    if limit is None or question.is_cancel or question.reduces:
        return None
    positions, resting = _positions(question), _resting(question)
    price = question.reckoned(question.intent.terms)
    value = abs(question.instrument.value(price, question.wanted)) if price else 0
    if positions + resting + value <= limit:
        return None
    return {
        "positions": str(from_money(positions)),
        "resting": str(from_money(resting)),
        "notional": str(from_money(value)),
        "gross_notional_max": str(from_money(limit)),
    }


def _positions(question: Question) -> int:
    contracts, prices, total = question.state.contracts, question.known_prices(), 0
    for instrument, holding in question.account.holdings.items():
        contract, price = contracts[instrument], prices.get(instrument)
        if contract.currency == question.instrument.currency:
            total += abs(value_of(contract, price, holding.quantity)) if price else abs(holding.cost)
    return total


def _resting(question: Question) -> int:
    contracts, prices, total = question.state.contracts, question.known_prices(), 0
    for order in question.others(instrument=False):
        contract = contracts[order.instrument]
        price = order.terms.limit or max(order.terms.stop, prices.get(order.instrument, 0))
        if contract.currency == question.instrument.currency and price and not order.held:
            total += abs(value_of(contract, price, order.left))
    return total


def cash(question: Question) -> Operands | None:
    """A purchase costs (at its limit, else at the last price) no more than is left; sales need none."""
    intent, instrument = question.intent, question.instrument
    if instrument.margined or not question.limits.check_cash or intent.quantity <= 0 or question.price <= 0:
        return None
    needed = _cost(instrument, question.reckoned(intent.terms), intent.quantity)
    reserved = sum(
        _cost(instrument, question.reckoned(order.terms), order.left)
        for order in question.others()
        if order.quantity > 0
    )
    available = question.account.cash.get(instrument.currency, 0) - reserved
    if needed <= available:
        return None
    return {"needed": str(from_money(needed)), "available": str(from_money(available))}


def _cost(instrument: Instrument, price: int, quantity: int) -> int:
    value = instrument.value(price, quantity)
    return value + instrument.fee(value)


def margin(question: Question) -> Operands | None:
    """The initial margin of the largest position that open orders could make is there; what only reduces passes."""
    instrument, price = question.instrument, question.reckoned(question.intent.terms)
    if not instrument.margined or not question.limits.check_cash or question.is_cancel or not price:
        return None
    if question.reduces:
        return None
    needed = margin_of(instrument.value(price, _largest(question)), instrument.initial)
    fee = instrument.fee(instrument.value(price, question.wanted))
    prices, contracts, account = question.known_prices(), question.state.contracts, question.account
    backing = collateral(account, contracts, prices, instrument.currency)
    tied = initial_margin(account, contracts, prices, instrument.currency)
    own = account.holdings.get(question.intent.instrument)
    if own is not None:
        tied -= margin_of(instrument.value(question.price or price, own.quantity), instrument.initial)
    if needed + fee <= backing - tied:
        return None
    return {"needed": str(from_money(needed + fee)), "free": str(from_money(backing - tied))}


def _largest(question: Question) -> int:
    """Return the largest position (lots) that the account would hold if one side's orders all filled."""
    sides = {True: 0, False: 0}
    for order in question.others():
        if not order.held:
            sides[order.quantity > 0] += order.left
    sides[question.wanted > 0] += question.wanted
    return max(abs(question.held + sides[True]), abs(question.held + sides[False]))
