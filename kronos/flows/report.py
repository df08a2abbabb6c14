"""The report: one page of HTML that needs nothing but itself.

Rule 1: no script, no image, no address: charts are inline SVG, colours follow the reader's light or dark setting.
Rule 2: the same input gives the same bytes; nothing here knows the time or the machine.
Rule 3: every text that came from data is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from kronos.flows.charts import Line, Mark, chart, day
from kronos.flows.portfolio import BestSet, SetMetrics
from kronos.flows.steps import BacktestResult

__all__ = ["STYLE", "render"]

STYLE: Final = """
:root{color-scheme:light dark;
--bg:#fbfbfa;--ink:#1c1d20;--dim:#6b6f76;--line:#e3e3e0;--accent:#2f6fde;--up:#1a8754;--down:#c2413b;
--s0:#2f6fde;--s1:#b7791f;--s2:#7a5cc9;--fill:#2f6fde1f}
@media(prefers-color-scheme:dark){:root{--bg:#131417;--ink:#e8e8e6;--dim:#9297a0;--line:#2a2c31;--accent:#6ea2ff;
--up:#4cc38a;--down:#ff7b72;--s0:#6ea2ff;--s1:#e3b341;--s2:#b49cff;--fill:#6ea2ff26}}
*{box-sizing:border-box}
body{margin:0 auto;padding:32px 24px 64px;max-width:1080px;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:24px;margin:0 0 4px}h2{font-size:16px;margin:40px 0 8px}p{margin:0;color:var(--dim)}
.scroll{overflow-x:auto}.wide svg{min-width:860px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px 12px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--dim);font-weight:500}th:first-child,td:first-child{text-align:left;padding-left:0}
tr.best td{font-weight:600}.up{color:var(--up)}.down{color:var(--down)}
svg{display:block;width:100%;height:auto}svg text{fill:var(--dim);font:11px ui-monospace,"SF Mono",Menlo,monospace}
.grid{stroke:var(--line)}.l0{stroke:var(--s0)}.l1{stroke:var(--s1)}.l2{stroke:var(--s2)}
.line{fill:none;stroke-width:1.5;vector-effect:non-scaling-stroke}.area{fill:var(--fill)}
.buy{fill:var(--up)}.sell{fill:var(--down)}.split{stroke:var(--dim);stroke-dasharray:2 3}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;margin:4px 0 8px;padding:0;list-style:none;color:var(--dim)}
.legend i{display:inline-block;width:16px;height:0;border-top:2px solid;margin:0 6px 4px 0}
.k0{color:var(--s0)}.k1{color:var(--s1)}.k2{color:var(--s2)}
@media(max-width:560px){body{padding:24px 16px 48px}svg text{font-size:13px}}
.stocks{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:24px 32px}
"""


def render(
    best: BestSet, sets: Sequence[SetMetrics], results: Sequence[BacktestResult], *, splits: Mapping[str, list[int]]
) -> str:
    """Return the page; `splits` maps an instrument to the rows before which its shares were split."""
    chosen = next(each for each in sets if each.name == best.name)
    place = [each.name for each in sets].index(best.name)
    stocks = results[place * chosen.stocks : (place + 1) * chosen.stocks]
    # A close is stamped with the end of its day, which is the next day's midnight.
    first, last = chosen.curve[0].time_ns, chosen.curve[-1].time_ns
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{escape(best.name)} · Kronos</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(best.name)} has the best Sharpe ratio: {_ratio(best.sharpe)}</h1>",
            f"<p>{len(sets)} parameter sets over {chosen.stocks} stocks, {day(first - 1)} to {day(last - 1)}. ",
            "Raw prices, splits applied, dividends not credited.</p>",
            "<h2>Parameter sets</h2>",
            _sets_table(best, sets),
            "<h2>Equity</h2>",
            _legend(sets),
            _scroll(
                "wide",
                "Equity",
                chart(
                    [Line([(p.time_ns, p.equity) for p in each.curve], f"l{i % 3}") for i, each in enumerate(sets)],
                    label="Portfolio equity of every parameter set",
                    unit="USD",
                ),
            ),
            "<h2>Drawdown</h2>",
            _scroll(
                "wide",
                "Drawdown",
                chart(
                    [Line([(p.time_ns, p.drawdown * 100) for p in chosen.curve], f"l{place % 3}", filled=True)],
                    label=f"Drawdown of {best.name} in percent",
                    unit="%",
                    height=160,
                ),
            ),
            f"<h2>{escape(best.name)}, stock by stock</h2>",
            _stocks_table(stocks),
            '<div class="stocks">',
            *(_stock(each, splits.get(each.instrument, []), place) for each in stocks),
            "</div></body></html>",
        ]
    )


def _sets_table(best: BestSet, sets: Sequence[SetMetrics]) -> str:
    rows = [
        f"<tr{' class=best' if each.name == best.name else ''}><td>{'★ ' if each.name == best.name else ''}"
        f"{escape(each.name)}</td><td>{each.final_equity:,.2f}</td>{_percent(each.total_return, signed=True)}"
        f"{_percent(each.cagr, signed=True)}<td>{_ratio(each.sharpe)}</td>{_percent(each.worst_drawdown)}"
        f"<td>{each.trades:,}</td>{_percent(each.win_rate)}<td>{each.fees:,.2f}</td></tr>"
        for each in sets
    ]
    heads = ("set", "equity, USD", "return", "CAGR", "mean Sharpe", "worst drawdown", "trades", "won", "fees, USD")
    return _table("Parameter sets", heads, rows)


def _stocks_table(stocks: Sequence[BacktestResult]) -> str:
    rows = [
        f"<tr><td>{escape(each.instrument)}</td><td>{each.final_equity:,.2f}</td>"
        f"{_percent(each.statistics.total_return, signed=True)}<td>{_ratio(each.statistics.sharpe)}</td>"
        f"<td>{_ratio(each.statistics.sortino)}</td>{_percent(each.statistics.max_drawdown)}"
        f"<td>{each.trade_count:,}</td>{_percent(each.statistics.win_rate)}"
        f"<td>{_ratio(each.statistics.profit_factor)}</td>{_percent(each.statistics.exposure)}</tr>"
        for each in stocks
    ]
    heads = (
        "stock", "equity, USD", "return", "Sharpe", "Sortino", "max drawdown", "trades", "won", "profit factor",
        "exposure",
    )  # fmt: skip
    return _table("Stocks", heads, rows)


def _table(label: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    return _scroll("", label, f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>")


def _scroll(style: str, label: str, inner: str) -> str:
    """Return `inner` in a box that scrolls sideways where the screen is narrow, with the keyboard too."""
    return f'<div class="{f"scroll {style}".strip()}" role="region" aria-label="{label}" tabindex="0">{inner}</div>'


def _stock(result: BacktestResult, splits: list[int], place: int) -> str:
    worth = {point.row: point.equity for point in result.curve}
    rows = sorted(worth)
    times = {point.row: point.time_ns for point in result.curve}
    marks = []
    for trade in result.trades:
        marks.append(Mark(trade.entry_time_ns, _near(rows, worth, trade.entry_row), "buy"))
        if trade.exit_row is not None and trade.exit_time_ns is not None:
            marks.append(Mark(trade.exit_time_ns, _near(rows, worth, trade.exit_row), "sell"))
    drawn = chart(
        [Line([(point.time_ns, point.equity) for point in result.curve], f"l{place % 3}")],
        label=f"Equity of {result.instrument} with its trades: ▲ bought, ▼ sold, dashed a split",
        unit="USD",
        marks=marks,
        rules=[times[min(rows, key=lambda row, at=at: abs(row - at))] for at in splits],  # type: ignore[misc]
        width=480,
        height=200,
    )
    return f"<section><h2>{escape(result.instrument)}</h2>{drawn}</section>"


def _near(rows: list[int], worth: Mapping[int, float], row: int) -> float:
    return worth[min(rows, key=lambda known: abs(known - row))]


def _legend(sets: Sequence[SetMetrics]) -> str:
    items = "".join(f'<li><i class="k{i % 3}"></i>{escape(each.name)}</li>' for i, each in enumerate(sets))
    return f'<ul class="legend">{items}</ul>'


def _percent(value: float, *, signed: bool = False) -> str:
    if not math.isfinite(value):
        return "<td>–</td>"
    shade = f' class="{"up" if value >= 0 else "down"}"' if signed else ""
    return f"<td{shade}>{value * 100:{'+' if signed else ''}.1f} %</td>"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"
