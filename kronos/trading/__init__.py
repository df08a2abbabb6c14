"""The trading runtime: PURE.  `State = fold(records, config)` at every position; it knows nothing of workflows.

No clock, no random, no I/O, no threads, standard library included: time is a column, and everything else is a record.
"""

from kronos.trading.backtest import Backtest, BacktestConfig
from kronos.trading.bars import Bar, Bars, Split
from kronos.trading.buckets import Rate
from kronos.trading.context import Context
from kronos.trading.control import Control
from kronos.trading.features import Past, feature
from kronos.trading.journal import MemoryRecorder, records_between, state_at, verify
from kronos.trading.ledger import Ledger, Trade, ledger_of, read_ledger
from kronos.trading.positions import Position
from kronos.trading.results import Result, StateView
from kronos.trading.session import Session
from kronos.trading.session_config import AccountConfig, ExecutionConfig, Latency, RouteConfig, SessionConfig
from kronos.trading.sma_cross import SmaCross
from kronos.trading.stats import Statistics, statistics
from kronos.trading.strategy import NoParams, Strategy
from kronos.trading.ticks import QuoteTick, TradeTick
from kronos.trading.views import LookAhead

__all__ = [
    "AccountConfig", "Backtest", "BacktestConfig", "Bar", "Bars", "Context", "Control", "ExecutionConfig", "Latency",
    "Ledger", "LookAhead", "MemoryRecorder", "NoParams", "Past", "Position", "QuoteTick", "Rate", "Result",
    "RouteConfig", "Session", "SessionConfig", "SmaCross", "Split", "StateView", "Statistics", "Strategy", "Trade",
    "TradeTick", "feature", "ledger_of", "read_ledger", "records_between", "state_at", "statistics", "verify",
]  # fmt: skip
