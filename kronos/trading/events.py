"""Every fact that a journal can hold: a closed union of small frozen records.

Rule 1: a record says what was decided or what happened, never what can be derived (equity, the market event itself).
Rule 2: every record has a position `(row, sub)`, an origin, the snapshot that was seen, and its causes.
Rule 3: names are past tense, tags and the order of fields are the stored format: append, never change.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from kronos.trading.terms import Terms

__all__ = [
    "RECORD_TYPES",
    "Arrived",
    "BorrowCharged",
    "CommandRefused",
    "CommandTravels",
    "Deferred",
    "DividendPaid",
    "FeedDegraded",
    "FeedRestored",
    "FundingPaid",
    "InstrumentDelisted",
    "InstrumentListed",
    "IntentRaised",
    "LevelsTaken",
    "MarginCalled",
    "Noted",
    "OrderAccepted",
    "OrderAdjusted",
    "OrderCancelled",
    "OrderDenied",
    "OrderExpired",
    "OrderFilled",
    "OrderRejected",
    "OrderReplaced",
    "OrderReport",
    "OrderSubmitted",
    "OrderTriggered",
    "OrdersAnchored",
    "Origin",
    "OutboxDiscarded",
    "OutboxQueued",
    "OutboxSent",
    "OutboxWoken",
    "Record",
    "Report",
    "ReportIgnored",
    "ReportTravels",
    "RiskDecided",
    "RiskMarked",
    "SplitApplied",
    "StrategyStopped",
    "Switched",
    "TimerFired",
    "TimerSet",
    "TradingSwitched",
    "kind_of",
]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Who acted and where: records name it by its index in the segment's table, so that ids stay out of the chain."""

    strategy_id: str
    execution_id: str
    route_id: str
    broker_id: str


class _Fact(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every record carries.

    `snapshot` is the number of records that the state had seen when this was decided; `causes` are the
    `positions.cause_id` of what led to it (sub 0 is the market event of that row).
    """

    row: int
    sub: int
    origin: int
    snapshot: int
    causes: tuple[int, ...]


class IntentRaised(_Fact, frozen=True, tag=1):
    """What a strategy wants: to submit an order of `quantity` lots (signed: buy > 0), to modify or to cancel one.

    `asked` keeps the words of a request that is no order; its quantity is then 0 and risk denies it.  `terms` None is a
    plain market order.  A modification names the whole new quantity.
    """

    order_id: int
    instrument: int
    action: str
    quantity: int
    asked: str = ""
    terms: Terms | None = None


class RiskDecided(_Fact, frozen=True, tag=2):
    """The risk engine's answer to an intent: `reason` is stable, `operands` are the numbers that it compared."""

    order_id: int
    allowed: bool
    reason: str
    operands: dict[str, str]


class OrderDenied(_Fact, frozen=True, tag=3):
    """Our own risk stopped the order; it never left."""

    order_id: int
    reason: str


class OrderSubmitted(_Fact, frozen=True, tag=4):
    """The order was sent to its venue."""

    order_id: int


class OrderAccepted(_Fact, frozen=True, tag=5):
    """The venue has the order, since `at` (ns UTC); `ahead` is the quantity (steps) before it in its price's queue."""

    order_id: int
    at: int = 0
    ahead: int = 0


class OrderRejected(_Fact, frozen=True, tag=6):
    """The venue refused the order."""

    order_id: int
    reason: str


class OrderFilled(_Fact, frozen=True, tag=7):
    """One execution: `quantity` lots (signed) at `price` ticks for `fee` money; `assumption` says why at that price,
    `liquidity` whether the order was the maker or the taker.
    """

    order_id: int
    instrument: int
    quantity: int
    price: int
    fee: int
    assumption: str
    liquidity: str = ""


class OrderCancelled(_Fact, frozen=True, tag=8):
    """The order is gone before it was filled."""

    order_id: int
    reason: str


class OrderAdjusted(_Fact, frozen=True, tag=9):
    """A corporate action changed what is still open of a resting order to `quantity` lots (signed)."""

    order_id: int
    quantity: int


class SplitApplied(_Fact, frozen=True, tag=10):
    """Control event: each `denominator` lots became `numerator`; `cash` money was paid for the fraction of a lot."""

    instrument: int
    numerator: int
    denominator: int
    cash: int


class TradingSwitched(_Fact, frozen=True, tag=11):
    """Control event: orders are allowed from here on, or not."""

    enabled: bool
    reason: str


class Noted(_Fact, frozen=True, tag=12):
    """Whatever a strategy wanted remembered; it changes nothing."""

    text: str


class OrderReplaced(_Fact, frozen=True, tag=13):
    """The venue has the order under new `terms` and a new whole `quantity` in lots (signed).

    With a time `at` (ns UTC) it lost its place: it stands behind `ahead` steps since then.
    """

    order_id: int
    quantity: int
    terms: Terms
    at: int = 0
    ahead: int = 0


class OrderExpired(_Fact, frozen=True, tag=14):
    """The order's time was over: `reason` is the lifetime that it had."""

    order_id: int
    reason: str


class OrderTriggered(_Fact, frozen=True, tag=15):
    """The venue works the order from here on: `by` its stop price, or its parent's fill.

    With a time `at` (ns UTC) it stands behind `ahead` steps since then.
    """

    order_id: int
    by: str
    at: int = 0
    ahead: int = 0


class OutboxQueued(_Fact, frozen=True, tag=16):
    """A command waits to be sent for an order: in its own place, or in that of the one that it supersedes.

    `kind` is new, replace or cancel; `quantity` (lots, signed) and `terms` are the order's once the command is done.
    """

    order_id: int
    instrument: int
    kind: str
    route: int
    quantity: int
    terms: Terms


class OutboxDiscarded(_Fact, frozen=True, tag=17):
    """A command will not be sent: `command` is the decision that had allowed it, `reason` says what was in its way."""

    order_id: int
    kind: str
    command: int
    reason: str


class OutboxSent(_Fact, frozen=True, tag=18):
    """The command left by `route` at time `at` (ns UTC), took one token of it, and is in flight until a report."""

    order_id: int
    kind: str
    route: int
    at: int


class Deferred(_Fact, frozen=True, tag=19):
    """The route has no token for the command: it looks again at time `until` (ns UTC)."""

    order_id: int
    route: int
    until: int


class OutboxWoken(_Fact, frozen=True, tag=20):
    """Control-time event: time `at` (ns UTC) has come, for which deferred commands waited."""

    at: int


class CommandRefused(_Fact, frozen=True, tag=21):
    """The venue refused a cancel or a replace: the order stands as it stood."""

    order_id: int
    kind: str
    reason: str


class Switched(_Fact, frozen=True, tag=22):
    """Control event: orders of a strategy, a route or an instrument (by `number`), or all (`kill`), pass or not."""

    scope: str
    number: int
    enabled: bool
    reason: str


class FeedDegraded(_Fact, frozen=True, tag=23):
    """Control event: from time `at` (ns UTC) rows of a stream are missing; its instrument takes no new orders."""

    stream: int
    instrument: int
    at: int
    reason: str


class FeedRestored(_Fact, frozen=True, tag=24):
    """Control event: the stream is whole again from time `at` (ns UTC) on."""

    stream: int
    instrument: int
    at: int


class ReportIgnored(_Fact, frozen=True, tag=25):
    """A report that fits nothing we know: it is kept in its words and changes nothing."""

    order_id: int
    what: str
    reason: str


class OrdersAnchored(_Fact, frozen=True, tag=26):
    """What a venue said of all our orders there at time `at` (ns UTC): `orders` are (id, whole lots, filled lots).

    `version` counts a venue's snapshots upward: an older one is never taken.
    """

    version: int
    at: int
    orders: tuple[tuple[int, int, int], ...]


class LevelsTaken(_Fact, frozen=True, tag=27):
    """What our orders took of a book and its feed has not restored: all of an instrument's `levels` from here on.

    A level is (side, price in ticks, lots, the stream's row before which it was taken).
    """

    instrument: int
    levels: tuple[tuple[int, int, int, int], ...]


class RiskMarked(_Fact, frozen=True, tag=28):
    """What risk remembers of `account` at time `at` (ns UTC): the highest equity `peak` over the first `rows` closes,
    all that was `booked` (money, 1e-8), and one request that was let through (`request`: order, cancel or none).
    """

    account: int
    at: int
    rows: int
    currency: str
    peak: int
    booked: int
    request: str = ""


class FundingPaid(_Fact, frozen=True, tag=29):
    """Control event: what a position received of the other side (`amount`, 1e-8; negative: paid) at time `at` (ns UTC):
    its value at `price` ticks times `rate` (1e-8).
    """

    account: int
    instrument: int
    at: int
    rate: int
    price: int
    amount: int


class BorrowCharged(_Fact, frozen=True, tag=30):
    """Control event: what a short paid to borrow (`amount`, 1e-8, never above 0) for the `elapsed_ns` before `at`:
    its value at `price` ticks times `rate` (1e-8 a year of 365 days).
    """

    account: int
    instrument: int
    at: int
    rate: int
    elapsed_ns: int
    price: int
    amount: int


class DividendPaid(_Fact, frozen=True, tag=31):
    """Control event: what a position received (`amount`, 1e-8; a short pays) of `each` (1e-8) for every `per` lots."""

    account: int
    instrument: int
    at: int
    each: int
    per: int
    amount: int


class MarginCalled(_Fact, frozen=True, tag=32):
    """Control event: what backs an account's positions in `currency` fell below their maintenance (1e-8), or with
    `called` false is enough again; while it is called the account may only reduce.
    """

    account: int
    currency: str
    at: int
    backing: int
    maintenance: int
    called: bool


Report: TypeAlias = (
    OrderFilled | OrderRejected | OrderReplaced | OrderCancelled | OrderExpired | OrderTriggered | CommandRefused
)  # fmt: skip
"""What a venue says of an order, and may be on its way to the strategy."""


class TimerSet(_Fact, frozen=True, tag=33):
    """A strategy asked to be called at time `at` (ns UTC)."""

    at: int
    name: str


class TimerFired(_Fact, frozen=True, tag=34):
    """Control-time event: the time of entry `number` of the schedule has come."""

    number: int
    at: int
    name: str


class CommandTravels(_Fact, frozen=True, tag=35):
    """A new order, a change or a cancel is on its way to the venue, where it arrives at time `at` (ns UTC)."""

    order_id: int
    action: str
    at: int
    quantity: int = 0
    terms: Terms | None = None
    reason: str = ""


class ReportTravels(_Fact, frozen=True, tag=36):
    """What the venue said is on its way to the strategy, which hears of it at time `at` (ns UTC)."""

    at: int
    report: Report


class Arrived(_Fact, frozen=True, tag=37):
    """Control-time event: entry `number` of the schedule, a command or a report, is there at time `at` (ns UTC)."""

    number: int
    at: int


class StrategyStopped(_Fact, frozen=True, tag=38):
    """A handler raised: the strategy hears nothing from here on, its orders are cancelled, the others go on."""

    handler: str
    error: str
    message: str
    line: int


class InstrumentListed(_Fact, frozen=True, tag=39):
    """Control event: the instrument may be traded from time `at` (ns UTC) on."""

    instrument: int
    at: int


class InstrumentDelisted(_Fact, frozen=True, tag=40):
    """Control event: the instrument may not be traded any more from time `at` (ns UTC) on."""

    instrument: int
    at: int


Record: TypeAlias = (
    IntentRaised | RiskDecided | OrderDenied | OrderSubmitted | OrderAccepted | OrderRejected | OrderFilled
    | OrderCancelled | OrderAdjusted | SplitApplied | TradingSwitched | Noted | OrderReplaced | OrderExpired
    | OrderTriggered | OutboxQueued | OutboxDiscarded | OutboxSent | Deferred | OutboxWoken | CommandRefused
    | Switched | FeedDegraded | FeedRestored | ReportIgnored | OrdersAnchored | LevelsTaken | RiskMarked
    | FundingPaid | BorrowCharged | DividendPaid | MarginCalled | TimerSet | TimerFired | CommandTravels
    | ReportTravels | Arrived | StrategyStopped | InstrumentListed | InstrumentDelisted
)  # fmt: skip

OrderReport: TypeAlias = (
    OrderDenied | OrderRejected | OrderReplaced | OrderCancelled | OrderExpired | OrderTriggered | CommandRefused
)  # fmt: skip
"""What a strategy hears of an order beside its fills."""

RECORD_TYPES: Final[tuple[type[Record], ...]] = (
    IntentRaised, RiskDecided, OrderDenied, OrderSubmitted, OrderAccepted, OrderRejected, OrderFilled,
    OrderCancelled, OrderAdjusted, SplitApplied, TradingSwitched, Noted, OrderReplaced, OrderExpired, OrderTriggered,
    OutboxQueued, OutboxDiscarded, OutboxSent, Deferred, OutboxWoken, CommandRefused,
    Switched, FeedDegraded, FeedRestored, ReportIgnored, OrdersAnchored, LevelsTaken, RiskMarked,
    FundingPaid, BorrowCharged, DividendPaid, MarginCalled,
    TimerSet, TimerFired, CommandTravels, ReportTravels, Arrived, StrategyStopped, InstrumentListed,
    InstrumentDelisted,
)  # fmt: skip


def kind_of(record: Record) -> str:
    """Return the record's name as shown to people: `order_filled`."""
    name = type(record).__name__
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")
