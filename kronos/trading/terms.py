"""What an order says beside its quantity: how it is priced, how long it lives, what it is tied to.

Rule 1: terms are integers (ticks, ns UTC) and words of a closed set; what a strategy asked for becomes terms here, or a
        text that risk denies with.
Rule 2: a price is on the grid or it is refused: nothing is rounded to a tick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np

from kronos.errors import InvalidInput
from kronos.trading.money import to_decimal, to_units
from kronos.trading.words import printable, text_of, told

__all__ = ["KINDS", "LIFETIMES", "MARKET", "NAMES", "Terms", "is_price_words", "read_terms", "words_of"]

KINDS: Final = ("market", "limit", "stop", "stop_limit", "trailing")
LIFETIMES: Final = ("GTC", "IOC", "FOK", "GTD", "DAY")
NAMES: Final = ("type", "limit", "stop", "trail", "tif", "until", "post_only", "reduce_only", "parent", "group")
"""The words of a request, in the order of the fields of `Terms`."""

_PRICES: Final[Mapping[str, tuple[str, ...]]] = {
    "market": (),
    "limit": ("limit",),
    "stop": ("stop",),
    "stop_limit": ("limit", "stop"),
    "trailing": ("trail",),
}
_PRICE_NAMES: Final = ("limit", "stop", "trail")
_ASKED_MAX: Final = 100
_INT_MAX: Final = 2**62


class Terms(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """Prices in ticks (0: none), `until` ns UTC for GTD; `parent` holds the order back until that one is filled, and
    orders of one `group` (its first order's id) cancel one another.
    """

    kind: str = "market"
    limit: int = 0
    stop: int = 0
    trail: int = 0
    tif: str = "GTC"
    until: int = 0
    post_only: bool = False
    reduce_only: bool = False
    parent: int = 0
    group: int = 0

    @property
    def is_immediate(self) -> bool:
        """Whether what the first meeting leaves is cancelled."""
        return self.tif in {"IOC", "FOK"}


MARKET: Final = Terms()


def read_terms(asked: Mapping[str, Any], tick: Decimal, price_max: int) -> tuple[Terms, str]:
    """Return the terms of a request, and "" or the words that cannot be terms."""
    try:
        return _read(asked, tick, price_max), ""
    except InvalidInput as error:
        return MARKET, printable(error.message)[:_ASKED_MAX]


def is_price_words(words: str) -> bool:
    """Return whether what `read_terms` could not read is a price: off the grid, out of bounds or no number."""
    return words.partition(":")[0].partition(" ")[0] in _PRICE_NAMES


def words_of(terms: Terms, price: Callable[[int], Decimal]) -> str:
    """Return terms as people read them: `stop limit 102/103 DAY reduce-only`; `price` turns ticks into a price."""
    prices = "/".join(str(price(ticks)) for ticks in (terms.stop, terms.limit, terms.trail) if ticks)
    words = [terms.kind.replace("_", " "), prices, "" if terms.tif == "GTC" else terms.tif]
    words += ["post-only"] * terms.post_only + ["reduce-only"] * terms.reduce_only
    words += [f"after {terms.parent}"] if terms.parent else []
    return " ".join(filter(None, words))


def _read(asked: Mapping[str, Any], tick: Decimal, price_max: int) -> Terms:
    for name in asked:
        if name not in NAMES:
            raise InvalidInput(f"{name}: no order has it", field=name)
    kind, tif = _word(asked, "type", KINDS), _word(asked, "tif", LIFETIMES)
    prices = {}
    for name in _PRICE_NAMES:
        given = asked.get(name)
        if (given is not None) != (name in _PRICES[kind]):
            raise InvalidInput(f"type {kind}: {'needs' if given is None else 'has no'} {name}", field=name)
        if given is not None:
            prices[name] = _ticks(given, tick, price_max, name)
    until = asked.get("until", 0)
    until = 0 if until is None else until
    if type(until) is not int or (tif == "GTD") != bool(until) or not 0 <= until < _INT_MAX:
        raise InvalidInput(f"until {told(until)}: ns UTC, with GTD alone", field="until")
    post_only, reduce_only = _flag(asked, "post_only"), _flag(asked, "reduce_only")
    if post_only and (kind != "limit" or tif in {"IOC", "FOK"}):
        raise InvalidInput("post_only: for limit orders that rest", field="post_only")
    return Terms(
        kind=kind,
        **prices,
        tif=tif,
        until=until,
        post_only=post_only,
        reduce_only=reduce_only,
        parent=_order_id(asked.get("parent"), "parent"),
        group=_order_id(asked.get("group"), "group"),
    )


def _word(asked: Mapping[str, Any], name: str, words: tuple[str, ...]) -> str:
    """Return one of `words`, the first where the request says nothing."""
    given = asked.get(name, words[0])
    if not isinstance(given, str) or str.__str__(given) not in words:
        raise InvalidInput(f"{name} {told(given)}: one of {', '.join(words)}", field=name)
    return str.__str__(given)


def _flag(asked: Mapping[str, Any], name: str) -> bool:
    given = asked.get(name)
    if given is not None and not isinstance(given, bool | np.bool_):
        raise InvalidInput(f"{name} {told(given)}: True or False", field=name)
    return bool(given)


def _ticks(given: Any, tick: Decimal, price_max: int, name: str) -> int:
    ticks = to_units(to_decimal(given, field=name), tick, field=name)
    if not 0 < ticks <= 2 * price_max:
        raise InvalidInput(f"{name} {text_of(given)}: outside (0, {tick * 2 * price_max}]", field=name)
    return ticks


def _order_id(given: Any, name: str) -> int:
    if given is None:
        return 0
    if type(given) is not int or not 0 < given < _INT_MAX:
        raise InvalidInput(f"{name} {told(given)}: an order's id", field=name)
    return given
