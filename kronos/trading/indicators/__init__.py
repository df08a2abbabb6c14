"""Indicators that a strategy feeds bar by bar: exact where integers allow, and a constant cost an update.

Rule 1: `update(...)` takes the newest value and returns the indicator, None until it has seen its period.
Rule 2: ticks stay integers inside (sums, squares, extremes); a division is made once, at the end, and rounds once.
Rule 3: what an indicator knows are plain attributes: it can be kept in a strategy, saved and compared.  They are
        slots: once an object's `__dict__` was asked for, as hashing does, its methods were measured at half the speed.
"""

from kronos.trading.indicators.averages import Ema, Sma, Vwap
from kronos.trading.indicators.extremes import Highest, Lowest
from kronos.trading.indicators.ranges import Atr, Bands, Bollinger
from kronos.trading.indicators.strength import Rsi

__all__ = ["Atr", "Bands", "Bollinger", "Ema", "Highest", "Lowest", "Rsi", "Sma", "Vwap"]
