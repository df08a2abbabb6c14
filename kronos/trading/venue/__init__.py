"""The simulated venue: what becomes of the orders that it has, by bars, trades or a book.

Rule 1: an order never meets the row that caused it; two orders never fill from the same liquidity.
Rule 2: the assumption that filled an order and its side of liquidity are on the fill.
Rule 3: everything that a venue remembers is in the trading state, or follows from orders and rows.
"""

from kronos.trading.venue.bars import BarVenue
from kronos.trading.venue.rules import VenueRules

__all__ = ["BarVenue", "VenueRules"]
