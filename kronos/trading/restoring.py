"""How a session is saved where it stands, and goes on from what was saved.

Rule 1: a checkpoint holds the core state, the open block and what strategies remember; streams, instruments, parameters
        and contexts are the run's own and travel by name.
Rule 2: one of another run, code or key is refused before anything of it is looked at.
"""

from __future__ import annotations

from kronos.errors import InvalidInput
from kronos.trading.checkpoint import (
    Payload,
    check_made_by,
    open_checkpoint,
    pickle_memory,
    seal_checkpoint,
    unpickle_memory,
)
from kronos.trading.desk import Desk
from kronos.trading.journal import decode_records, encode_records
from kronos.trading.showing import Shown
from kronos.trading.state import decode_state, encode_state
from kronos.trading.strategy import set_user_state
from kronos.trading.streams import kind_of_stream

__all__ = ["Restorable"]


class Restorable(Shown):
    """The side of a session that is saved and restored."""

    _code: str
    _desk: Desk
    _identity: bytes
    _key: bytes | None
    _started: bool

    def world(self) -> dict[str, object]:
        """Return what belongs to the run and therefore appears in a checkpoint by name."""
        world: dict[str, object] = {}
        for place, seat in enumerate(self._seats):
            mark = str(place or "")
            world |= {
                f"strategy{mark}": seat.strategy,
                f"params{mark}": seat.strategy.params,
                f"context{mark}": seat.context,
            }
        for place, (stream, view) in enumerate(zip(self.streams, self._coordinator.views, strict=True)):
            name = f"{kind_of_stream(stream)}{place or ''}"
            world |= {name: stream, f"{name}.view": view}
            world |= {f"{name}.{column}": getattr(stream, column) for column in view.columns}
            world |= {f"context.{name}.{column}": shown for column, shown in view.columns.items()}
        return world | {f"instrument.{name}": each for name, each in self.instruments.items()}

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
            memory=pickle_memory(self.memory(), self.world()),
            started=self._started,
            code=self._code,
        )
        return seal_checkpoint(payload, self._key)

    def restore(self, data: bytes) -> None:
        """Go to the position of a checkpoint of the same datasets, strategies, parameters and configuration.

        Raises `CorruptHistory` for bytes that were not sealed with this run's key, `Conflict` for another run's.
        """
        if self._key is None:
            raise InvalidInput("a checkpoint needs the key that sealed it", field="key")
        saved = open_checkpoint(data, self._key)
        check_made_by(saved, identity=self._identity, code=self._code)
        self.row, self._started = saved.row, saved.started
        state = decode_state(saved.state)
        self._tape.restore(state, decode_records(saved.block), core=saved.core, user=saved.user, row=saved.row)
        self._coordinator.stand(saved.row)
        self._desk.adopt()
        self._show_features()
        memory = unpickle_memory(saved.memory, self.world())
        if len(self.strategies) == 1:
            set_user_state(self.strategies[0], memory)
        else:
            for name, strategy in zip(self.strategy_ids, self.strategies, strict=True):
                set_user_state(strategy, memory[name])

    def _show_features(self) -> None:
        for seat in self._seats:
            if seat.features is not None:
                seat.features.attach(seat.context)
