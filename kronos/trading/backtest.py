"""The short way in: one strategy over the bars of one instrument with one account, as a `Session` of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from kronos.trading.bars import Bars
from kronos.trading.config import BacktestConfig, identity_of, session_config_of
from kronos.trading.features import FeatureStore
from kronos.trading.journal import Recorder
from kronos.trading.results import Portfolio, portfolio
from kronos.trading.session import Session
from kronos.trading.strategy import Strategy

__all__ = ["Backtest", "BacktestConfig"]


class Backtest(Session):
    """One run of one strategy over one set of bars; what the strategy raises ends it."""

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
        """Prove the bounds of `bars` under `config`; raise `InvalidInput` naming what does not fit (see `Session`)."""
        self.bars, self.strategy, self.config = bars, strategy, config
        super().__init__(
            [bars],
            [strategy],
            session_config_of(config),
            recorder=recorder,
            clock=clock,
            key=key,
            progress=progress,
            features=features,
            identity=identity_of(bars, strategy, config),
        )
        self.instrument = self.instruments[bars.instrument]
        self.strategy_id = self.strategy_ids[0]

    def _again(self, strategies: Sequence[Strategy]) -> Self:
        return type(self)(self.bars, strategies[0], self.config, key=self._key, features=self._store)

    def portfolio(self) -> Portfolio:
        """Return the account, marked at the close of the latest known bar."""
        return portfolio(self._tape.state, self.instrument, self.bars, self.row)
