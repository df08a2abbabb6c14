"""One object that owns a trading run: streams, strategies, accounts, routes, venue, desk, journal.

Rule 1: nothing here reads a clock, draws a random number or does I/O; time is a column, and the `clock` that a
        caller may pass in decides only how often caches are made.
Rule 2: the state changes only through records (`state.apply`), so the journal is always the whole truth.
Rule 3: whatever is ambiguous or cannot be run exactly is refused when the session is built, never on the way.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

from kronos.errors import InvalidInput
from kronos.kernel import canonical
from kronos.trading.accounts import new_account
from kronos.trading.adapters import VenueAdapter
from kronos.trading.building import (
    controls_of,
    dues_by_row,
    instruments_of,
    limits_of,
    listings_of,
    range_of,
    routes_of,
    rules_of,
    splits_of,
    venues_of,
)
from kronos.trading.codeprint import code_print
from kronos.trading.context import Pen
from kronos.trading.coordinator import Coordinator
from kronos.trading.corporate import Corporate
from kronos.trading.desk import Desk
from kronos.trading.dispatch import Dispatch
from kronos.trading.events import Record
from kronos.trading.features import FeatureStore
from kronos.trading.journal import Recorder
from kronos.trading.keeper import Keeper
from kronos.trading.making import blank_strategy
from kronos.trading.money import to_money
from kronos.trading.positions import BLOCK_ROWS, Position, block_end, cause_id
from kronos.trading.restoring import Restorable
from kronos.trading.results import Result
from kronos.trading.risk import marks_of
from kronos.trading.routes import Routes
from kronos.trading.seats import Seat, strategy_ids, subscribed
from kronos.trading.session_config import Latency, SessionConfig
from kronos.trading.stages import Stage, watched
from kronos.trading.state import TradingState
from kronos.trading.strategy import Strategy
from kronos.trading.streams import Stream, check_streams, on_time
from kronos.trading.tape import Tape
from kronos.trading.timeline import Timeline
from kronos.trading.userstate import encode_user_state
from kronos.trading.venue.exchange import MAKERS, Exchange, Makers

__all__ = ["Session", "session_identity"]


class Session(Restorable):
    """One run of strategies over streams, which can be stopped before any row, shown, saved and restored."""

    _makers: ClassVar[Makers] = MAKERS

    def __init__(
        self,
        streams: Sequence[Stream],
        strategies: Sequence[Strategy],
        config: SessionConfig,
        *,
        recorder: Recorder | None = None,
        clock: Callable[[], int] | None = None,
        key: bytes | None = None,
        progress: Callable[[int, int], None] | None = None,
        features: FeatureStore | None = None,
        identity: bytes | None = None,
        venues: Mapping[str, VenueAdapter] | None = None,
    ) -> None:
        """Prove the bounds of `streams` under `config`; raise `InvalidInput` naming what does not fit.

        `clock` gives monotonic nanoseconds; without `key` no checkpoint is made; `progress(done, total)` is called
        about every 10 ms of work and may raise to stop the run.  `features` that were computed already are shared;
        `identity` is what equal runs share.  `venues` are adapters by execution context; without any, orders are
        matched on the streams.  What a venue remembers is not ours to save: such a run has no checkpoints.
        """
        if not streams or not strategies:
            raise InvalidInput(
                "a session needs a stream and a strategy", field="streams" if not streams else "strategies"
            )
        check_streams(streams)
        self._given = tuple(streams)
        streams, self.dropped = on_time(streams, config.late)
        self.streams, self.strategies, self.session_config = tuple(streams), tuple(strategies), config
        self.timeline = Timeline(streams, feed_ns=config.latency.feed_ns)
        self.row, self.stop_row = range_of(self.timeline, config)
        self.first_row = self.row
        self.instruments = instruments_of(streams, config)
        self.strategy_ids = strategy_ids(strategies)
        self.routes = Routes(config, self.strategy_ids)
        self._identity = session_identity(streams, strategies, config) if identity is None else identity
        self._code = "+".join(code_print(type(strategy)) for strategy in strategies)
        self._key, self._progress, self._started = key, progress, False
        self._splits = splits_of(streams, self.timeline, config)
        named = {"strategy": self.strategy_ids, "route": self.routes.ids, "instrument": list(self.instruments)}
        instruments = [list(self.instruments).index(stream.instrument) for stream in streams]
        self._controls = controls_of(self.timeline, config, named, instruments)
        self._dues = dues_by_row(config.payments, self.instruments, self.timeline)
        numbers = {name: number for number, name in enumerate(self.instruments)}
        self._unlisted, self._listings = listings_of(config, numbers, self.timeline, self.row)
        self._events = sorted(self._splits.keys() | self._controls.keys() | self._dues.keys() | self._listings.keys())
        self._venues = venues_of(config, venues, key)
        self._tape = Tape(self._fresh(), self.routes.origins, lambda: encode_user_state(self.memory()), row=self.row)
        self._store = FeatureStore() if features is None else features
        self._build(rules_of(config))
        self._keeper = Keeper(self, self._tape, recorder, clock=clock, key=key)

    def _fresh(self) -> TradingState:
        config = self.session_config
        accounts = [
            new_account({name: to_money(cash, field="cash") for name, cash in each.cash.items()}, method=each.method)
            for each in config.accounts
        ]
        contracts = {number: each.contract for number, each in enumerate(self.instruments.values())}
        state = TradingState(accounts=accounts, contracts=contracts, owners=self.routes.owners)
        state.unlisted = list(self._unlisted)
        state.outbox.routes = routes_of(config)
        state.switches.routes_each = len(config.routes)
        for number, account in enumerate(accounts):
            marks = marks_of(config.risk, account.deposited, row=self.row)
            if marks is not None:
                state.marks[number] = marks
        return state

    def _build(self, rules: Any) -> None:
        traded = list(self.instruments.values())
        numbers = {name: number for number, name in enumerate(self.instruments)}
        latency = self.session_config.latency
        self._pen, limits = Pen(), [limits_of(each, self.session_config) for each in traded]
        self._coordinator = Coordinator(self.streams, self.timeline, numbers, traded)
        is_away = any(venue is not None for venue in self._venues)
        exchange = Exchange(self.streams, {} if is_away else numbers, traded, rules, makers=self._makers)
        self._desk = Desk(
            self._coordinator, limits, self.routes, exchange, self._tape,
            latency=latency, isolate=self.session_config.isolate, venues=self._venues,
        )  # fmt: skip
        self._corporate = Corporate(self._coordinator, self._desk, exchange, self._tape)
        exchange.attach(self._tape, self._desk.filled)
        self._seats = [
            Seat(
                place, strategy, subscribed(strategy, self.streams), self._coordinator,
                pen=self._pen, tape=self._tape, routes=self.routes, store=self._store,
            )
            for place, strategy in enumerate(self.strategies)
        ]  # fmt: skip
        self._desk.seat(self._seats)
        self._exchange = exchange
        self._dispatch = Dispatch(
            self._coordinator, self._desk, exchange, self._seats, self._tape, is_instant=latency == Latency()
        )
        self._coordinator.stand(self.row)
        self._show_features()

    # -- running

    def run(self, until: Position | None = None) -> Result:
        """Run to the end, or stop before `until` (its `sub` must be 0) is dispatched, and return what came of it.

        Raises `InvalidInput` for a position that has passed; where strategies are not isolated, whatever a handler
        raises passes through.
        """
        stop = self._stop(until)
        self._pen.writes = True
        try:
            self._run(stop)
        finally:
            self._pen.writes = False
        return self.result()

    def _run(self, stop: int) -> None:
        if not self._started:
            self._bootstrap()
        while self.row < stop:
            row = self.row
            end = self._ahead(row, stop)
            self._before(row)
            self.row = end = self._dispatch.rows(row, end)
            if end == self.stop_row:
                self._tape.prove()
                self._shut_down()
            if end % BLOCK_ROWS == 0:
                self._tape.close_block(end)
            self._keeper.after_chunk(end - row)
            if self._progress is not None:
                self._progress(end - self.first_row, self.stop_row - self.first_row)

    def trace(self, row: int) -> list[Stage]:
        """Run to `row`, dispatch it, and return the stages of its step in the order in which they happened.

        The session stands after `row` then; a stage in which nothing was to be done is not among them.  Raises what
        `run` raises, and `InvalidInput` for a row that is not to come.
        """
        if not self.row <= row < self.stop_row:
            raise InvalidInput(
                f"cannot trace row {row}: the run stands before row {self.row} and ends before {self.stop_row}",
                field="row",
                value=str(row),
            )
        if row > self.row:
            self.run(Position(row))
        doors: dict[str, Callable[..., object]] = {
            "ingest": self._ahead,
            "sequence": self._before,
            "shutdown": self._shut_down,
        }
        begun = {"configure": self.__init__, "bootstrap": self._bootstrap}  # type: ignore[misc]  # for its name
        with watched(row, {**doors, "bootstrap": self._bootstrap}, self.strategies) as stages:
            self.run(Position(row + 1))
        return [Stage(name, row, door.__qualname__) for name, door in begun.items()] + [
            stage for stage in stages if stage.name not in begun
        ]

    def _bootstrap(self) -> None:
        self._started = True
        self._handle("on_start", self.row - 1)

    def _shut_down(self) -> None:
        self._handle("on_stop", self.row - 1, session=False)
        self._tape.prove()

    def _ahead(self, row: int, stop: int) -> int:
        """Return up to where rows may be dispatched in one go: the next event, the end of a block or of a chunk."""
        return min(stop, block_end(row), row + self._keeper.chunk_rows, self._next_event(row))

    def _before(self, row: int) -> None:
        """Let everything come that comes before `row`, in its order."""
        for stream, split in self._splits.get(row, ()):
            self._corporate.split(split, self._coordinator.numbers[self.streams[stream].instrument], row)
        for due in self._dues.get(row, ()):
            self._corporate.pay(due, row)
        for number, at, listed in self._listings.get(row, ()):
            self._corporate.list_change(number, at, row, listed=listed)
        for event in self._controls.get(row, ()):
            self._desk.control(event, row)
        while self._desk.sending.wake_row <= row:
            self._desk.wake(row)

    def _stop(self, until: Position | None) -> int:
        if until is None:
            return self.stop_row
        if until.sub or until.row < self.row:
            raise InvalidInput(
                f"cannot stop before {tuple(until)}: the run stands before row {self.row}"
                + (" and stops between rows only" if until.sub else "; restore a checkpoint or start anew"),
                field="until",
                value=str(tuple(until)),
            )
        return min(until.row, self.stop_row)

    def _next_event(self, row: int) -> int:
        """Return the first row after `row` before which a split, a switch, a gap or a payment comes."""
        place = bisect_right(self._events, row)
        return self._events[place] if place < len(self._events) else self.stop_row

    def _handle(self, name: str, row: int, *, session: bool = True) -> None:
        self._coordinator.row = row
        for seat in self._seats:
            self._desk.call(seat, name, row, cause_id(row, 0))
        self._desk.decide(row, cause_id(row, 0), session=session)

    # -- again

    def twin(self) -> Self:
        """Return another run of the same streams, parameters and settings, whose strategies remember nothing."""
        return self._again([blank_strategy(strategy) for strategy in self.strategies])

    def _again(self, strategies: Sequence[Strategy]) -> Self:
        return type(self)(
            self._given, strategies, self.session_config, key=self._key, features=self._store, identity=self._identity
        )

    def take(self) -> list[Record]:
        """Return the records that are in no sealed segment, and begin the next segment without sealing them: for a run
        whose journal nobody keeps.
        """
        taken = self._tape.unsealed
        self._tape.begin_segment(self.row)
        return taken


def session_identity(streams: Sequence[Stream], strategies: Sequence[Strategy], config: SessionConfig) -> bytes:
    """Return the canonical bytes that two sessions share when they are the same: what a manifest hashes."""
    return canonical.encode(
        {
            "datasets": [stream.dataset for stream in streams],
            "strategies": [
                {"name": f"{type(each).__module__}:{type(each).__qualname__}", "params": each.params}
                for each in strategies
            ],
            "config": config,
        }
    )
