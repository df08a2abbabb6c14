"""The one loop: market event → fills → strategy → intents → risk → orders, row by row.

Rule 1: nothing here reads a clock, draws a random number or does I/O; time is a column, and the `clock` that a
        caller may pass in decides only how often caches are made.
Rule 2: no rich object but the bar itself is made for a market event; everything else is made for decisions.
Rule 3: an order decided at the close of bar i meets bar i + 1 at the earliest, and only bars that could touch it.
Rule 4: the state changes only through records (`state.apply`), so the journal is always the whole truth.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import starmap

from kronos.errors import Conflict, InvalidInput
from kronos.trading.accounts import Contract, new_account
from kronos.trading.bars import COLUMNS, Bar, Bars
from kronos.trading.checkpoint import Payload, open_checkpoint, pickle_memory, seal_checkpoint, unpickle_memory
from kronos.trading.config import (
    BacktestConfig,
    identity_of,
    instrument_of,
    limits_of,
    rows_of,
    splits_of,
    venue_rules_of,
)
from kronos.trading.context import Context
from kronos.trading.desk import Desk
from kronos.trading.events import Origin
from kronos.trading.features import FeatureStore
from kronos.trading.journal import Recorder, decode_records, encode_records
from kronos.trading.keeper import Keeper
from kronos.trading.money import from_money, to_money
from kronos.trading.positions import BLOCK_ROWS, Position, block_end, cause_id
from kronos.trading.results import Result, StateView, open_orders, portfolio
from kronos.trading.risk import marks_of
from kronos.trading.state import TradingState, decode_state, encode_state
from kronos.trading.strategy import Strategy, set_user_state, user_state
from kronos.trading.tape import Tape
from kronos.trading.userstate import encode_user_state, show
from kronos.trading.venue import BarVenue

__all__ = ["Backtest", "BacktestConfig"]


class Backtest:
    """One run of one strategy over one set of bars, which can be stopped before any row, shown, saved and restored."""

    def __init__(
        self,
        bars: Bars,
        strategy: Strategy,
        config: BacktestConfig,
        *,
        recorder: Recorder | None = None,
        clock: Callable[[], int] | None = None,
        key: bytes | None = None,
        progress: Callable[[int, int], None] | None = None,
        features: FeatureStore | None = None,
    ) -> None:
        """Prove the bounds of `bars` under `config`; raise `InvalidInput` naming what does not fit.

        `clock` gives monotonic nanoseconds; without `key` no checkpoint is made; `progress(done, total)` is called
        about every 10 ms of work and may raise to stop the run.  `features` that were computed already are shared.
        """
        self.bars, self.strategy, self.config = bars, strategy, config
        self.row, self.stop_row = rows_of(bars, config)
        self.instrument = instrument_of(bars, config)
        self.strategy_id = type(strategy).strategy_id or type(strategy).__name__
        self._key, self._progress = key, progress
        self._splits = splits_of(bars, config)
        self._identity = identity_of(bars, strategy, config)
        self._started = False
        cash = to_money(config.cash, field="cash")
        contract = Contract(unit=self.instrument.unit, currency=config.currency)
        state = TradingState(accounts=[new_account({config.currency: cash})], contracts={0: contract})
        origin = Origin(
            strategy_id=self.strategy_id,
            execution_id=config.execution_id,
            route_id=config.route_id,
            broker_id=config.broker_id,
        )
        marks = marks_of(config.risk, {config.currency: cash}, row=self.row)
        if marks is not None:
            state.marks[0] = marks
        self._tape = Tape(state, [origin], lambda: encode_user_state(user_state(strategy)), row=self.row)
        self._venue = BarVenue(bars, self.instrument, venue_rules_of(config))
        self._store = FeatureStore() if features is None else features
        self._features = self._store.of(strategy, 0, bars)
        self._desk = Desk(bars, self.instrument, limits_of(self.instrument, config), strategy, self._venue)
        self._adopt(state)
        self._keeper = Keeper(self, self._tape, recorder, clock=clock, key=key)

    def _adopt(self, state: TradingState) -> None:
        self._context = Context(self.bars, self.instrument, state)
        self._context.row = self._context.now = self.row - 1
        self._features.attach(self._context)
        self._desk.attach(self._tape, self._context)

    # -- running

    def run(self, until: Position | None = None) -> Result:
        """Run to the end, or stop before `until` (its `sub` must be 0) is dispatched, and return what came of it.

        Raises `InvalidInput` for a position that has passed; whatever a handler raises passes through.
        """
        stop, first = self._stop(until), self.config.first_row
        if not self._started:
            self._started = True
            self._handle(self.strategy.on_start, self.row - 1)
        while self.row < stop:
            row = self.row
            if row in self._splits:
                self._desk.split(self._splits[row])
            end = min(stop, block_end(row), row + self._keeper.chunk_rows, self._next_split(row))
            self._rows(row, end)
            self.row = end
            if end == self.stop_row:
                self._handle(self.strategy.on_stop, end - 1, session=False)
                self._tape.prove()
            if end % BLOCK_ROWS == 0:
                self._tape.close_block(end)
            self._keeper.after_chunk(end - row)
            if self._progress is not None:
                self._progress(end - first, self.stop_row - first)
        return self.result()

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

    def _next_split(self, row: int) -> int:
        return min((at for at in self._splits if at > row), default=self.stop_row)

    def _handle(self, handler: Callable[[Context], None], row: int, *, session: bool = True) -> None:
        self._context.row = self._context.now = row
        handler(self._context)
        self._desk.decide(row, cause_id(row, 0), session=session)

    def _rows(self, start: int, stop: int) -> None:
        """Dispatch rows start..stop-1; columns become Python integers once a chunk, not once a row."""
        bars, context, desk, on_bar = self.bars, self._context, self._desk, self.strategy.on_bar
        times = (bars.open_time[start:stop] + bars.interval_ns).tolist()
        columns = [column[start:stop].tolist() for column in (bars.open, bars.high, bars.low, bars.close, bars.volume)]
        orders, wishes, wakes = self._tape.state.orders, context.wishes, self._venue.wakes
        row = start
        bars_made = starmap(Bar, zip(range(start, stop), times, *columns, strict=True))
        for bar, known in zip(bars_made, self._features.rows(start, stop), strict=True):
            if orders and (wakes.is_eager or bar.low <= wakes.low or bar.high >= wakes.high or bar.time > wakes.expiry):
                desk.meet(row)
            context.row = context.now = row
            context.features = known
            on_bar(context, bar)
            if wishes:
                desk.decide(row, cause_id(row, 0))
            row += 1

    # -- time travel

    def world(self) -> dict[str, object]:
        """Return what belongs to the run and therefore appears in a checkpoint by name."""
        world: dict[str, object] = {
            "strategy": self.strategy,
            "params": self.strategy.params,
            "bars": self.bars,
            "context": self._context,
            "instrument": self.instrument,
        }
        for name in COLUMNS:
            world[f"bars.{name}"] = getattr(self.bars, name)
            if name != "open_time":
                world[f"context.{name}"] = getattr(self._context, name)
        return world

    def checkpoint(self) -> bytes:
        """Return the present position as authenticated bytes; raise what pickle raises for a memory it cannot save."""
        if self._key is None:
            raise InvalidInput("a checkpoint needs a key", field="key")
        payload = Payload(
            identity=self._identity,
            row=self.row,
            state=encode_state(self._tape.state),
            block=encode_records(self._tape.block),
            core=self._tape.core,
            user=self._tape.user,
            memory=pickle_memory(user_state(self.strategy), self.world()),
            started=self._started,
        )
        return seal_checkpoint(payload, self._key)

    def restore(self, data: bytes) -> None:
        """Go to the position of a checkpoint of the same dataset, strategy, parameters and configuration.

        Raises `CorruptHistory` for bytes that were not sealed with this run's key, `Conflict` for another run's.
        """
        if self._key is None:
            raise InvalidInput("a checkpoint needs the key that sealed it", field="key")
        saved = open_checkpoint(data, self._key)
        if saved.identity != self._identity:
            raise Conflict("the checkpoint belongs to another dataset, strategy, parameters or configuration")
        self.row, self._started = saved.row, saved.started
        state = decode_state(saved.state)
        self._tape.restore(state, decode_records(saved.block), core=saved.core, user=saved.user, row=saved.row)
        self._adopt(state)
        set_user_state(self.strategy, unpickle_memory(saved.memory, self.world()))

    def twin(self) -> Backtest:
        """Return another run of the same bars, parameters and configuration, with a strategy that remembers nothing."""
        strategy = object.__new__(type(self.strategy))
        strategy.params = self.strategy.params
        return Backtest(self.bars, strategy, self.config, key=self._key, features=self._store)

    # -- showing

    def heads(self) -> tuple[bytes, bytes]:
        """Return the core and user heads at the present position (provisional inside a block)."""
        return self._tape.heads(self.row)

    @property
    def core(self) -> TradingState:
        """Return a copy of the core state at the present position."""
        return decode_state(encode_state(self._tape.state))

    def state(self) -> StateView:
        """Return what stands before the present row: portfolio, open orders, strategy variables, heads."""
        core, user = self.heads()
        variables = show(user_state(self.strategy))
        return StateView(
            row=self.row,
            rows=self.stop_row,
            time_ns=int(self.bars.open_time[self.row - 1]) + self.bars.interval_ns if self.row else None,
            records=self._tape.state.records,
            trading_enabled=self._tape.state.trading_enabled,
            portfolio=portfolio(self._tape.state, self.instrument, self.bars, self.row),
            open_orders=open_orders(self._tape.state, self.instrument),
            variables=variables if isinstance(variables, dict) else {"state": variables},
            core_chain=core.hex(),
            user_chain=user.hex(),
        )

    def result(self) -> Result:
        """Return the outcome as of the present position."""
        core, user = self.heads()
        account = portfolio(self._tape.state, self.instrument, self.bars, self.row)
        return Result(
            dataset=self.bars.dataset,
            instrument=self.bars.instrument,
            strategy=self.strategy_id,
            first_row=self.config.first_row,
            rows=self.row - self.config.first_row,
            finished=self.row == self.stop_row,
            currency=self.config.currency,
            initial_cash=from_money(self._tape.state.accounts[0].deposited[self.config.currency]),
            cash=account.cash,
            equity=account.equity,
            position=account.position,
            fees=account.fees,
            orders=self._tape.state.next_order_id - 1,
            open_orders=len(self._tape.state.orders),
            records=self._tape.state.records,
            core_chain=core.hex(),
            user_chain=user.hex(),
            checkpoints=self._keeper.kept,
            checkpointable=not self._keeper.note,
            checkpoint_note=self._keeper.note,
        )
