"""Whether an intent may become an order: mandatory, stable in its reasons, closed when in doubt.

Rule 1: no order exists without a decision here; the first rule that objects decides.
Rule 2: a denial names a stable reason and the operands that were compared.
Rule 3: an exception inside a rule is a denial (`rule_error`), never a pass.
Rule 4: cancels pass a kill switch: they only ever reduce what is at risk.
Rule 5: a rule whose limit is not set is not asked: `rules_for` leaves it out.
"""

from __future__ import annotations

from typing import Final

from kronos.trading.risk import gates, quotes, shape, size
from kronos.trading.risk.limits import Limits
from kronos.trading.risk.question import Question, Rule, Verdict

__all__ = ["RULES", "SETTINGS", "judge", "rules_for"]

RULES: Final[tuple[tuple[str, Rule], ...]] = (
    ("session_closed", gates.session_open),
    ("trading_disabled", gates.trading_enabled),
    ("drawdown_exceeded", gates.drawdown),
    ("rolling_loss_exceeded", gates.rolling_loss),
    ("margin_called", gates.margin_called),
    ("unknown_order", gates.known_order),
    ("terms_invalid", shape.terms),
    ("price_invalid", shape.tick),
    ("quantity_invalid", shape.lot),
    ("notional_too_small", shape.notional_min),
    ("post_only_would_cross", shape.post_only),
    ("price_band_exceeded", shape.price_band),
    ("parent_gone", shape.parent),
    ("reduce_only", shape.reduce_only),
    ("position_limit", size.position),
    ("order_too_large", size.order_size),
    ("gross_notional_exceeded", size.gross_notional),
    ("cash_insufficient", size.cash),
    ("margin_insufficient", size.margin),
    ("too_many_quotes", quotes.active_quotes),
    ("quote_notional_exceeded", quotes.quote_notional),
    ("order_rate_exceeded", gates.order_rate),
    ("cancel_rate_exceeded", gates.cancel_rate),
    ("snapshot_stale", gates.snapshot_age),
)
"""Every rule with its stable reason, in the order in which they are asked."""

SETTINGS: Final[dict[str, tuple[str, ...]]] = {
    "drawdown_exceeded": ("drawdown_max",),
    "rolling_loss_exceeded": ("rolling_loss_max",),
    "notional_too_small": ("notional_min",),
    "post_only_would_cross": ("check_post_only",),
    "price_band_exceeded": ("price_band",),
    "order_too_large": ("order_max", "order_notional_max"),
    "gross_notional_exceeded": ("gross_notional_max",),
    "too_many_quotes": ("quotes_max",),
    "quote_notional_exceeded": ("quotes_gross_max", "quotes_net_max"),
    "order_rate_exceeded": ("order_rate",),
    "cancel_rate_exceeded": ("cancel_rate",),
    "snapshot_stale": ("snapshot_age_max_ns",),
}
"""The settings without any of which a rule never objects."""

_ALLOW: Final = Verdict(True, "ok", {})


def rules_for(limits: Limits) -> tuple[tuple[str, Rule], ...]:
    """Return the rules that could object under `limits`, in their order."""
    return tuple(
        (reason, rule)
        for reason, rule in RULES
        if reason not in SETTINGS or any(getattr(limits, name) for name in SETTINGS[reason])
    )


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
