"""The gate that trades, quotes and depth pass before they become a dataset.

Rule 1: every check sees every row and tells how many it found and where the first ones are; nothing is repaired.
Rule 2: what a check finds passes only when it is accepted by the check's name; then it stands in the manifest.
Rule 3: what does not pass is quarantined with its whole report, so that it can be looked at and tried again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NoReturn

import numpy as np
import numpy.typing as npt

from kronos.errors import DataError
from kronos.market.dataset import Finding
from kronos.trading.columns import Int64s
from kronos.trading.streams import SNAPSHOT

__all__ = ["CHECKS", "Quarantined", "check_accepted", "examine", "refuse_unaccepted"]

CHECKS: Final = {
    "value": "a price or quantity at or below zero",
    "order": "rows that go back in time",
    "duplicate": "the same source id twice",
    "gap": "source ids that are missing",
    "sequence": "updates that do not follow one another",
    "crossed": "a best bid at or above the best ask",
    "skew": "rows that were known before they happened",
}
"""What the gate looks for, by the name that accepts it."""

_ROWS_MAX: Final = 5


class Quarantined(DataError):  # noqa: N818 - named as its siblings in kronos.errors
    """Data that the gate holds back; `facts["report"]` has every finding."""

    code = "quarantined"


def check_accepted(accept: Collection[str]) -> frozenset[str]:
    """Return the names to accept; raise `DataError` for one that is no check."""
    for name in accept:
        if name not in CHECKS:
            raise DataError(f"accept: {name!r} is none of {', '.join(CHECKS)}", field="accept", value=name)
    return frozenset(accept)


def examine(kind: str, columns: dict[str, Int64s]) -> list[Finding]:
    """Return what there is to say about the columns of a trades, quotes or depth stream."""
    found = [
        _finding("order", _back(columns["time"]), "time goes back"),
        _finding("order", _back(columns["available"]), "it was known before the row above it"),
        _finding("skew", np.flatnonzero(columns["available"] < columns["time"]), _skew_text(columns)),
    ]
    match kind:
        case "trades":
            found.append(_finding("value", _not_positive(columns, "price", "quantity"), "price or quantity is not > 0"))
            found += _ids(columns["source"])
        case "quotes":
            found.append(_finding("value", _not_positive(columns, "bid", "ask"), "bid or ask is not > 0"))
            crossed = np.flatnonzero(columns["bid"] >= columns["ask"])
            found.append(_finding("crossed", crossed, "the bid is at or above the ask"))
            found.append(_finding("sequence", _back(columns["source"]), "the update id goes back"))
        case "depth":
            bad = np.flatnonzero((columns["price"] <= 0) | (columns["quantity"] < 0))
            found.append(_finding("value", bad, "a price that is not > 0, or a negative quantity"))
            found.append(_finding("sequence", _back(columns["source"]), "the update id goes back"))
            if not columns["kind"].size or columns["kind"][0] != SNAPSHOT:
                first = np.zeros(1, dtype=np.int64)
                found.append(_finding("sequence", first, "there is no snapshot to begin from"))
    return [finding for finding in found if finding is not None]


def refuse_unaccepted(findings: Sequence[Finding], accept: Collection[str], *, name: str) -> None:
    """Raise `Quarantined` when something was found that is not accepted; the message shows the worst of each check."""
    held = [finding for finding in findings if finding.check not in accept]
    if held:
        _hold(held, name)


def _hold(findings: Sequence[Finding], name: str) -> NoReturn:
    told = "; ".join(_tell(finding) for finding in findings)
    names = ", ".join(dict.fromkeys(finding.check for finding in findings))
    raise Quarantined(
        f"{name} is held back: {told}. Look at it, then accept by name ({names}) or bring it without the fault",
        name=name,
        report=[
            {"check": each.check, "count": each.count, "rows": each.rows, "detail": each.detail} for each in findings
        ],
    )


def _tell(finding: Finding) -> str:
    rows = ", ".join(map(str, finding.rows))
    more = ", …" if finding.count > len(finding.rows) else ""
    return f"{finding.check}: {finding.detail} at {finding.count} rows ({rows}{more})"


def _finding(check: str, rows: npt.NDArray[np.intp] | Int64s, detail: str) -> Finding | None:
    if not rows.size:
        return None
    return Finding(check=check, count=int(rows.size), rows=[int(row) for row in rows[:_ROWS_MAX]], detail=detail)


def _back(values: Int64s) -> npt.NDArray[np.intp]:
    return np.flatnonzero(np.diff(values) < 0) + 1


def _not_positive(columns: dict[str, Int64s], *names: str) -> npt.NDArray[np.intp]:
    return np.flatnonzero(np.logical_or.reduce([columns[name] <= 0 for name in names]))


def _ids(source: Int64s) -> list[Finding | None]:
    steps = np.diff(source)
    missing = int(np.sum(steps[steps > 1] - 1))
    return [
        _finding("duplicate", np.flatnonzero(steps == 0) + 1, "the id is that of the row above"),
        _finding("order", np.flatnonzero(steps < 0) + 1, "the id goes back"),
        _finding("gap", np.flatnonzero(steps > 1) + 1, f"{missing} ids are missing before it"),
    ]


def _skew_text(columns: dict[str, Int64s]) -> str:
    early = columns["time"] - columns["available"]
    most = float(early.max()) / 1e9 if early.size else 0.0
    return f"it was known up to {most:.3f} s before it happened: the clocks of venue and capture differ"
