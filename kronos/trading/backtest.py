"""The one loop: market event → fills → strategy → intents → risk → orders, row by row.

Rule 1: nothing here reads a clock, draws a random number or does I/O; time is a column, and the `clock` that a
        caller may pass in decides only how often caches are made.
Rule 2: no rich object but the bar itself is made for a market event; everything else is made for decisions.
Rule 3: an order decided at the close of bar i meets the open of bar i + 1.
Rule 4: the state changes only through records (`state.apply`), so the journal is always the whole truth.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import starmap

import msgspec

from kronos.errors import Conflict, InvalidInput
from kronos.kernel import canonical
from kronos.kernel.hashing import GENESIS
from kronos.trading import checkpoint as checkpoints
from kronos.trading.bars import Bar, Bars, Split
from kronos.trading.context import Context, Quantity
from kronos.trading.events import (
    IntentRaised,
    Noted,
    OrderAccepted,
    OrderAdjusted,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderSubmitted,
    Origin,
    Record,
    RiskDecided,
    SplitApplied,
)
from kronos.trading.instruments import Instrument, instrument
from kronos.trading.journal import (
    BlockHead,
    Recorder,
    Segment,
    core_link,
    decode_records,
    encode_records,
    encode_segment,
    user_link,
)
from kronos.trading.matching import NEXT_OPEN, due, split_cash, split_lots
from kronos.trading.money import from_money, to_decimal, to_money, to_units
from kronos.trading.orders import Phase
from kronos.trading.positions import BLOCK_ROWS, Position, block_end, cause_id
from kronos.trading.results import OrderView, Result, StateView, portfolio
from kronos.trading.risk import Limits, Question, judge
from kronos.trading.state import Holding, TradingState, decode_state, encode_state
from kronos.trading.state import apply as apply_record
from kronos.trading.strategy import Strategy, set_user_state, user_state
from kronos.trading.userstate import differing_path, encode_user_state, show

__all__ = ["Backtest", "BacktestConfig"]

SEGMENT_BLOCKS = 64
SEGMENT_RECORDS = 200_000
SEGMENT_NS = 5_000_000_000


class BacktestConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides a run beside its bars and its strategy.

    `cash` and `position_max` are Decimals in text or number; `lot` None takes the finest that keeps values exact;
    `splits` None takes those of the dataset; rows run from `first_row` to before `stop_row` (None: the last).
    `position_max` None means no limit but that of exactness; without `long_only` the same limit holds for shorts.
    """

    cash: Decimal = Decimal(1_000_000)
    currency: str = "USD"
    fee_rate: Decimal = Decimal(0)
    lot: Decimal | None = None
    long_only: bool = True
    position_max: Decimal | None = None
    check_cash: bool = True
    splits: tuple[Split, ...] | None = None
    first_row: int = 0
    stop_row: int | None = None
    execution_id: str = "backtest"
    route_id: str = "simulated"
    broker_id: str = "simulated"


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
    ) -> None:
        """Prove the bounds of `bars` under `config`; raise `InvalidInput` naming what does not fit.

        `clock` gives monotonic nanoseconds; without `key` no checkpoint is made; `progress(done, total)` is called
        about every 10 ms of work and may raise to stop the run.
        """
        self.bars, self.strategy, self.config = bars, strategy, config
        self.stop_row = bars.rows if config.stop_row is None else config.stop_row
        if not 0 <= config.first_row < self.stop_row <= bars.rows:
            raise InvalidInput(
                f"rows {config.first_row} to {self.stop_row} are not a range of the dataset's {bars.rows} rows",
                field="first_row",
                value=str(config.first_row),
            )
        self.instrument = _instrument(bars, config)
        self.limits = _limits(self.instrument, config)
        self.row = config.first_row
        self._origins = [
            Origin(
                strategy_id=type(strategy).strategy_id or type(strategy).__name__,
                execution_id=config.execution_id,
                route_id=config.route_id,
                broker_id=config.broker_id,
            )
        ]
        self._splits = _splits(bars, config)
        self._recorder, self._clock, self._key, self._progress = recorder, clock, key, progress
        self._hears_fills = type(strategy).on_fill is not Strategy.on_fill
        self._identity = canonical.encode(
            {
                "dataset": bars.dataset,
                "strategy": f"{type(strategy).__module__}:{type(strategy).__qualname__}",
                "params": strategy.params,
                "config": config,
            }
        )
        cash = to_money(config.cash, field="cash")
        self._adopt(TradingState(cash=cash, deposited=cash, units={0: self.instrument.unit}))
        self._started = False
        self._core, self._user = GENESIS, GENESIS
        self._block: list[Record] = []
        self._begin_segment()
        self._pacer = checkpoints.Pacer(rows=self.stop_row - self.row, now=clock() if clock else None)
        self._trial: tuple[int, bytes] | None = None
        self._proven = False
        self._checkpoints = 0
        self._note = "" if key is not None else "no key was given"

    # -- running

    def run(self, until: Position | None = None) -> Result:
        """Run to the end, or stop before `until` (its `sub` must be 0) is dispatched, and return what came of it.

        Raises `InvalidInput` for a position that has passed; whatever a handler raises passes through.
        """
        stop = self._stop(until)
        if not self._started:
            self._started = True
            self._handle(self.strategy.on_start, self.row - 1, self.row - 1)
        while self.row < stop:
            row = self.row
            split = self._splits.get(row)
            if split is not None:
                self._split(split)
            end = min(stop, block_end(row), row + self._pacer.rows, self._next_split(row))
            self._rows(row, end)
            self.row = end
            if end == self.stop_row:
                self._handle(self.strategy.on_stop, end - 1, end - 1, session=False)
            if end % BLOCK_ROWS == 0:
                self._close_block()
            self._keep(end - row)
            if self._progress is not None:
                self._progress(end - self.config.first_row, self.stop_row - self.config.first_row)
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

    def _rows(self, start: int, stop: int) -> None:
        """Dispatch rows start..stop-1; columns become Python integers once a chunk, not once a row."""
        bars, context, state, on_bar = self.bars, self._context, self._state, self.strategy.on_bar
        times = (bars.open_time[start:stop] + bars.interval_ns).tolist()
        columns = [column[start:stop].tolist() for column in (bars.open, bars.high, bars.low, bars.close, bars.volume)]
        orders, wishes = state.orders, context._wishes  # noqa: SLF001 - the hot loop reads the pen directly
        row = start
        for bar in starmap(Bar, zip(range(start, stop), times, *columns, strict=True)):
            if orders:
                self._open(row, bar.open)
            context.row = context.now = row
            on_bar(context, bar)
            if wishes:
                self._decide(row, cause_id(row, 0))
            row += 1

    def _open(self, row: int, price: int) -> None:
        """Fill what the open of `row` fills; `on_fill` sees nothing of the bar, and its orders wait for the next."""
        state, context = self._state, self._context
        for order in due(state, row):
            quantity = order.quantity - order.filled
            fee = self.instrument.fee(self.instrument.value(price, quantity))
            causes = (order.cause, cause_id(row, 0))
            fill = OrderFilled(
                row, self._sub(row), 0, state.records, causes, order.id, 0, quantity, price, fee, NEXT_OPEN
            )
            self._emit(fill)
            if self._hears_fills:
                context.row, context.now = row, row - 1
                self.strategy.on_fill(context, fill)
                self._decide(row, cause_id(row, fill.sub))

    def _split(self, split: Split) -> None:
        """Apply a split before its row opens: to what is held, then to resting orders, then tell the strategy."""
        state, row, cause = self._state, split.row, cause_id(split.row, 0)
        held = state.holdings.get(0, Holding()).quantity
        _, rest = split_lots(held, split.numerator, split.denominator)
        price = int(self.bars.close[row - 1]) if row else 0
        cash = split_cash(rest, split.numerator, price, self.instrument.unit)
        applied = SplitApplied(
            row, self._sub(row), 0, state.records, (cause,), 0, split.numerator, split.denominator, cash
        )
        self._emit(applied)
        causes = (cause_id(row, applied.sub),)
        for order in list(state.orders.values()):
            lots, _ = split_lots(order.quantity - order.filled, split.numerator, split.denominator)
            if lots:
                self._emit(OrderAdjusted(row, self._sub(row), 0, state.records, causes, order.id, lots))
            else:
                self._emit(OrderCancelled(row, self._sub(row), 0, state.records, causes, order.id, "split_fraction"))
        self._context.row, self._context.now = row, row - 1
        self.strategy.on_split(self._context, applied)
        self._decide(row, causes[0])

    def _handle(self, handler: Callable[[Context], None], row: int, now: int, *, session: bool = True) -> None:
        self._context.row, self._context.now = row, now
        handler(self._context)
        self._decide(row, cause_id(row, 0), session=session)

    # -- deciding

    def _decide(self, row: int, cause: int, *, session: bool = True) -> None:
        """Turn what the strategy asked for into intents, decisions and orders, in the order in which it asked."""
        context, state = self._context, self._state
        wishes = context._wishes.copy()  # noqa: SLF001
        context._wishes.clear()  # noqa: SLF001
        context._asked = 0  # noqa: SLF001
        seen = state.records
        for action, order_id, wanted in wishes:
            if action == "note":
                self._emit(Noted(row, self._sub(row), 0, seen, (cause,), str(wanted)))
                continue
            quantity, asked = (0, "") if action == "cancel" else self._lots(action, wanted)
            kind = "cancel" if action == "cancel" else "submit"
            intent = IntentRaised(row, self._sub(row), 0, seen, (cause,), order_id, 0, kind, quantity, asked)
            self._emit(intent)
            self._judge(intent, session=session)

    def _judge(self, intent: IntentRaised, *, session: bool) -> None:
        state, row, order_id = self._state, intent.row, intent.order_id
        now = self._context.now
        verdict = judge(
            Question(
                intent=intent,
                state=state,
                instrument=self.instrument,
                limits=self.limits,
                price=int(self.bars.close[now]) if now >= 0 else 0,
                open=session,
            )
        )
        seen = state.records
        decision = RiskDecided(
            row, self._sub(row), 0, seen, (cause_id(row, intent.sub),), order_id,
            verdict.allowed, verdict.reason, verdict.operands,
        )  # fmt: skip
        self._emit(decision)
        causes = (cause_id(row, decision.sub),)
        if intent.action == "cancel":
            if verdict.allowed:
                self._emit(OrderCancelled(row, self._sub(row), 0, seen, causes, order_id, "requested"))
        elif verdict.allowed:
            submitted = OrderSubmitted(row, self._sub(row), 0, seen, causes, order_id)
            self._emit(submitted)
            causes = (cause_id(row, submitted.sub),)
            self._emit(OrderAccepted(row, self._sub(row), 0, seen, causes, order_id))
        else:
            self._emit(OrderDenied(row, self._sub(row), 0, seen, causes, order_id, verdict.reason))

    def _lots(self, action: str, wanted: Quantity) -> tuple[int, str]:
        """Return the signed lots of a request, or 0 and its words when it is no positive number of lots in bounds."""
        try:
            lots = self.instrument.lots(wanted)
        except InvalidInput:
            return 0, repr(wanted)[:100]
        if not 0 < lots <= self.instrument.quantity_max:
            return 0, str(wanted)[:100]
        return (lots if action == "buy" else -lots), ""

    def _sub(self, row: int) -> int:
        state = self._state
        return state.sub + 1 if state.row == row else 1

    def _emit(self, record: Record) -> None:
        apply_record(self._state, record)
        self._block.append(record)
        self._unsealed.append(record)

    # -- recording

    def _adopt(self, state: TradingState) -> None:
        self._state = state
        self._context = Context(self.bars, self.instrument, state)

    def _memory(self) -> bytes:
        return encode_user_state(user_state(self.strategy))

    def heads(self) -> tuple[bytes, bytes]:
        """Return the core and user heads at the present position (provisional inside a block)."""
        if self.row % BLOCK_ROWS == 0 and self.row > self.config.first_row:
            return self._core, self._user
        core = core_link(self._core, encode_records(self._block), encode_state(self._state))
        return core, user_link(self._user, self._memory())

    def _close_block(self) -> None:
        self._core = core_link(self._core, encode_records(self._block), encode_state(self._state))
        self._user = user_link(self._user, self._memory())
        self._block = []
        self._heads.append(BlockHead(self.row, self._core, self._user))

    def _begin_segment(self) -> None:
        self._first = self.row
        self._opening = encode_state(self._state)
        self._heads: list[BlockHead] = []
        self._unsealed: list[Record] = []
        self._sealed_at = self._clock() if self._clock else 0

    def _keep(self, chunk: int) -> None:
        """Seal a segment and take a checkpoint where they are due; both at one row is where a killed run resumes."""
        now = self._clock() if self._clock else None
        end = self.row == self.stop_row
        aged = now is not None and now - self._sealed_at >= SEGMENT_NS
        full = len(self._heads) >= SEGMENT_BLOCKS or len(self._unsealed) >= SEGMENT_RECORDS
        if self._recorder is None:
            if full:
                self._begin_segment()
            return
        if end or aged or full:
            self._seal(self._recorder)
        if self._key is None or self._note:
            return
        if self._trial is not None:
            self._prove(self._recorder, self._trial, self._key)
        due = self._pacer.due(now=now, done=self.row - self.config.first_row, chunk=chunk)
        if (due or aged or end) and not self._note:
            self._save(self._recorder)

    def _seal(self, recorder: Recorder) -> None:
        core, user = self.heads()
        segment = Segment(
            first_row=self._first,
            last_row=self.row - 1,
            state=self._opening,
            origins=self._origins,
            heads=self._heads,
            core=core,
            user=user,
            records=encode_records(self._unsealed),
        )
        recorder.segment(
            first_row=self._first,
            last_row=self.row - 1,
            core_chain=core,
            user_chain=user,
            data=encode_segment(segment),
        )
        self._begin_segment()

    def _save(self, recorder: Recorder) -> None:
        """Keep a checkpoint; the first is held back until a run restored from it has kept step with this one."""
        begun = self._clock() if self._clock else 0
        try:
            data = self.checkpoint()
        except Exception as error:
            path = checkpoints.unpicklable_path(user_state(self.strategy), self._world())
            self._note = f"{path} cannot be saved: {type(error).__name__}: {error}"
            return
        if self._proven:
            self._hand_over(recorder, self.row, data)
        else:
            self._trial = (self.row, data)
        self._pacer.taken(now=self._clock() if self._clock else None, begun=begun, size=len(data))

    def _hand_over(self, recorder: Recorder, row: int, data: bytes) -> None:
        recorder.checkpoint(row=row, data=data)
        self._checkpoints += 1

    def _prove(self, recorder: Recorder, trial: tuple[int, bytes], key: bytes) -> None:
        """Bring a run restored from `trial` here and compare: keep the checkpoint, or note what differs."""
        self._trial = None
        strategy = object.__new__(type(self.strategy))
        strategy.params = self.strategy.params
        twin = Backtest(self.bars, strategy, self.config, key=key)
        try:
            twin.restore(trial[1])
            twin.run(Position(self.row))
        except Exception as error:
            self._note = f"a restored strategy failed: {type(error).__name__}: {error}"
            return
        path = differing_path(user_state(self.strategy), user_state(strategy))
        if path is not None:
            self._note = f"{path} differs after a restore"
        elif twin.heads() != self.heads():
            self._note = "decisions differ after a restore"
        else:
            self._proven = True
            self._hand_over(recorder, *trial)

    # -- time travel

    def _world(self) -> dict[str, object]:
        world: dict[str, object] = {
            "strategy": self.strategy,
            "params": self.strategy.params,
            "bars": self.bars,
            "context": self._context,
            "instrument": self.instrument,
        }
        for name in ("open_time", "open", "high", "low", "close", "volume"):
            world[f"bars.{name}"] = getattr(self.bars, name)
            if name != "open_time":
                world[f"context.{name}"] = getattr(self._context, name)
        return world

    def checkpoint(self) -> bytes:
        """Return the present position as authenticated bytes; raise what pickle raises for a memory it cannot save."""
        if self._key is None:
            raise InvalidInput("a checkpoint needs a key", field="key")
        payload = checkpoints.Payload(
            identity=self._identity,
            row=self.row,
            state=encode_state(self._state),
            block=encode_records(self._block),
            core=self._core,
            user=self._user,
            memory=checkpoints.pickle_memory(user_state(self.strategy), self._world()),
            started=self._started,
        )
        return checkpoints.seal_checkpoint(payload, self._key)

    def restore(self, data: bytes) -> None:
        """Go to the position of a checkpoint of the same dataset, strategy, parameters and configuration.

        Raises `CorruptHistory` for bytes that were not sealed with this run's key, `Conflict` for another run's.
        """
        if self._key is None:
            raise InvalidInput("a checkpoint needs the key that sealed it", field="key")
        payload = checkpoints.open_checkpoint(data, self._key)
        if payload.identity != self._identity:
            raise Conflict("the checkpoint belongs to another dataset, strategy, parameters or configuration")
        self.row = payload.row
        self._adopt(decode_state(payload.state))
        self._core, self._user = payload.core, payload.user
        self._started = payload.started
        self._begin_segment()
        self._block = decode_records(payload.block)
        set_user_state(self.strategy, checkpoints.unpickle_memory(payload.memory, self._world()))

    # -- showing

    @property
    def core(self) -> TradingState:
        """Return a copy of the core state at the present position."""
        return decode_state(encode_state(self._state))

    def state(self) -> StateView:
        """Return what stands before the present row: portfolio, open orders, strategy variables, heads."""
        core, user = self.heads()
        variables = show(user_state(self.strategy))
        return StateView(
            row=self.row,
            rows=self.stop_row,
            time_ns=int(self.bars.open_time[self.row - 1]) + self.bars.interval_ns if self.row else None,
            records=self._state.records,
            trading_enabled=self._state.trading_enabled,
            portfolio=portfolio(self._state, self.instrument, self.bars, self.row),
            open_orders=open_orders(self._state, self.instrument),
            variables=variables if isinstance(variables, dict) else {"state": variables},
            core_chain=core.hex(),
            user_chain=user.hex(),
        )

    def result(self) -> Result:
        """Return the outcome as of the present position."""
        core, user = self.heads()
        account = portfolio(self._state, self.instrument, self.bars, self.row)
        return Result(
            dataset=self.bars.dataset,
            instrument=self.bars.instrument,
            strategy=self._origins[0].strategy_id,
            first_row=self.config.first_row,
            rows=self.row - self.config.first_row,
            finished=self.row == self.stop_row,
            currency=self.config.currency,
            initial_cash=from_money(self._state.deposited),
            cash=account.cash,
            equity=account.equity,
            position=account.position,
            fees=account.fees,
            orders=self._state.next_order_id - 1,
            open_orders=len(self._state.orders),
            records=self._state.records,
            core_chain=core.hex(),
            user_chain=user.hex(),
            checkpoints=self._checkpoints,
            checkpointable=not self._note,
            checkpoint_note=self._note,
        )

    def _next_split(self, row: int) -> int:
        return min((at for at in self._splits if at > row), default=self.stop_row)


def open_orders(state: TradingState, traded: Instrument) -> list[OrderView]:
    """Return the unfinished orders of a state in the order of their ids."""
    return [
        OrderView(
            order_id=order.id,
            phase=str(Phase(order.phase)),
            quantity=traded.quantity(order.quantity),
            filled=traded.quantity(order.filled),
            row=order.row,
        )
        for order in state.orders.values()
    ]


def _instrument(bars: Bars, config: BacktestConfig) -> Instrument:
    return instrument(
        symbol=bars.instrument,
        tick=bars.tick,
        price_max=int(bars.high.max()) if bars.price_max is None else bars.price_max,
        lot=config.lot,
        currency=config.currency,
        fee_rate=to_decimal(config.fee_rate, field="fee_rate"),
    )


def _limits(traded: Instrument, config: BacktestConfig) -> Limits:
    position_max = traded.quantity_max
    if config.position_max is not None:
        position_max = to_units(config.position_max, traded.lot, field="position_max")
    return Limits(
        position_min=0 if config.long_only else -position_max,
        position_max=position_max,
        check_cash=config.check_cash,
    )


def _splits(bars: Bars, config: BacktestConfig) -> dict[int, Split]:
    splits = bars.splits if config.splits is None else config.splits
    found: dict[int, Split] = {}
    for split in splits:
        if split.numerator < 1 or split.denominator < 1 or split.row in found:
            raise InvalidInput(f"split at row {split.row}: needs a positive ratio, once a row", field="splits")
        found[split.row] = split
    return {row: found[row] for row in sorted(found)}
