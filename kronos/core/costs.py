"""What attempts cost, exactly, and what a run may cost at most.

Rule 1: money is exact: a decimal text, added without rounding; a float is refused where it is given.
Rule 2: what failed attempts cost is counted like the rest: the bill does not ask whether it worked.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

import msgspec

from kronos.core.options import parse_duration
from kronos.errors import InvalidInput, WorkflowDefinitionError

__all__ = ["NO_COSTS", "USD_MAX", "Budget", "Costs", "Spent", "check_count", "usd_text"]

USD_MAX: Final = Decimal(10) ** 15
USD_PLACES_MAX: Final = 18
TOKENS_MAX: Final = 2**53 - 1
_EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation])


class Costs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Calls of models, tokens in and out, and US dollars as decimal text."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: str = "0"

    def __add__(self, other: Costs) -> Costs:
        return Costs(
            calls=self.calls + other.calls,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
            usd=_text(_EXACT.add(Decimal(self.usd), Decimal(other.usd))),
        )

    @property
    def tokens(self) -> int:
        """Tokens in and out."""
        return self.tokens_in + self.tokens_out


NO_COSTS: Final = Costs()


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has used up: attempts begun, ns that attempts took together, and their costs."""

    attempts: int = 0
    worked_ns: int = 0
    costs: Costs = NO_COSTS


class Budget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run may use up; no further step begins once any of it is reached.  None: no limit.

    `usd` and `tokens` limit what steps report by `ctx.cost`, `attempts` how often code is begun, `time` the time that
    attempts take together (the time from start to end is limited by the workflow's `timeout`).
    """

    usd: str | int | None = None
    tokens: int | None = None
    attempts: int | None = None
    time: str | float | None = None

    def __post_init__(self) -> None:
        if self.usd is not None:
            msgspec.structs.force_setattr(self, "usd", _limit_of_money(self.usd))
        for name in ("tokens", "attempts"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise _refused(name, value, "a whole number above 0")
        if self.time is not None:
            msgspec.structs.force_setattr(self, "time", parse_duration(self.time, field="budget.time"))
        if self.usd is self.tokens is self.attempts is self.time is None:
            raise WorkflowDefinitionError(
                "budget: no limit is set: give usd=, tokens=, attempts= or time=", field="budget", value=None
            )

    @property
    def is_spent_late(self) -> bool:
        """Whether only the end of an attempt tells what it used up; how many there are is known before."""
        return any(limit is not None for limit in (self.usd, self.tokens, self.time))

    def used_up_by(self, spent: Spent) -> str | None:
        """Return which limit `spent` has reached, with the sum; None while there is something left."""
        if self.usd is not None and Decimal(spent.costs.usd) >= Decimal(self.usd):
            return f"budget usd={self.usd} is used up: the attempts so far cost {spent.costs.usd} USD"
        if self.tokens is not None and spent.costs.tokens >= self.tokens:
            return f"budget tokens={self.tokens} is used up: the attempts so far took {spent.costs.tokens} tokens"
        if self.attempts is not None and spent.attempts >= self.attempts:
            return f"budget attempts={self.attempts} is used up: {spent.attempts} attempts were made"
        if self.time is not None and spent.worked_ns >= float(self.time) * 1e9:
            return f"budget time={self.time:g} s is used up: attempts took {spent.worked_ns / 1e9:.3f} s"
        return None


def usd_text(value: object, *, field: str = "usd") -> str:
    """Return an amount of US dollars as canonical decimal text.

    Raises `InvalidInput` for a float, for what is no amount, and for what is negative or not below USD_MAX.
    """
    if isinstance(value, bool | float) or not isinstance(value, Decimal | str | int):
        raise InvalidInput(
            f'{field}={value!r}: give an exact amount: a Decimal or a text such as "0.0015", not a float',
            field=field,
            value=value,
        )
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount < USD_MAX or -_exponent(amount) > USD_PLACES_MAX:
        raise InvalidInput(
            f"{field}={value!r}: expected an amount from 0 to {USD_MAX:f}, of at most {USD_PLACES_MAX} places",
            field=field,
            value=value,
        )
    return _text(amount)


def check_count(field: str, value: object) -> None:
    """Raise `InvalidInput` unless `value` is a whole number from 0."""
    if type(value) is not int or not 0 <= value <= TOKENS_MAX:
        raise InvalidInput(f"{field}={value!r}: expected a whole number from 0", field=field, value=value)


def _limit_of_money(value: object) -> str:
    try:
        text = usd_text(value, field="budget.usd")
    except InvalidInput as error:
        raise WorkflowDefinitionError(error.message, **error.facts) from None
    if text == "0":
        raise _refused("usd", value, "an amount above 0")
    return text


def _exponent(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int), "a finite amount has an exponent"
    return exponent


def _text(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _refused(field: str, value: object, expected: str) -> WorkflowDefinitionError:
    return WorkflowDefinitionError(
        f"budget.{field}={value!r}: expected {expected}", field=f"budget.{field}", value=value
    )
