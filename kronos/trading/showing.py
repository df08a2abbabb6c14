"""What can be seen of a session where it stands: state, portfolio, heads and the outcome so far.

Rule 1: looking changes nothing: what is handed out is a copy or a value.
Rule 2: everything shown follows from the core state, the strategies' memory and the row before which the run stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from kronos.trading.context import Context
from kronos.trading.coordinator import Coordinator
from kronos.trading.instruments import Instrument
from kronos.trading.keeper import Keeper
from kronos.trading.money import from_money
from kronos.trading.pricing import Pricing
from kronos.trading.results import Portfolio, Result, StateView, open_orders, positions, whole_portfolio
from kronos.trading.seats import Seat
from kronos.trading.session_config import SessionConfig
from kronos.trading.state import TradingState, decode_state, encode_state
from kronos.trading.strategy import Strategy, user_state
from kronos.trading.streams import Stream, kind_of_stream
from kronos.trading.tape import Tape
from kronos.trading.timeline import Timeline
from kronos.trading.userstate import show

__all__ = ["Shown"]


class Shown:
    """The side of a session that is looked at; `dropped` counts the late rows that were left out, by stream."""

    streams: Sequence[Stream]
    strategies: Sequence[Strategy]
    session_config: SessionConfig
    timeline: Timeline
    row: int
    first_row: int
    stop_row: int
    instruments: Mapping[str, Instrument]
    strategy_ids: Sequence[str]
    dropped: dict[str, int]
    _coordinator: Coordinator
    _keeper: Keeper
    _seats: Sequence[Seat]
    _tape: Tape

    def memory(self) -> Any:
        """Return what the strategies remember: that of the only one, or of each by its id."""
        if len(self.strategies) == 1:
            return user_state(self.strategies[0])
        return {name: user_state(each) for name, each in zip(self.strategy_ids, self.strategies, strict=True)}

    @property
    def context(self) -> Context:
        """Return the context of the first strategy."""
        return self._seats[0].context

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
        variables = show(self.memory())
        return StateView(
            row=self.row,
            rows=self.stop_row,
            time_ns=self.timeline.time(self.row - 1) if self.row else None,
            records=self._tape.state.records,
            trading_enabled=self._tape.state.trading_enabled,
            portfolio=self.portfolio(),
            open_orders=open_orders(self._tape.state, list(self.instruments.values())),
            variables=variables if isinstance(variables, dict) else {"state": variables},
            core_chain=core.hex(),
            user_chain=user.hex(),
            positions=self.positions(),
        )

    def positions(self) -> dict[str, Decimal]:
        """Return what all accounts together hold, by instrument."""
        return positions(self._tape.state, self.instruments)

    @property
    def pricing(self) -> Pricing:
        """Return the prices of the session's streams: what its ledger is marked with (`ledger_of`)."""
        return Pricing(self.streams, self.timeline, list(self.instruments.values()))

    def portfolio(self) -> Portfolio:
        """Return all accounts together, in the currency that the first began with, at the last known prices."""
        prices = [self._coordinator.price(number) for number in range(len(self.instruments))]
        currency = next(iter(self.session_config.accounts[0].cash))
        return whole_portfolio(self._tape.state, list(self.instruments.values()), prices, currency)

    def result(self) -> Result:
        """Return the outcome as of the present position."""
        core, user = self.heads()
        account, positions = self.portfolio(), self.positions()
        begun = sum(each.deposited.get(account.currency, 0) for each in self._tape.state.accounts)
        return Result(
            dataset=", ".join(stream.dataset for stream in self.streams),
            instrument=", ".join(self.instruments),
            strategy=", ".join(self.strategy_ids),
            first_row=self.first_row,
            rows=self.row - self.first_row,
            finished=self.row == self.stop_row,
            currency=account.currency,
            initial_cash=from_money(begun),
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
            positions=positions,
            late=self._late(),
            dropped=self.dropped,
        )

    def _late(self) -> dict[str, int]:
        counts = self.timeline.late_before(self.row)
        return {
            f"{kind_of_stream(stream)} of {stream.instrument}": count
            for stream, count in zip(self.streams, counts, strict=True)
            if count
        }
