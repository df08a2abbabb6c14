"""`kronos nodes`: which processes are up, who leads, who serves what."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kronos.cli.output import print_json, print_rows

__all__ = ["nodes"]


def nodes(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Workers and servers that are up, or vanished within the hour; which of them leads."""
    from kronos.app import Kronos

    with Kronos.open() as opened:
        found = opened.nodes.list()
        names = opened.nodes.workflows()
    rows: list[dict[str, Any]] = [
        {
            "node": node.id,
            "kind": node.kind,
            "name": node.name,
            "host": node.host,
            "pid": node.pid,
            "incarnation": node.incarnation,
            "state": "leads" if node.leads else "up" if node.is_up else "gone",
            "epoch": node.epoch,
            "lease_s": node.lease_s,
            "seen": node.seen_at.isoformat(),
            "serves": sorted({names[each] for each in node.definitions if each in names}),
        }
        for node in found
    ]
    if json:
        print_json(rows)
        return
    titles = ("node", "kind", "name", "pid", "incarnation", "state", "seen", "serves")
    print_rows(titles, [[", ".join(row[t]) or "–" if t == "serves" else row[t] for t in titles] for row in rows])
