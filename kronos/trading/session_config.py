"""Everything that decides a session beside its streams and strategies: accounts, routes, instruments, latency, limits.

Rule 1: settings are frozen and canonical: they are part of the run's identity.
Rule 2: what cannot be meant is refused here, with the field, the value and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from kronos.errors import InvalidInput
from kronos.trading.accounts import METHODS
from kronos.trading.bars import Split
from kronos.trading.buckets import Rate
from kronos.trading.control import Control
from kronos.trading.payments import Payment
from kronos.trading.reference import InstrumentConfig
from kronos.trading.risk import RiskLimits
from kronos.trading.settling import settle
from kronos.trading.venue.path import FORWARD

__all__ = ["AccountConfig", "ExecutionConfig", "Latency", "RouteConfig", "SessionConfig", "check_rules"]


QUEUES: Final = ("averse", "probable")
"""What is assumed of cancels in the queue before an order: all behind it, or before it in proportion."""


class AccountConfig(msgspec.Struct, frozen=True, kw_only=True):
    """An account and the cash that it begins with, by currency; `method` is how cost leaves a position."""

    id: str = "main"
    cash: dict[str, Decimal] = msgspec.field(default_factory=lambda: {"USD": Decimal(1_000_000)})
    method: str = "average"

    def __post_init__(self) -> None:
        """Refuse a method of cost that there is not."""
        settle(self, "accounts.")
        if self.method not in METHODS:
            raise InvalidInput(
                f"account {self.id}: method {self.method!r} is none of {', '.join(METHODS)}", field="method"
            )


class ExecutionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """An execution context: whose account is used, and who executes."""

    execution_id: str = "backtest"
    account: str = "main"
    broker_id: str = "simulated"

    def __post_init__(self) -> None:
        """Refuse what is no name."""
        settle(self, "executions.")


class RouteConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A name that orders travel by, the context that it leads to, and whether orders that name no route take it.

    `order_rate` and `cancel_rate` are how often new and changed orders, and cancels, may be sent (None: any time); what
    comes faster waits in the outbox.
    """

    route_id: str = "simulated"
    execution_id: str = "backtest"
    default: bool = False
    order_rate: Rate | None = None
    cancel_rate: Rate | None = None

    def __post_init__(self) -> None:
        """Refuse what is no name, and no rate."""
        settle(self, "routes.")


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long rows take to the strategies, orders to the venue and reports back; nanoseconds."""

    feed_ns: int = 0
    order_ns: int = 0
    report_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse a latency that would make something known before it happened."""
        settle(self, "latency.")
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not 0 <= value < 2**60:
                raise InvalidInput(
                    f"latency.{name}: {value} is negative or endless; normalise the clock of the data instead",
                    field=f"latency.{name}",
                    value=str(value),
                )


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one session; what is not said of an instrument in `instruments` is taken from its streams.

    `currency`, `fee_rate` and `lot` are those of instruments that are not in `instruments`.  Rows run from `first_row`
    to before `stop_row` of the timeline.  A strategy that raises is stopped and the others go on, unless `isolate` is
    false: then what it raises ends the run.  `controls` are switches thrown on the way; a stream that is silent for
    longer than `feed_gap_ns` is degraded: its instrument takes no new orders until it speaks again.

    Fills of takers are worse by `slippage_ticks` too; `queue` (on trades and books) is `averse` or `probable`, whose
    remainders follow from `seed`; of two orders of one account that would meet, the younger is cancelled unless
    `prevents_self_trade` is false.  The other fields are as in `BacktestConfig`.
    """

    accounts: tuple[AccountConfig, ...] = (AccountConfig(),)
    executions: tuple[ExecutionConfig, ...] = (ExecutionConfig(),)
    routes: tuple[RouteConfig, ...] = (RouteConfig(),)
    instruments: tuple[InstrumentConfig, ...] = ()
    currency: str = "USD"
    fee_rate: Decimal = Decimal(0)
    lot: Decimal | None = None
    latency: Latency = Latency()
    long_only: bool = True
    position_max: Decimal | None = None
    check_cash: bool = True
    path: str = "nearest"
    slippage_bps: Decimal = Decimal(0)
    volume_share: Decimal | None = None
    slippage_ticks: int = 0
    queue: str = "averse"
    seed: int = 0
    prevents_self_trade: bool = True
    risk: RiskLimits = RiskLimits()
    payments: tuple[Payment, ...] = ()
    splits: tuple[Split, ...] | None = None
    controls: tuple[Control, ...] = ()
    feed_gap_ns: int | None = None
    first_row: int = 0
    stop_row: int | None = None
    isolate: bool = True
    late: str = "count"

    def __post_init__(self) -> None:
        """Refuse names that are used twice or lead nowhere, and rules that no venue can have."""
        settle(self)
        check_rules(self)
        if self.late not in LATE:
            raise InvalidInput(f"late: {self.late!r} is none of {', '.join(LATE)}", field="late", value=self.late)
        if self.feed_gap_ns is not None and self.feed_gap_ns < 1:
            raise InvalidInput(
                f"feed_gap_ns: {self.feed_gap_ns} is no time: the longest silence of a stream in nanoseconds, or None",
                field="feed_gap_ns",
                value=str(self.feed_gap_ns),
            )
        _check_matching(self)
        _once("accounts", (each.id for each in self.accounts))
        _once("executions", (each.execution_id for each in self.executions))
        _once("routes", (each.route_id for each in self.routes))
        _once("instruments", (each.id for each in self.instruments))
        for execution in self.executions:
            _known("executions.account", execution.account, [each.id for each in self.accounts])
        for route in self.routes:
            _known("routes.execution_id", route.execution_id, [each.execution_id for each in self.executions])


LATE: Final = ("count", "drop")
"""What becomes of late trades and quotes."""


class Rules(Protocol):
    """How orders are filled and what that costs, as settings say it."""

    @property
    def fee_rate(self) -> Decimal: ...
    @property
    def path(self) -> str: ...
    @property
    def slippage_bps(self) -> Decimal: ...
    @property
    def slippage_ticks(self) -> int: ...
    @property
    def volume_share(self) -> Decimal | None: ...


def check_rules(config: Rules) -> None:
    """Refuse a fee, a path, a slippage or a share of volume that there cannot be."""
    if not (config.fee_rate.is_finite() and 0 <= config.fee_rate < 1):
        raise InvalidInput(
            f"fee_rate: {config.fee_rate} is outside [0, 1): 0.001 is 0.1 %",
            field="fee_rate",
            value=str(config.fee_rate),
        )
    if config.path not in FORWARD:
        raise InvalidInput(f"path: {config.path!r} is none of {', '.join(FORWARD)}", field="path", value=config.path)
    if not (config.slippage_bps.is_finite() and 0 <= config.slippage_bps < 10_000):
        raise InvalidInput(
            f"slippage_bps: {config.slippage_bps} is outside [0, 10000): 5 is 0.05 %",
            field="slippage_bps",
            value=str(config.slippage_bps),
        )
    if config.volume_share is not None and not (config.volume_share.is_finite() and 0 < config.volume_share <= 1):
        raise InvalidInput(
            f"volume_share: {config.volume_share} is outside (0, 1]: 0.1 is a tenth of a bar's volume",
            field="volume_share",
            value=str(config.volume_share),
        )
    _check_count(config, "slippage_ticks", 2**20)


def _check_matching(config: SessionConfig) -> None:
    if config.queue not in QUEUES:
        raise InvalidInput(f"queue: {config.queue!r} is none of {', '.join(QUEUES)}", field="queue", value=config.queue)
    _check_count(config, "seed", 2**30)


def _check_count(config: object, name: str, end: int) -> None:
    value = getattr(config, name)
    if type(value) is not int or not 0 <= value < end:
        raise InvalidInput(f"{name}: {value!r} is no whole number in [0, {end})", field=name, value=str(value))


def _once(field: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidInput(f"{field}: {name!r} is named twice", field=field, value=name)
        seen.add(name)


def _known(field: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise InvalidInput(f"{field}: {name!r} is none of {', '.join(known)}", field=field, value=name)
