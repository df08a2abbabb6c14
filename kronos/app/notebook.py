"""`kronos.backtest(frame, Strategy)`: a backtest without a server, in a notebook or a script.

Rule 1: the frame passes the gate of every import and runs in the loop of every run: journal and hashes are those that
        the durable run of the same data has.
Rule 2: nothing is written anywhere until `push`, which stores the data and starts a durable run of the same plan.
"""

from __future__ import annotations

import secrets
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kronos.errors import Conflict, InvalidInput
from kronos.flows.outcome import Outcome
from kronos.market.catalog import stream_of
from kronos.market.dataset import leaves_of
from kronos.market.frames import FRAME, table_of
from kronos.market.importing import ImportOptions, prepare_bars
from kronos.market.plans import BacktestPlan
from kronos.market.prepared import Prepared
from kronos.market.strategies import find_strategy
from kronos.trading.backtest import Backtest
from kronos.trading.bars import Bars
from kronos.trading.config import BacktestConfig
from kronos.trading.journal import MemoryRecorder
from kronos.trading.making import copied_strategy, new_strategy
from kronos.trading.reference import InstrumentConfig
from kronos.trading.strategy import Strategy, user_state
from kronos.trading.userstate import differing_path

if TYPE_CHECKING:
    from kronos.app.access import Kronos
    from kronos.app.library import Engine

__all__ = ["NotebookResult", "backtest", "made_strategy", "prepared_frame"]

_DATA: Final = frozenset(ImportOptions.__struct_fields__)


class NotebookResult(Outcome):
    """What came of a backtest without a server; `push` makes it a run on record."""

    def push(self, to: Kronos | Engine) -> str:
        """Store the data, start a durable run of the same strategy, parameters and settings, and return its id.

        The run repeats every decision: its core chain is this one's.  Raises `Conflict` for a strategy that a worker
        could not import, such as one written in a notebook's cell, and for an instance that its class and parameters
        alone do not make.
        """
        from kronos.app.access import Kronos

        kind = type(self.run.strategy)
        if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
            raise Conflict(
                f"strategy {kind.__qualname__} lives in {kind.__module__}, where a worker cannot import it: "
                "put it into a module (%%writefile my_strategy.py), import it from there, and run again",
                field="strategy",
                value=f"{kind.__module__}:{kind.__qualname__}",
            )
        self._check_makeable(kind)
        app = to if isinstance(to, Kronos) else to.app
        app.serve("kronos.flows.backtest")
        dataset = app.catalog.add(self.prepared).dataset
        params = msgspec.to_builtins(self.run.strategy.params, enc_hook=str)
        plan = BacktestPlan(strategy=f"{kind.__module__}:{kind.__qualname__}", params=params, config=self.run.config)
        return app.start("backtest", {"dataset": f"{dataset.name}@{dataset.id}", "plan": plan})

    def _check_makeable(self, kind: type[Strategy]) -> None:
        """Refuse what is more than its class and parameters, which are all that a worker makes it from."""
        path = differing_path(user_state(self.made), user_state(new_strategy(kind, self.made.params)))
        if path is not None:
            raise Conflict(
                f"strategy: {path} is not what {kind.__name__} of these params has, and a worker makes it from them: "
                "move it into Params, and run again",
                field="strategy",
                value=path,
            )


def backtest(
    frame: Any,
    strategy: type[Strategy] | Strategy | str,
    *,
    params: Any = None,
    cash: Decimal | str | float = 1_000_000,
    fee_rate: Decimal | str | float = 0,
    **settings: Any,
) -> NotebookResult:
    """Run `strategy` over a data frame of bars (pandas, polars or Arrow) and return what came of it.

    `strategy` is a class, "module:Class", or an instance, which runs as it is now and is left untouched: what ran is
    `outcome.run.strategy`.  `settings` are the fields of `ImportOptions` (such as
    `mapping={"close": "Adj Close"}`, `gaps="accept"`, `tick=`) and of `BacktestConfig` (such as `long_only=False`);
    `instrument` is a name or an `InstrumentConfig`.
    Raises `DataError` naming column and row of what cannot be read, `InvalidInput` for an unknown setting.
    """
    prepared, bars, config = prepared_frame(frame, cash=cash, fee_rate=fee_rate, **settings)
    recorder = MemoryRecorder()
    made = made_strategy(strategy, params)
    run = Backtest(
        bars,
        copied_strategy(made),
        config,
        recorder=recorder,
        clock=time.perf_counter_ns,  # decides how often caches are made, nothing else
        key=secrets.token_bytes(32),
    )
    return NotebookResult(run=run, result=run.run(), recorder=recorder, prepared=prepared, made=made)


def prepared_frame(
    frame: Any, *, cash: Decimal | str | float, fee_rate: Decimal | str | float, **settings: Any
) -> tuple[Prepared, Bars, BacktestConfig]:
    """Return a data frame's bars as they passed the gate, and the configuration of a run over them."""
    data, rules = _sorted(settings)
    options = ImportOptions(**{"name": "frame", "instrument": data.get("name", "frame"), **data})
    prepared = prepare_bars(table_of(frame, options.mapping), options, FRAME, "")
    dataset = prepared.dataset(leaves_of(prepared.kind, prepared.columns))
    bars = stream_of(dataset, prepared.columns, splits=prepared.splits, price_max=prepared.price_max)
    assert isinstance(bars, Bars), "bars were prepared"
    return prepared, bars, BacktestConfig(cash=cash, fee_rate=fee_rate, **rules)  # type: ignore[arg-type]  # settled


def _sorted(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of the data and those of the run; raise `InvalidInput` for one that is neither."""
    rules = frozenset(BacktestConfig.__struct_fields__)
    for name in settings:
        if name not in _DATA | rules:
            known = ", ".join(sorted(_DATA | rules | {"params"}))
            raise InvalidInput(f"there is no setting {name!r}; there are: {known}", field=name, value=name)
    data = {name: value for name, value in settings.items() if name in _DATA}
    own = {name: value for name, value in settings.items() if name in rules}
    traded = settings.get("instrument")
    if isinstance(traded, InstrumentConfig):
        data["instrument"] = traded.id
    else:
        own.pop("instrument", None)  # the name of what is traded, which says nothing else of it
    return data, own


def made_strategy(given: type[Strategy] | Strategy | str, params: Any) -> Strategy:
    """Return a strategy of a class or "module:Class", or a copy of an instance as it is.

    Raises `InvalidInput` for anything else, and for what could not be executed again (see `trading.making`).
    """
    if isinstance(given, Strategy):
        if params is not None:
            raise InvalidInput("params were given beside an instance, which has its own", field="params")
        return copied_strategy(given)
    kind: Any = find_strategy(given) if isinstance(given, str) else given
    if not isinstance(kind, type) or not issubclass(kind, Strategy):
        raise InvalidInput(
            f"strategy: {given!r} is no Strategy: give a subclass, an instance or 'module:Class'", field="strategy"
        )
    return new_strategy(kind, params)
