"""How the records of accounts move them: splits, payments, margin calls, what risk remembers.

Rule: a fold books what the record says and may not choose; amounts were reckoned when the record was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from kronos.trading.accounts import Account, Contract, Income, book_payment, book_split
from kronos.trading.events import (
    BorrowCharged,
    DividendPaid,
    FundingPaid,
    MarginCalled,
    Record,
    RiskMarked,
    SplitApplied,
)
from kronos.trading.marks import RiskMarks, mark

__all__ = ["APPLY", "Books"]


class Books(Protocol):
    """The part of a state that these records move."""

    accounts: list[Account]
    contracts: dict[int, Contract]
    owners: list[int]
    marks: dict[int, RiskMarks]


_INCOME: Final[Mapping[type[Record], Income]] = {
    FundingPaid: "funding",
    BorrowCharged: "borrow",
    DividendPaid: "dividends",
}


def _paid(books: Books, record: FundingPaid | BorrowCharged | DividendPaid) -> None:
    contract = books.contracts[record.instrument]
    book_payment(books.accounts[record.account], contract, record.instrument, _INCOME[type(record)], record.amount)


def _split(books: Books, record: SplitApplied) -> None:
    account, contract = books.accounts[books.owners[record.origin]], books.contracts[record.instrument]
    book_split(account, contract, record.instrument, (record.numerator, record.denominator), record.cash)


def _called(books: Books, record: MarginCalled) -> None:
    books.accounts[record.account].breached = record.called


def _marked(books: Books, record: RiskMarked) -> None:
    mark(books.marks[record.account], record)


APPLY: Final[Mapping[type[Record], Callable[[Any, Any], None]]] = {
    FundingPaid: _paid,
    BorrowCharged: _paid,
    DividendPaid: _paid,
    SplitApplied: _split,
    MarginCalled: _called,
    RiskMarked: _marked,
}
