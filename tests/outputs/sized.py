"""Strategies of every way to be made, in a module that a worker can import."""

from __future__ import annotations

from typing import ClassVar

from kronos.trading import NoParams, Strategy


class Sized(Strategy):
    """Buys `size` at row 100, a class's own, an instance's or a constructor's, and counts what it heard."""

    size: int = 1

    def on_bar(self, ctx, bar):
        self.heard = getattr(self, "heard", 0) + 1
        if bar.row == 100:
            ctx.buy(self.size)


class Constructed(Sized):
    def __init__(self, size=3):
        super().__init__()
        self.size = size


class Demanding(Sized):
    def __init__(self, size):
        super().__init__()
        self.size = size


class Forgetful(Sized):
    def __init__(self, params=None):
        self.size = 2


class WithParams(Sized):
    class Params(NoParams, frozen=True):
        size: int = 5

    params: Params

    def on_start(self, ctx):
        self.size = self.params.size


class Named(Sized):
    strategy_id: ClassVar[str] = "of the class"


class Peeking(Strategy):
    """Reads the next close past the gate, if it `peeks`."""

    peeks = False

    def on_bar(self, ctx, bar):
        closes = ctx.close._values if self.peeks else (0,) * (bar.row + 2)
        if ctx.position == 0 and closes[min(bar.row + 1, len(closes) - 1)] >= closes[bar.row]:
            ctx.buy(1)
