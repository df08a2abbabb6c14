"""One strategy in a session: its number, what it hears, and the context that it is handed.

Rule: a seat holds nothing that is not in the core state or in the strategy's own memory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from kronos.errors import InvalidInput
from kronos.trading.bars import Bars
from kronos.trading.context import Context, Pen
from kronos.trading.coordinator import Coordinator
from kronos.trading.features import FeatureRows, FeatureStore, declared
from kronos.trading.routes import Routes
from kronos.trading.strategy import Strategy, check_handlers, check_returned
from kronos.trading.streams import Stream, kind_of_stream
from kronos.trading.tape import Tape
from kronos.trading.unread import reads
from kronos.trading.words import text_of

__all__ = ["HANDLERS", "STOPPING", "Seat", "strategy_ids", "subscribed", "words_of_error"]

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]+")
STOPPING: Final = (Exception, SystemExit, GeneratorExit)
"""What ends the strategy that raises it; a person's interrupt is not among it."""

_MESSAGE_MAX: Final = 300
"""Characters kept of the message of an error."""

HANDLERS: Final = {"bars": "on_bar", "trades": "on_trade", "quotes": "on_quote", "depth": "on_book"}
"""The handler that hears of a row of each kind of stream."""


class Seat:
    """Strategy number `place`; `hears` are the streams whose rows it handles."""

    def __init__(
        self, place: int, strategy: Strategy, streams: Sequence[int], coordinator: Coordinator, *, pen: Pen, tape: Tape,
        routes: Routes, store: FeatureStore,
    ) -> None:  # fmt: skip
        """Seat `strategy` before `streams` (numbers)."""
        check_handlers(strategy)
        self.place, self.strategy = place, strategy
        origins = [origin for origin in range(len(routes.origins)) if routes.strategy(origin) == place]
        origins.sort(key=lambda origin: origin % len(routes.ids) != routes.default)
        self.origin = origins[0]
        self.context = Context(coordinator, tape, pen, streams=streams, origins=origins)
        kind = type(strategy)
        self._tape = tape
        self.hears_fills = kind.on_fill is not Strategy.on_fill
        self.hears_orders = kind.on_order is not Strategy.on_order
        self.primary, self.features = self.context.primary, _features(self.context, strategy, coordinator, store)
        self.hears = [stream for stream in streams if self._handles(kind_of_stream(coordinator.streams[stream]))]

    @property
    def is_stopped(self) -> bool:
        """Whether the strategy raised and hears nothing any more."""
        return self.origin in self._tape.state.stopped

    def refuse(self, handler: str, given: object) -> None:
        """Raise `InvalidInput` for what a handler returned, unless it is the ids of what it asked for."""
        asked = [number for action, number, _, _ in self.context.wishes if action in ("buy", "sell")]
        check_returned(self.strategy, handler, given, asked)

    def reads_event(self, handler: str) -> bool:
        """Return whether a handler's code looks at the event that it is handed."""
        return reads(getattr(type(self.strategy), handler)) or handler in vars(self.strategy)

    def _handles(self, kind: str) -> bool:
        name = HANDLERS[kind]
        return getattr(type(self.strategy), name) is not getattr(Strategy, name)


def _features(
    context: Context, strategy: Strategy, coordinator: Coordinator, store: FeatureStore
) -> FeatureRows | None:
    """Return the declared features over the strategy's first stream of bars, None where none is declared."""
    if not declared(type(strategy)):
        return None
    stream = None if context.primary is None else coordinator.streams[context.primary]
    if not isinstance(stream, Bars):
        raise InvalidInput(f"{type(strategy).__name__} declares features and subscribes to no bars", field="features")
    return store.of(strategy, context.primary or 0, stream)


def subscribed(strategy: Strategy, streams: Sequence[Stream]) -> list[int]:
    """Return the streams that a strategy sees: what it asks for, else all bars, else everything.

    Raises `InvalidInput` for a subscription that no stream answers.
    """
    found: dict[int, None] = {}
    for wanted in strategy.subscribes:
        covered = [place for place, stream in enumerate(streams) if wanted.covers(stream)]
        if not covered:
            known = ", ".join(f"{kind_of_stream(stream)} of {stream.instrument}" for stream in streams)
            raise InvalidInput(
                f"{type(strategy).__name__} subscribes to {wanted[0]} of {wanted[1]}; the session has {known}",
                field="subscribes",
                value=wanted[1],
            )
        found |= dict.fromkeys(covered)
    if not strategy.subscribes:
        bars = [place for place, stream in enumerate(streams) if kind_of_stream(stream) == "bars"]
        found = dict.fromkeys(bars or range(len(streams)))
    return sorted(found)


def strategy_ids(strategies: Sequence[Strategy]) -> list[str]:
    """Return the ids that attribute intents; several strategies of one name are numbered: `Momentum`, `Momentum-2`."""
    found: list[str] = []
    for strategy in strategies:
        name = strategy.strategy_id or type(strategy).__name__
        taken, count = name, 1
        while taken in found:
            count += 1
            taken = f"{name}-{count}"
        found.append(taken)
    return found


def words_of_error(error: BaseException, handler: Any) -> tuple[str, int]:
    """Return an error's message without addresses of memory, and the line of the `handler`'s file that it came from:
    that of the handler itself for what no line of it raised.
    """
    code = getattr(handler, "__code__", None)
    line, trace = 0 if code is None else code.co_firstlineno, error.__traceback__
    while trace is not None:
        if code is None or trace.tb_frame.f_code.co_filename == code.co_filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return _ADDRESS.sub("0x…", text_of(error))[:_MESSAGE_MAX], line
