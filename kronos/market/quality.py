"""The gate that bars pass before they become a dataset: what is refused, and what is only told.

Rule 1: disorder, duplicates, impossible bars and prices at or below zero are refused with their row, never repaired.
Rule 2: gaps are counted and listed; they pass when accepted by name or when a declared calendar explains them.
Rule 3: a close-to-close change beyond 30 % that no split explains is flagged and stays: some are real.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import numpy as np

from kronos.market.calendars import CALENDARS, is_session
from kronos.market.columns import Place
from kronos.market.dataset import Gap, Jump
from kronos.trading.bars import Int64s

__all__ = ["GAPS_LISTED_MAX", "JUMP_MAX", "check_gaps", "check_prices", "check_times", "find_gaps", "find_jumps"]

JUMP_MAX: Final = 0.30
GAPS_LISTED_MAX: Final = 1000
_DAY_NS: Final = 86_400_000_000_000


def moment(time_ns: int) -> str:
    """Return a time as people read it, UTC to the second."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")


def check_times(times: Int64s, interval_ns: int | None, column: str, place: Place) -> int:
    """Refuse disorder, duplicates and overlaps; return the interval: the declared one, or the most frequent step."""
    steps = np.diff(times)
    back = np.flatnonzero(steps <= 0)
    if back.size:
        row = int(back[0]) + 1
        if steps[row - 1] == 0:
            place.refuse(f"{moment(int(times[row]))} is there twice", row=row, column=column)
        place.refuse(
            f"{moment(int(times[row]))} comes after {moment(int(times[row - 1]))}: times must ascend",
            row=row,
            column=column,
        )
    if interval_ns is None:
        if not steps.size:
            place.refuse("one row tells no interval: declare it", column=column)
        values, counts = np.unique(steps, return_counts=True)
        interval_ns = int(values[np.argmax(counts)])
    early = np.flatnonzero(steps < interval_ns)
    if early.size:
        row = int(early[0]) + 1
        place.refuse(
            f"{moment(int(times[row]))} opens before the bar of {moment(int(times[row - 1]))} has closed "
            f"(bars last {interval_ns / 1e9:g} s)",
            row=row,
            column=column,
        )
    return interval_ns


def check_prices(columns: dict[str, Int64s], names: dict[str, str], place: Place) -> None:
    """Refuse prices ≤ 0, high < low, open or close outside [low, high], and negative volume; name the first row."""
    for field in ("open", "high", "low", "close"):
        bad = np.flatnonzero(columns[field] <= 0)
        if bad.size:
            word = "zero" if columns[field][bad[0]] == 0 else "negative"
            place.refuse(f"the {field} is {word}", row=int(bad[0]), column=names[field])
    crossed = np.flatnonzero(columns["high"] < columns["low"])
    if crossed.size:
        place.refuse("the high is below the low", row=int(crossed[0]), column=names["high"])
    for field in ("open", "close"):
        outside = np.flatnonzero((columns[field] > columns["high"]) | (columns[field] < columns["low"]))
        if outside.size:
            place.refuse(f"the {field} is outside low and high", row=int(outside[0]), column=names[field])
    negative = np.flatnonzero(columns["volume"] < 0)
    if negative.size:
        place.refuse("the volume is negative", row=int(negative[0]), column=names["volume"])


def find_gaps(times: Int64s, interval_ns: int, calendar: str | None) -> list[Gap]:
    """Return every place where bars are missing, with how many of them `calendar` explains."""
    rows = np.flatnonzero(np.diff(times) > interval_ns) + 1
    return [_gap(int(row), int(times[row - 1]), int(times[row]), interval_ns, calendar) for row in rows]


def _gap(row: int, before: int, after: int, interval_ns: int, calendar: str | None) -> Gap:
    slots = range(before + interval_ns, after, interval_ns)
    explained = 0
    if calendar is not None and CALENDARS[calendar] is not CALENDARS["24x7"]:
        explained = sum(not is_session(calendar, slot // _DAY_NS) for slot in slots)
    return Gap(row=row, after_ns=before, before_ns=after, missing=len(slots), explained=explained)


def check_gaps(gaps: list[Gap], *, accept: bool, calendar: str | None, place: Place) -> None:
    """Refuse gaps that are neither accepted nor explained; the message counts them and shows the first ones."""
    open_gaps = [gap for gap in gaps if gap.explained < gap.missing]
    if accept or not open_gaps:
        return
    missing = sum(gap.missing - gap.explained for gap in open_gaps)
    shown = "; ".join(
        f"row {gap.row}: {gap.missing - gap.explained} missing after {moment(gap.after_ns)}" for gap in open_gaps[:5]
    )
    more = f"; {len(open_gaps) - 5} more" if len(open_gaps) > 5 else ""
    told = f" that calendar {calendar} does not explain" if calendar else ""
    place.refuse(
        f"{len(open_gaps)} gaps, {missing} bars missing{told} ({shown}{more}); accept them with --gaps accept, "
        f"or declare a calendar ({', '.join(CALENDARS)})",
        row=open_gaps[0].row,
    )


def find_jumps(times: Int64s, closes: Int64s, split_rows: Iterable[int]) -> list[Jump]:
    """Return close-to-close changes beyond 30 % at rows without a split."""
    if len(closes) < 2:
        return []
    change = closes[1:] / closes[:-1] - 1.0
    splits = set(split_rows)
    return [
        Jump(row=int(i) + 1, time_ns=int(times[i + 1]), change=float(change[i]))
        for i in np.flatnonzero(np.abs(change) > JUMP_MAX)
        if int(i) + 1 not in splits
    ]
