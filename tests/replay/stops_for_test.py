"""Functions of every kind, each to be stopped in on its first body line, which is marked."""

import asyncio
import functools
import sys

from kronos.debugger.breakpoints import armed
from kronos.debugger.breakpoints_attach import pdb_stops, wait_for_debugger


def plain(amount):
    """A docstring
    of two lines."""
    doubled = amount * 2  # STOP plain
    return doubled  # noqa: RET504


async def coroutine(amount):
    await asyncio.sleep(0)  # STOP coroutine
    return amount * 2


def make(factor, offset):
    def closure(amount):
        result = amount * factor  # STOP closure
        return result + offset

    return closure


class Base:
    def on_bar(self, amount):
        return amount


class Strategy(Base):
    __hidden = 2

    def on_bar(self, amount):
        base = super().on_bar(amount)  # STOP method
        return base * self.__hidden


def wrap(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@wrap
@wrap
def wrapped(
    amount,
):
    return amount * 2  # STOP wrapped


def call(kind):
    if kind == "plain":
        with armed(plain):
            return plain(21)
    if kind == "coroutine":
        with armed(coroutine):
            return asyncio.run(coroutine(21))
    if kind == "closure":
        function = make(2, 0)
        with armed(function):
            return function(21)
    if kind == "method":
        strategy = Strategy()
        with armed(strategy.on_bar):
            return strategy.on_bar(21)
    with armed(wrapped):
        return wrapped(21)


if __name__ == "__main__":
    if sys.argv[1] == "pdb":
        with pdb_stops():
            assert call(sys.argv[2]) == 42
    else:
        wait_for_debugger("127.0.0.1", 0, wait_s=float(sys.argv[3]), announce=lambda h, p: print(h, p, flush=True))
        assert call(sys.argv[2]) == 42
