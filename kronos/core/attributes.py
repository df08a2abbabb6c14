"""What a run can be searched by: names with a text, a number, or true or false.

Rule: what cannot be kept, or cannot be found again, is refused where it is given, by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from kronos.core.events import Attribute
from kronos.errors import InvalidInput

__all__ = ["check_attribute", "checked_attributes", "parse_where"]

ATTRIBUTES_MAX: Final = 64
NAME_MAX: Final = 64
TEXT_MAX: Final = 1_000


def checked_attributes(
    attributes: Mapping[str, Attribute | None], *, removing: bool = True
) -> dict[str, Attribute | None]:
    """Return `attributes` where they can be kept and searched; raise `InvalidInput` naming the one that cannot.

    Where nothing can be removed yet, None is refused.
    """
    if not isinstance(attributes, Mapping):
        raise InvalidInput(
            f"attributes {attributes!r}: give names with values, as in {{'desk': 'fx'}}",
            field="attributes",
            value=attributes,
        )
    if len(attributes) > ATTRIBUTES_MAX:
        raise InvalidInput(f"{len(attributes)} attributes are more than {ATTRIBUTES_MAX}", field="attributes")
    for name, value in attributes.items():
        check_attribute(name, value)
        if value is None and not removing:
            raise _refused(name, value)
    return dict(attributes)


def check_attribute(name: object, value: object) -> None:
    """Raise `InvalidInput` unless `name` and `value` make an attribute."""
    if not isinstance(name, str) or not 0 < len(name) <= NAME_MAX or not name.isprintable() or "=" in name:
        raise InvalidInput(
            f"attribute {name!r}: expected a name of 1 to {NAME_MAX} printable characters without '='",
            field="attributes",
            value=name,
        )
    fits = value is None or isinstance(value, str | int | float)
    if isinstance(value, float):
        fits = math.isfinite(value)
    if isinstance(value, str):
        fits = len(value) <= TEXT_MAX and "\x00" not in value
    if not fits:
        raise _refused(name, value)


def _refused(name: str, value: object) -> InvalidInput:
    return InvalidInput(
        f"attribute {name!r}: expected a text of at most {TEXT_MAX} characters, a finite number, true or false, "
        f"got {value!r}",
        field=f"attributes.{name}",
        value=value,
    )


def parse_where(conditions: Sequence[str]) -> dict[str, str]:
    """Return attribute conditions such as "symbol=BTC" by name; raise `InvalidInput` for another form."""
    found: dict[str, str] = {}
    for condition in conditions:
        name, mark, value = condition.partition("=")
        if not mark or not name:
            raise InvalidInput(
                f"where={condition!r}: write an attribute and its value, as in symbol=BTC",
                field="where",
                value=condition,
            )
        found[name.strip()] = value.strip()
    return found
