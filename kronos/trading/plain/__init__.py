"""The plain loops: what a run over bars and trades is, written to be read; the fast one must equal it record by record.

Rule 1: every row is looked at, by the venue first and then by every strategy; there are no wakes and no blocks.
Rule 2: records, the law of orders, risk and accounts are shared; the order of rows, when one is looked at, what a
        handler is shown of it, and all that a venue says of an order on bars and on trades are not.
"""

from kronos.trading.plain.loop import PlainBacktest
from kronos.trading.plain.session import PlainSession

__all__ = ["PlainBacktest", "PlainSession"]
