"""The tear sheet of one run: one page of HTML that needs nothing but itself.

Rule 1: no script, no image, no address: charts are inline SVG, colours follow the reader's light or dark setting.
Rule 2: the same ledger gives the same bytes; nothing here knows the time or the machine.
Rule 3: every text that came from data is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from typing import Any, Final

import msgspec
import numpy as np

from kronos.flows.charts import Line, Mark, chart, day
from kronos.flows.report import STYLE
from kronos.trading.analysis import Analysis, held_benchmark
from kronos.trading.ledger import Ledger

__all__ = ["tear_sheet"]

POINTS_MAX: Final = 600
MARKS_MAX: Final = 200
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_STYLE: Final = f"""{STYLE}
.cards{{display:grid;grid-template-columns:repeat(auto-fit,minmax(136px,1fr));gap:12px 24px;margin:24px 0 0}}
.cards div{{border-top:1px solid var(--line);padding-top:8px}}.cards b{{display:block;font-size:20px;font-weight:600}}
.cards span{{color:var(--dim)}}.parts{{display:grid;gap:0 40px}}
@media(min-width:760px){{.parts{{grid-template-columns:repeat(2,1fr)}}}}
.heat td{{text-align:center;min-width:56px}}.heat td:first-child{{text-align:left}}
.heat .up{{background:color-mix(in srgb,var(--up) var(--p),transparent);color:var(--ink)}}
.heat .down{{background:color-mix(in srgb,var(--down) var(--p),transparent);color:var(--ink)}}
p code{{display:inline-block;margin-top:24px}}code{{overflow-wrap:anywhere}}
"""
_LEGEND: Final = '<ul class="legend"><li><i class="k0"></i>the run</li><li><i class="k1"></i>bought and held</li></ul>'
_WHOLE: Final = frozenset({
    "trades", "open_trades", "drawdowns", "drawdown_longest", "wins_in_a_row", "losses_in_a_row", "bars_held_longest",
    "longs", "shorts",
})  # fmt: skip
_SHARES: Final = frozenset({
    "total_return", "cagr", "volatility", "max_drawdown", "exposure", "win_rate", "value_at_risk", "expected_shortfall",
    "benchmark_return", "benchmark_volatility", "alpha", "tracking_error", "exposure_gross",
})  # fmt: skip


def tear_sheet(ledger: Ledger, analysis: Analysis, *, title: str, core_chain: str = "") -> str:
    """Return the page of a run; `core_chain` is shown at its end, so that the page names what it was made from."""
    first, last = int(ledger.times[0]), int(ledger.times[-1])
    currency = ledger.currency
    is_lone, count = len(ledger.pricing.streams) == 1, ledger.stop_row - ledger.first_row
    span = f"{count:,} bars" if is_lone and len(ledger.rows) == count else f"{count:,} rows"
    traded = ", ".join(each.symbol for each in ledger.instruments)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(title)} · Kronos</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(traded)}, {day(first - 1)} to {day(last - 1)}, {span}, {escape(currency)}.</p>",
        _cards(ledger, analysis),
        "<h2>Equity</h2>",
        _wide("Equity with its fills", _equity(ledger)),
        "<h2>Beside buying and holding</h2>",
        _LEGEND,
        _wide("Growth in percent, with buying and holding beside it", _growth(ledger)),
        "<h2>Drawdown</h2>",
        _wide("Drawdown in percent", _drawdown(ledger)),
        "<h2>Monthly returns</h2>",
        _months(ledger),
        "<h2>Trades</h2>",
        _wide("Profit of every closed trade at its exit", _profits(ledger)),
        '<div class="parts">',
        _figures("Return and risk", analysis.statistics),
        _figures("Tails and benchmark", analysis.risk),
        _figures("Trades", analysis.trades),
        _figures("Implementation shortfall", analysis.shortfall),
        "</div>",
        _strategies(analysis, currency),
        _costs(analysis, currency),
        f"<p>core chain <code>{escape(core_chain)}</code></p>" if core_chain else "",
        "</body></html>",
    ]
    return "".join(parts)


def _cards(ledger: Ledger, analysis: Analysis) -> str:
    found, risk = analysis.statistics, analysis.risk
    shown = (
        ("equity", f"{ledger.equity()[-1]:,.0f}"),
        ("return", _share(found.total_return)),
        ("bought and held", _share(risk.benchmark_return)),
        ("Sharpe", _number(found.sharpe)),
        ("deepest drawdown", _share(found.max_drawdown)),
        ("trades", f"{found.trades:,}"),
        ("won", _share(found.win_rate)),
        ("fees that eat it up", _break_even(analysis.break_even_bps)),
    )
    return '<div class="cards">' + "".join(f"<div><b>{b}</b><span>{a}</span></div>" for a, b in shown) + "</div>"


def _break_even(bps: float) -> str:
    if math.isnan(bps):
        return "no trades"
    return f"{_number(bps)} bps" if bps >= 0 else "loses without"


def _points(times: Any, values: Any) -> list[tuple[int, float]]:
    """Return at most POINTS_MAX points, with the highest and the lowest among them."""
    even = np.linspace(0, len(values) - 1, min(len(values), POINTS_MAX - 2)).astype(int).tolist()
    rows = sorted({*even, int(np.argmax(values)), int(np.argmin(values))})
    return [(int(times[row]), float(values[row])) for row in rows]


def _equity(ledger: Ledger) -> str:
    equity, times = ledger.equity(), ledger.times
    marks = []
    for fill in ledger.fills()[: MARKS_MAX + 1]:
        place = ledger.place(fill.row)
        marks.append(Mark(int(times[place]), float(equity[place]), "buy" if fill.quantity > 0 else "sell"))
    return chart(
        [Line(_points(times, equity), "l0")],
        label="Equity: ▲ bought, ▼ sold",
        unit=ledger.currency,
        marks=marks if len(marks) <= MARKS_MAX else (),
    )


def _growth(ledger: Ledger) -> str:
    held = (held_benchmark(ledger)[1:] - 1) * 100
    run = (ledger.equity() / (ledger.initial_cash / 10**8) - 1) * 100
    lines = [Line(_points(ledger.times, held), "l1"), Line(_points(ledger.times, run), "l0")]
    return chart(lines, label="Growth in percent, with buying and holding beside it", unit="%", height=200)


def _drawdown(ledger: Ledger) -> str:
    points = _points(ledger.times, ledger.drawdown() * 100)
    return chart([Line(points, "l0", filled=True)], label="Drawdown in percent", unit="%", height=160)


def _profits(ledger: Ledger) -> str:
    closed = [trade for trade in ledger.trades() if trade.exit_time_ns is not None]
    if not closed:
        return "<p>No trade was closed.</p>"
    marks = [Mark(trade.exit_time_ns or 0, float(trade.pnl), "buy" if trade.pnl > 0 else "sell") for trade in closed]
    stride = max(1, len(marks) // (5 * MARKS_MAX))
    return chart(
        [Line([(int(ledger.times[0]), 0.0), (int(ledger.times[-1]), 0.0)], "grid")],
        label="▲ a trade that won, ▼ one that lost, at its profit",
        unit=ledger.currency,
        marks=marks[::stride],
        height=220,
    )


def _months(ledger: Ledger) -> str:
    """Return a table of calendar months (UTC), each coloured by how far it went."""
    worth: dict[tuple[int, int], float] = {}
    months = ledger.times.astype("datetime64[ns]").astype("datetime64[M]").astype(int)
    equity = ledger.equity()
    ends = np.flatnonzero(np.diff(months, append=months[-1] + 1))
    before = ledger.initial_cash / 10**8
    for row in ends.tolist():
        at = datetime.fromtimestamp((int(ledger.times[row]) - 1) // 1_000_000_000, UTC)
        worth[at.year, at.month] = float(equity[row]) / before - 1.0
        before = float(equity[row])
    most = max((abs(value) for value in worth.values()), default=0.0) or 1.0
    rows = []
    for year in sorted({year for year, _ in worth}):
        cells = [_month(worth.get((year, month)), most) for month in range(1, 13)]
        whole = math.prod(1 + worth[key] for key in worth if key[0] == year) - 1
        rows.append(f"<tr><td>{year}</td>{''.join(cells)}<td>{_share(whole)}</td></tr>")
    return _table("Monthly returns", ("", *_MONTHS, "year"), rows, style="heat")


def _month(value: float | None, most: float) -> str:
    if value is None:
        return "<td></td>"
    return f'<td class="{"up" if value >= 0 else "down"}" style="--p:{abs(value) / most * 60:.0f}%">{value:.1%}</td>'


def _figures(title: str, found: msgspec.Struct) -> str:
    values = msgspec.structs.asdict(found)
    rows = [
        f"<tr><td>{name.replace('_', ' ')}</td><td>{_told(name, value)}</td></tr>" for name, value in values.items()
    ]
    return f"<section><h2>{title}</h2>{_table(title, ('', ''), rows)}</section>"


def _strategies(analysis: Analysis, currency: str) -> str:
    """Return a table of what each strategy earned, nothing where there is one."""
    if not analysis.strategies:
        return ""
    rows = [
        f"<tr><td>{escape(each.strategy)}</td><td>{each.profit:,.2f}</td><td>{_number(each.statistics.sharpe)}</td>"
        f"<td>{_share(each.statistics.max_drawdown)}</td><td>{each.statistics.trades:,}</td>"
        f"<td>{_share(each.statistics.win_rate)}</td><td>{each.shortfall.fees:,.2f}</td>"
        f"<td>{each.shortfall.total:,.2f}</td></tr>"
        for each in analysis.strategies
    ]
    heads = ("", f"profit, {escape(currency)}", "Sharpe", "deepest drawdown", "trades", "won", "fees", "shortfall")
    return "<h2>Strategies</h2>" + _table("Strategies", heads, rows)


def _costs(analysis: Analysis, currency: str) -> str:
    fees = list(dict.fromkeys(level.fee_bps for level in analysis.costs))
    slips = list(dict.fromkeys(level.slippage_bps for level in analysis.costs))
    found = {(level.fee_bps, level.slippage_bps): level for level in analysis.costs}
    rows = [
        f"<tr><td>fee {fee:g} bps</td>"
        + "".join(
            f"<td>{found[fee, slip].equity:,.0f} ({_share(found[fee, slip].total_return)})</td>" for slip in slips
        )
        + "</tr>"
        for fee in fees
    ]
    heads = (f"equity, {escape(currency)}", *(f"slippage {slip:g} bps" for slip in slips))
    return "<h2>The same decisions at other costs</h2>" + _table("Costs", heads, rows)


def _told(name: str, value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:,.2f}"
    if name in _WHOLE:
        return f"{value:,}"
    return _share(value) if name in _SHARES else _number(value)


def _share(value: float) -> str:
    return f"{value:.2%}" if math.isfinite(value) else "–"


def _number(value: float) -> str:
    return f"{value:,.2f}" if math.isfinite(value) else "–"


def _wide(label: str, inner: str) -> str:
    return f'<div class="scroll wide" role="region" aria-label="{label}" tabindex="0">{inner}</div>'


def _table(label: str, heads: Sequence[str], rows: Sequence[str], style: str = "") -> str:
    head = "".join(f'<th scope="col">{each}</th>' for each in heads) if any(heads) else ""
    body = f"<table class='{style}'><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">{body}</div>'
