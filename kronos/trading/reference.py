"""Reference data: venues, instruments, their names at each venue, and when they are listed.

Rule 1: what is not exact or not proven is refused here, with the field, the value and what to do, before anything runs.
Rule 2: an instrument has one id in Kronos and one symbol at its venue; a name that means two things is refused.
Rule 3: reference data is canonical: it is hashed into a run's identity and comes back equal from its own bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

import msgspec

from kronos.errors import InvalidInput, NotFound
from kronos.kernel import canonical
from kronos.trading.instruments import Instrument, instrument
from kronos.trading.settling import settle

__all__ = ["KINDS", "InstrumentConfig", "Reference", "Venue", "read_reference"]

KINDS: Final = ("spot", "linear", "inverse")
"""Spot exchanges its value; linear and inverse contracts are margined and settle profit alone."""

_TIME_END: Final = 2**62
_NAME_MAX: Final = 100


class Venue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place to trade; `name` is for people."""

    id: str
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse an id that is no name."""
        settle(self, "venue.")
        _check_name(self.id, "venue.id")


class InstrumentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instrument as a person writes it; prices and quantities in units, money in `currency`, which it settles in.

    `symbol` is its name at `venue`; `multiplier` is units a contract (its face value in the quote currency for an
    inverse one); it may be traded from `listed_ns` up to before `delisted_ns` (ns UTC; None: always).
    """

    id: str
    venue: str
    tick: Decimal
    lot: Decimal | None = None
    symbol: str = ""
    kind: str = "spot"
    base: str = ""
    currency: str = "USD"
    multiplier: Decimal = Decimal(1)
    notional_min: Decimal = Decimal(0)
    fee_rate: Decimal = Decimal(0)
    maker_fee_rate: Decimal | None = None
    leverage: Decimal = Decimal(1)
    maintenance_margin: Decimal = Decimal(0)
    listed_ns: int | None = None
    delisted_ns: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no price could make right: names, grids, rates and listings."""
        settle(self, "instrument.")
        _check_name(self.id, "instrument.id")
        _check_name(self.currency, "instrument.currency")
        if self.kind not in KINDS:
            raise InvalidInput(
                f"{self.id}: kind {self.kind!r} is none of {', '.join(KINDS)}", field="kind", value=self.kind
            )
        _check_listing(self)
        self.prove(1)

    @property
    def name(self) -> str:
        """Return its symbol at the venue."""
        return self.symbol or self.id

    def is_listed(self, time_ns: int) -> bool:
        """Return whether it may be traded at `time_ns` (UTC)."""
        return (self.listed_ns or 0) <= time_ns < (_TIME_END if self.delisted_ns is None else self.delisted_ns)

    def prove(self, price_max: int) -> Instrument:
        """Return the instrument with its bound proven up to `price_max` ticks; raise `InvalidInput` where it is not."""
        return instrument(
            symbol=self.id, tick=self.tick, price_max=price_max, lot=self.lot, currency=self.currency,
            fee_rate=self.fee_rate, maker_fee_rate=self.maker_fee_rate, multiplier=self.multiplier,
            inverse=self.kind == "inverse", margined=self.kind != "spot", leverage=self.leverage,
            maintenance_margin=self.maintenance_margin, notional_min=self.notional_min,
        )  # fmt: skip


class Reference:
    """Venues and instruments by their ids, and instruments by their symbols."""

    def __init__(self, venues: Iterable[Venue], instruments: Iterable[InstrumentConfig]) -> None:
        """Take what is known; raise `InvalidInput` for an id or symbol that is used twice or an unknown venue."""
        self.venues: dict[str, Venue] = {}
        self.instruments: dict[str, InstrumentConfig] = {}
        self._symbols: dict[tuple[str, str], str] = {}
        for venue in venues:
            if venue.id in self.venues:
                raise InvalidInput(f"venue {venue.id!r} is named twice", field="venues", value=venue.id)
            self.venues[venue.id] = venue
        for config in instruments:
            self._add(config)

    def _add(self, config: InstrumentConfig) -> None:
        if config.venue not in self.venues:
            raise InvalidInput(
                f"{config.id}: venue {config.venue!r} is unknown; known are: {_listed(self.venues)}",
                field="venue",
                value=config.venue,
            )
        other = self._symbols.get((config.venue, config.name))
        if config.id in self.instruments or other is not None:
            raise InvalidInput(
                f"instrument {config.id!r} is named twice"
                if other is None or other == config.id
                else f"{config.id}: {config.name!r} at {config.venue} is {other!r} already",
                field="instruments",
                value=config.id,
            )
        self.instruments[config.id] = config
        self._symbols[config.venue, config.name] = config.id

    def instrument(self, instrument_id: str) -> InstrumentConfig:
        """Return an instrument; raise `NotFound` naming those that are known."""
        found = self.instruments.get(instrument_id)
        if found is None:
            raise NotFound(
                f"instrument {instrument_id!r} is unknown; known are: {_listed(self.instruments)}",
                instrument=instrument_id,
            )
        return found

    def resolve(self, venue: str, symbol: str) -> InstrumentConfig:
        """Return what `symbol` means at `venue`; raise `NotFound` when it means nothing there."""
        found = self._symbols.get((venue, symbol))
        if found is None:
            known = _listed([name for place, name in self._symbols if place == venue])
            raise NotFound(f"{symbol!r} is no symbol of {venue!r}; known are: {known}", venue=venue, symbol=symbol)
        return self.instruments[found]

    def symbol(self, instrument_id: str) -> str:
        """Return the symbol of an instrument at its venue; raise `NotFound` for an unknown id."""
        return self.instrument(instrument_id).name

    def listed(self, time_ns: int) -> tuple[str, ...]:
        """Return the ids of what may be traded at `time_ns` (UTC), sorted."""
        return tuple(sorted(name for name, each in self.instruments.items() if each.is_listed(time_ns)))

    def encode(self) -> bytes:
        """Return the canonical bytes: equal reference data, equal bytes."""
        return canonical.encode(
            {
                "venues": sorted(self.venues.values(), key=lambda venue: venue.id),
                "instruments": sorted(self.instruments.values(), key=lambda each: each.id),
            }
        )


def read_reference(data: bytes) -> Reference:
    """Return the reference data of its canonical bytes or of JSON written by hand; raise `InvalidInput` otherwise."""
    try:
        plain: Any = msgspec.json.decode(data)
        venues = msgspec.convert(plain.get("venues", []), list[Venue])
        instruments = msgspec.convert(plain.get("instruments", []), list[InstrumentConfig])
    except (msgspec.ValidationError, msgspec.DecodeError, AttributeError) as error:
        raise InvalidInput(f"reference data: {error}", field="reference") from None
    return Reference(venues, instruments)


def _check_name(name: str, field: str) -> None:
    if not name or len(name) > _NAME_MAX or not name.isprintable() or name != name.strip():
        raise InvalidInput(
            f"{field}: {name[:_NAME_MAX]!r} is no name: 1 to {_NAME_MAX} printable characters", field=field, value=name
        )


def _check_listing(config: InstrumentConfig) -> None:
    listed, delisted = config.listed_ns or 0, config.delisted_ns
    if not 0 <= listed < _TIME_END or (delisted is not None and not listed < delisted < _TIME_END):
        raise InvalidInput(
            f"{config.id}: listed from {config.listed_ns} to {delisted} is no time (ns UTC)", field="delisted_ns"
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
