"""The plain loop: what a run over bars is, written to be read; the fast one must equal it record by record.

Rule 1: every row is looked at, by the venue first and then by every strategy; there are no wakes and no blocks.
Rule 2: records, the law of orders, risk, accounts and the venue's answers are shared; when a row is looked at, what a
        handler is shown of it, what takers pay and which orders may not meet are not.
"""

from kronos.trading.plain.loop import PlainBacktest

__all__ = ["PlainBacktest"]
