"""What follows from streams and settings meeting: instruments with their bounds proven, limits, splits, rules.

Rule: everything is proven here, before the first row; what cannot be run exactly is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import msgspec
import numpy as np

from kronos.errors import InvalidInput
from kronos.trading.adapters import VenueAdapter
from kronos.trading.bars import Bars, Split
from kronos.trading.control import Directive, Gap, directives
from kronos.trading.instruments import Instrument, instrument
from kronos.trading.money import to_units
from kronos.trading.outbox import Route, open_route
from kronos.trading.payments import Due, Payment, dues_of
from kronos.trading.risk import Limits
from kronos.trading.risk.limits import limits_of as risk_limits_of
from kronos.trading.session_config import SessionConfig
from kronos.trading.streams import Quotes, Stream
from kronos.trading.timeline import Timeline
from kronos.trading.venue import VenueRules

__all__ = [
    "controls_of",
    "dues_by_row",
    "instruments_of",
    "limits_of",
    "listings_of",
    "range_of",
    "routes_of",
    "rules_of",
    "splits_of",
    "venues_of",
]


def instruments_of(streams: Sequence[Stream], config: SessionConfig) -> dict[str, Instrument]:
    """Return what is traded by name, in the order of the streams, with bounds that hold for all their prices.

    Raises `InvalidInput` for streams of one instrument on different grids, or settings of one that no stream has.
    """
    found: dict[str, Instrument] = {}
    known = {each.id: each for each in config.instruments}
    for name in dict.fromkeys(stream.instrument for stream in streams):
        mine = [stream for stream in streams if stream.instrument == name]
        configured = known.pop(name, None)
        ticks = {stream.tick for stream in mine} | ({configured.tick} if configured else set())
        if len(ticks) > 1:
            raise InvalidInput(
                f"{name}: ticks {', '.join(map(str, sorted(ticks)))} do not agree: import its data on one grid",
                field="tick",
                value=str(min(ticks)),
            )
        price_max = max(map(_price_max, mine))
        if configured is not None:
            found[name] = configured.prove(price_max)
        else:
            found[name] = instrument(
                symbol=name,
                tick=mine[0].tick,
                price_max=price_max,
                lot=config.lot,
                currency=config.currency,
                fee_rate=config.fee_rate,
            )
    if known:
        raise InvalidInput(
            f"instruments: no stream has {', '.join(known)}; there are {', '.join(found)}",
            field="instruments",
            value=next(iter(known)),
        )
    return found


def _price_max(stream: Stream) -> int:
    if stream.price_max is not None:
        return stream.price_max
    if isinstance(stream, Bars):
        return int(stream.high.max())
    return int((stream.ask if isinstance(stream, Quotes) else stream.price).max())


def limits_of(traded: Instrument, config: SessionConfig) -> Limits:
    """Return the limits in lots; raise `InvalidInput` for a limit off the lot grid."""
    limits = risk_limits_of(config.risk, traded)
    position_max = limits.position_max
    if config.position_max is not None:
        position_max = min(position_max, to_units(config.position_max, traded.lot, field="position_max"))
    return msgspec.structs.replace(
        limits,
        position_min=0 if config.long_only or config.risk.long_only else -position_max,
        position_max=position_max,
        check_cash=config.check_cash and config.risk.check_cash,
    )


def rules_of(config: SessionConfig) -> VenueRules:
    """Return how rows fill orders, in exact fractions."""
    share = config.volume_share
    return VenueRules(
        path=config.path,
        slippage=Fraction(config.slippage_bps) / 10_000,
        volume_share=None if share is None else Fraction(share),
        slippage_ticks=config.slippage_ticks,
        queue=config.queue,
        seed=config.seed,
        prevents_self_trade=config.prevents_self_trade,
    )


def range_of(timeline: Timeline, config: SessionConfig) -> tuple[int, int]:
    """Return the first row and the row before which a session ends; raise `InvalidInput` when they are no range."""
    stop = timeline.rows if config.stop_row is None else config.stop_row
    if not 0 <= config.first_row < stop <= timeline.rows:
        raise InvalidInput(
            f"rows {config.first_row} to {stop} are not a range of the dataset's {timeline.rows} rows",
            field="first_row",
            value=str(config.first_row),
        )
    return config.first_row, stop


def controls_of(
    timeline: Timeline, config: SessionConfig, names: Mapping[str, Sequence[str]], instruments: Sequence[int]
) -> dict[int, list[Directive | Gap]]:
    """Return by ascending row of the timeline the switches that are thrown before it, and the gaps of streams that
    begin or end; `names` are the ids by scope, `instruments` the instrument's number of each stream.

    Raises `InvalidInput` for a name that there is not, and for a moment after the last row.
    """
    found: dict[int, list[Directive | Gap]] = {}
    for row, gap in _gaps(timeline, config.feed_gap_ns, instruments):
        found.setdefault(row, []).append(gap)
    for directive in directives(config.controls, names):
        row = timeline.row_at(directive.at) if directive.row < 0 else directive.row
        if row >= timeline.rows:
            raise InvalidInput(
                f"controls: no row is at or after {f'time {directive.at}' if directive.row < 0 else f'row {row}'}, "
                f"where {directive.scope} is to be switched: the session has {timeline.rows}",
                field="controls.row",
                value=str(row),
            )
        found.setdefault(max(row, config.first_row), []).append(directive)
    return {row: found[row] for row in sorted(found)}


def _gaps(timeline: Timeline, limit: int | None, instruments: Sequence[int]) -> Iterator[tuple[int, Gap]]:
    """Yield where streams have been silent for `limit` (ns), and where they speak again."""
    for stream, known in enumerate(timeline.available if limit else ()):
        for index in np.flatnonzero(np.diff(known) > limit).tolist():
            begins = int(known[index]) + (limit or 0)
            yield timeline.row_at(begins), Gap(stream, instruments[stream], begins, False)
            over = int(known[index + 1])
            yield timeline.ordinal(stream, index + 1), Gap(stream, instruments[stream], over, True)


def routes_of(config: SessionConfig) -> dict[int, Route]:
    """Return what each route has left to begin with, by its number: none where no route has limits."""
    if not any(route.order_rate or route.cancel_rate for route in config.routes):
        return {}
    return {
        number: open_route(orders=route.order_rate, cancels=route.cancel_rate)
        for number, route in enumerate(config.routes)
    }


def dues_by_row(
    payments: Sequence[Payment], instruments: Mapping[str, Instrument], timeline: Timeline
) -> dict[int, list[Due]]:
    """Return by ascending row of the timeline the payments that come before it: the first row known after their time.

    Raises `InvalidInput` for a payment on an instrument that there is not.
    """
    found: dict[int, list[Due]] = {}
    if payments:
        numbers = {name: number for number, name in enumerate(instruments)}
        lots = {number: each.lot for number, each in enumerate(instruments.values())}
        for due in dues_of(payments, numbers, lots, timeline.time(timeline.rows - 1)):
            found.setdefault(timeline.row_at(due.at, after=True), []).append(due)
    return found


def venues_of(
    config: SessionConfig, venues: Mapping[str, VenueAdapter] | None, key: bytes | None
) -> list[VenueAdapter | None]:
    """Return the adapter of each route, None where orders are matched on the streams.

    Raises `InvalidInput` unless every execution context has an adapter, or none; and for a key beside them.
    """
    executions = [each.execution_id for each in config.executions]
    if not venues:
        return [None] * len(config.routes)
    if set(venues) != set(executions):
        raise InvalidInput(
            f"venues: {', '.join(venues)} are named, the execution contexts are {', '.join(executions)}: name an "
            "adapter for each of them, or for none",
            field="venues",
            value=", ".join(venues),
        )
    if key is not None:
        raise InvalidInput(
            "venues: what a venue remembers cannot be checkpointed: build the session without a key", field="key"
        )
    return [venues[route.execution_id] for route in config.routes]


def listings_of(
    config: SessionConfig, numbers: Mapping[str, int], timeline: Timeline, start: int
) -> tuple[list[int], dict[int, list[tuple[int, int, bool]]]]:
    """Return the instruments that may not be traded before row `start`, and by row what is listed or delisted then.

    A change is (instrument's number, time, whether it is listed); it comes before its row.
    """
    unlisted, found = [], dict[int, list[tuple[int, int, bool]]]()
    begins = timeline.known_at(start)
    for each in config.instruments:
        number = numbers[each.id]
        if not each.is_listed(begins):
            unlisted.append(number)
        for time, listed in ((each.listed_ns, True), (each.delisted_ns, False)):
            if time is not None and time > begins:
                found.setdefault(timeline.row_at(time), []).append((number, time, listed))
    return unlisted, found


def splits_of(
    streams: Sequence[Stream], timeline: Timeline, config: SessionConfig
) -> dict[int, list[tuple[int, Split]]]:
    """Return by ascending row of the timeline the splits that come before it, each with its stream.

    Raises `InvalidInput` for an impossible ratio or two splits of an instrument at one row.
    """
    found: dict[int, list[tuple[int, Split]]] = {}
    said: set[str] = set()
    for place, stream in enumerate(streams):
        if not isinstance(stream, Bars) or stream.instrument in said:
            continue
        splits = stream.splits if config.splits is None else config.splits
        said |= {stream.instrument} if splits else set()
        rows: set[int] = set()
        for split in splits:
            if split.numerator < 1 or split.denominator < 1 or split.row in rows:
                raise InvalidInput(f"split at row {split.row}: needs a positive ratio, once a row", field="splits")
            rows.add(split.row)
            found.setdefault(timeline.ordinal(place, split.row), []).append((place, split))
    return {row: found[row] for row in sorted(found)}
