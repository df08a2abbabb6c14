"""Whether there is anything to judge at all: the switch, what was lost, what is owed, which order, how fast, how old.

Rule 1: cancels pass every gate but those of the session's end, of an unknown order and of their own rate.
Rule 2: what only reduces a position passes the gates of losses: a loss must not lock it in.
"""

from __future__ import annotations

from decimal import Decimal

from kronos.trading.accounts import RATE_SCALE
from kronos.trading.buckets import Bucket, ready_at
from kronos.trading.control import objection
from kronos.trading.marks import rolling_result
from kronos.trading.money import from_money
from kronos.trading.risk.question import Operands, Question

__all__ = [
    "cancel_rate", "drawdown", "known_order", "margin_called", "order_rate", "rolling_loss", "session_open",
    "snapshot_age", "trading_enabled",
]  # fmt: skip


def session_open(question: Question) -> Operands | None:
    """Nothing is asked for once the session has stopped."""
    return None if question.open else {"stage": "stop"}


def trading_enabled(question: Question) -> Operands | None:
    """Only cancels pass while trading, the strategy, the instrument or its feed is off, or it is not listed."""
    if question.is_cancel:
        return None
    if not question.state.trading_enabled:
        return {"trading_enabled": "false"}
    intent = question.intent
    if intent.instrument in question.state.unlisted:
        return {"listed": "false"}
    return objection(question.state.switches, origin=intent.origin, instrument=intent.instrument)


def drawdown(question: Question) -> Operands | None:
    """Equity must not have fallen from its highest close by the share of the limit or more."""
    limit = question.limits.drawdown_max
    if limit is None or question.is_cancel or question.reduces:
        return None
    now = question.equity()
    peak = max(question.marks.peaks.get(question.instrument.currency, now), now)
    if (peak - now) * RATE_SCALE < limit * peak:
        return None
    fallen = Decimal(peak - now) / Decimal(peak) if peak else Decimal(0)
    return {
        "equity": str(from_money(now)),
        "peak": str(from_money(peak)),
        "drawdown": f"{fallen:.8f}",
        "drawdown_max": f"{Decimal(limit) / RATE_SCALE:.8f}",
    }


def rolling_loss(question: Question) -> Operands | None:
    """What the window realised, net of fees, and the open loss of now must stay within the limit."""
    limit = question.limits.rolling_loss_max
    if limit is None or question.is_cancel or question.reduces:
        return None
    realised = rolling_result(question.marks, question.time)
    unrealised = min(0, question.equity() - _booked(question))
    if -(realised + unrealised) < limit:
        return None
    return {
        "realised": str(from_money(realised)),
        "unrealised": str(from_money(unrealised)),
        "rolling_loss_max": str(from_money(limit)),
        "window_ns": str(question.marks.window_ns),
    }


def _booked(question: Question) -> int:
    """Return the equity that closing everything at cost would leave."""
    account, contracts, currency = question.account, question.state.contracts, question.instrument.currency
    return account.cash.get(currency, 0) + sum(
        holding.cost
        for instrument, holding in account.holdings.items()
        if contracts[instrument].currency == currency and not contracts[instrument].margined
    )


def margin_called(question: Question) -> Operands | None:
    """An account whose margin is called may only reduce."""
    if not question.account.breached or question.is_cancel or question.reduces:
        return None
    return {"position": str(question.instrument.quantity(question.held)), "breached": "true"}


def known_order(question: Question) -> Operands | None:
    """Only an order that is not finished can be changed or cancelled."""
    intent = question.intent
    if intent.action == "submit" or (question.own and intent.order_id in question.state.orders):
        return None
    return {"order_id": str(intent.order_id)}


def order_rate(question: Question) -> Operands | None:
    """New and changed orders come no faster than agreed."""
    if question.is_cancel or not question.limits.order_rate:
        return None
    return _paced(question, question.marks.orders)


def cancel_rate(question: Question) -> Operands | None:
    """Cancels come no faster than agreed."""
    if not question.is_cancel or not question.limits.cancel_rate:
        return None
    return _paced(question, question.marks.cancels)


def _paced(question: Question, bucket: Bucket | None) -> Operands | None:
    if bucket is None:
        return None
    ready = ready_at(bucket, question.time)
    if ready <= question.time:
        return None
    return {"limit": str(bucket.limit), "period_ns": str(bucket.period_ns), "wait_ns": str(ready - question.time)}


def snapshot_age(question: Question) -> Operands | None:
    """The market that the intent was decided on must be known, and no older than agreed."""
    limit = question.limits.snapshot_age_max_ns
    if limit is None or question.is_cancel:
        return None
    if not question.price:
        return {"age_ns": "none", "snapshot_age_max_ns": str(limit)}
    age = question.time - question.seen
    return None if age <= limit else {"age_ns": str(age), "snapshot_age_max_ns": str(limit)}
