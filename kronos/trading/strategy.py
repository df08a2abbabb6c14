"""What a user writes: a class with handlers and typed parameters.

Rule 1: a strategy is deterministic: what it does follows from its parameters, its own attributes and its context.
Rule 2: everything it remembers is an attribute of `self`; that is what checkpoints keep and the user chain covers.
Rule 3: it imports nothing of an exchange, a clock or the engine.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

import msgspec

from kronos.errors import InvalidInput
from kronos.trading.bars import Bar
from kronos.trading.context import Context
from kronos.trading.events import OrderFilled, OrderReport, SplitApplied, TimerFired
from kronos.trading.ticks import BookTick, QuoteTick, TradeTick
from kronos.trading.views import Subscription
from kronos.trading.words import told

__all__ = [
    "NoParams",
    "Strategy",
    "check_handlers",
    "check_returned",
    "params_from_text",
    "set_user_state",
    "user_state",
]


class NoParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a strategy that has none, and the parent of those that do."""


class Strategy:
    """Subclass it, name the parameters in a nested struct, and override the handlers that you need; they ask with
    `ctx` and return nothing.

        class Momentum(Strategy):
            class Params(NoParams, frozen=True):
                lookback: int = 20

            params: Params

            def on_bar(self, ctx, bar):
                ...

    `strategy_id` attributes its intents; the default is the class name.  `subscribes` names what it sees (`views.bars`,
    `views.trades`, `views.quotes`, `views.book`); the default is every stream of bars of the session.
    """

    Params: ClassVar[type[Any]] = NoParams
    strategy_id: ClassVar[str] = ""
    subscribes: ClassVar[tuple[Subscription, ...]] = ()

    params: Any

    def __init__(self, params: Any = None) -> None:
        """Keep `params` (an instance of `Params`, or a mapping that is converted to one)."""
        kind = type(self).Params
        if params is None:
            params = {}
        self.params = params if isinstance(params, kind) else _convert(type(self), params, strict=True)

    def on_start(self, ctx: Context) -> None:
        """Called once before the first bar; an order from here meets the first bar's open."""

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        """Called when `bar` has closed; an order from here fills at the next bar's open at the earliest."""

    def on_trade(self, ctx: Context, trade: TradeTick) -> None:
        """Called when a trade of the market is known; an order from here meets a later row."""

    def on_quote(self, ctx: Context, quote: QuoteTick) -> None:
        """Called when a change of the best bid and ask is known."""

    def on_book(self, ctx: Context, book: BookTick) -> None:
        """Called when an update of a book is known, whole; `ctx.book(book.instrument)` is the book."""

    def on_timer(self, ctx: Context, timer: TimerFired) -> None:
        """Called when a time has come that was asked for with `ctx.timer`; everything known until then is seen."""

    def on_fill(self, ctx: Context, fill: OrderFilled) -> None:
        """Called when an order was filled at the open of `ctx.row`, whose bar is not known yet (`ctx.now`)."""

    def on_order(self, ctx: Context, report: OrderReport) -> None:
        """Called when an order was denied, rejected, replaced, cancelled, expired or triggered."""

    def on_split(self, ctx: Context, split: SplitApplied) -> None:
        """Called before the open of `ctx.row`, from which on prices are those of the split shares."""

    def on_stop(self, ctx: Context) -> None:
        """Called once after the last bar; orders from here are denied."""


def check_handlers(strategy: Strategy) -> None:
    """Refuse a strategy without a handler, and handlers that calling does not run: `async def`, those that `yield`."""
    kind = type(strategy)
    if all(getattr(kind, name) is getattr(Strategy, name) for name in _HANDLERS):
        others = sorted(name for name in dir(kind) if name.startswith("on") and callable(getattr(kind, name)))
        unheard = ", ".join(name for name in others if name not in _HANDLERS)
        raise InvalidInput(
            f"{kind.__name__} has no handler, so it would never act: "
            + (f"nobody calls {unheard}; " if unheard else "")
            + f"write one of {', '.join(_HANDLERS)} in the class",
            field="strategy",
            value=kind.__qualname__,
        )
    for name in _HANDLERS:
        handler = getattr(strategy, name)
        if not callable(handler):
            raise InvalidInput(f"{type(strategy).__name__}.{name} is {told(handler)}, no function", field=name)
        kinds = [kind for kind, asks in _NOT_RUN.items() if asks(handler)]
        if kinds:
            raise InvalidInput(
                f"{type(strategy).__name__}.{name} is {kinds[0]}: it would never run; make it a plain function that "
                "asks with ctx.buy and the like",
                field=name,
                value=kinds[0],
            )


def check_returned(strategy: Strategy, handler: str, given: object, asked: Iterable[int]) -> None:
    """Refuse what a handler returned, which nobody reads; the ids of the orders that it `asked` for say nothing new."""
    ids = given if isinstance(given, tuple | list) and given else (given,)
    known = {*asked}
    if all(type(each) is int and each in known for each in ids):
        return
    kind = type(given).__name__
    raise InvalidInput(
        f"{type(strategy).__name__}.{handler} returned {kind}, and what a handler returns nobody reads: ask inside it, "
        "with ctx.buy, ctx.sell, ctx.modify and ctx.cancel, and return nothing",
        field=handler,
        value=kind,
    )


_HANDLERS: Final = tuple(name for name in vars(Strategy) if name.startswith("on_"))
_NOT_RUN: Final[dict[str, Callable[[Any], bool]]] = {
    "a coroutine function": inspect.iscoroutinefunction,
    "an asynchronous generator": inspect.isasyncgenfunction,
    "a generator (it yields)": inspect.isgeneratorfunction,
}


def user_state(strategy: Strategy) -> Any:
    """Return what a strategy remembers: its `__getstate__`, without the parameters (they are configuration)."""
    state = strategy.__getstate__()  # type: ignore[attr-defined,unused-ignore]
    if isinstance(state, dict):
        return {name: value for name, value in state.items() if name != "params"}
    return state


def set_user_state(strategy: Strategy, state: Any) -> None:
    """Give `strategy` back what `user_state` returned."""
    setter = getattr(strategy, "__setstate__", None)
    if setter is not None:
        setter(state)
        return
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    params = strategy.params
    strategy.__dict__.clear()
    strategy.__dict__.update(attributes or {})
    strategy.params = params
    for name, value in (slots or {}).items():
        setattr(strategy, name, value)


def params_from_text(strategy: type[Strategy], settings: dict[str, str]) -> Any:
    """Return `strategy.Params` from `name=value` texts; raise `InvalidInput` naming what is wrong and what is known."""
    return _convert(strategy, settings, strict=False)


def _convert(strategy: type[Strategy], settings: Any, *, strict: bool) -> Any:
    kind = strategy.Params
    if isinstance(settings, msgspec.Struct):
        raise InvalidInput(
            f"{strategy.__name__}: parameters must be {kind.__qualname__}, not {type(settings).__qualname__}",
            field="params",
        )
    if not isinstance(settings, Mapping):
        raise InvalidInput(
            f"{strategy.__name__}: params: {settings!r} is neither a mapping of parameters nor {kind.__qualname__}",
            field="params",
            value=repr(settings),
        )
    known = {field.name for field in msgspec.structs.fields(kind)}
    listed = ", ".join(f"{f.name} ({_type_name(f.type)})" for f in msgspec.structs.fields(kind)) or "none"
    for name in settings:
        if name not in known:
            raise InvalidInput(
                f"{strategy.__name__} has no parameter {name!r}; it has: {listed}", field=f"params.{name}", value=name
            )
    try:
        return msgspec.convert(settings, kind, strict=strict)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`")
        if not name:
            raise InvalidInput(f"{strategy.__name__}: {reason}; its parameters are: {listed}", field="params") from None
        raise InvalidInput(
            f"{strategy.__name__}: parameter {name} cannot be {settings.get(name)!r}: {reason}; "
            f"its parameters are: {listed}",
            field=f"params.{name}",
            value=str(settings.get(name)),
        ) from None


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
