"""Risk: the one door between an intent and an order; `judge` asks every rule that is set, in a fixed order."""

from kronos.trading.risk.judgement import RULES, judge, rules_for
from kronos.trading.risk.limits import Limits, RiskLimits, limits_of, marks_of
from kronos.trading.risk.question import Operands, Question, Rule, Verdict
from kronos.trading.risk.watch import Watch

__all__ = [
    "RULES", "Limits", "Operands", "Question", "RiskLimits", "Rule", "Verdict", "Watch", "judge", "limits_of",
    "marks_of", "rules_for",
]  # fmt: skip
