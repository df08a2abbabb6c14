"""Draw the diagrams and tables of the documents from the transition tables.

    python tools/diagrams.py            rewrites them in place
    python tools/diagrams.py --check    exit code 1 when one of them has drifted

A diagram stands between `<!-- diagram: NAME -->` and `<!-- end -->`; what is drawn is what `apply` does, not what
somebody remembers that it does.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec

from kronos.core.events import LEADING, Event, Kind, RunFacts, StepFacts
from kronos.core.state import ALLOWED, STEP_ALLOWED, Phase, Run, StepStatus, apply, new_run
from kronos.kernel.ids import RunId
from kronos.trading import orders, outbox

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (ROOT / "ARCHITECTURE.md", ROOT / "docs" / "concepts" / "orders.md")
PLACE = re.compile(r"(<!-- diagram: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
RUN = RunId("00000000-0000-7000-8000-000000000000")


def run_diagram() -> str:
    """Every phase, and the events that lead from one to another."""
    edges: dict[tuple[str, str], list[str]] = {}
    for phase in Phase:
        run = msgspec.structs.replace(new_run(RUN), phase=phase)
        for kind in sorted(ALLOWED[phase]):
            if kind.startswith("step_"):
                edges.setdefault((phase, phase), []).append("step_*")
                continue
            for facts in (RunFacts(), RunFacts(dead=True)):
                if facts.dead and kind is not Kind.RUN_FAILED:
                    continue
                after = apply(run, Event(seq=1, kind=kind, at=1, facts=facts)).phase
                edges.setdefault((phase, after), []).append(f"{kind}{' (dead)' if facts.dead else ''}")
    finals = [phase for phase in Phase if phase.is_final]
    return _state_diagram(Phase.PENDING, edges, finals)


def step_diagram() -> str:
    """Every status of a step, and the single facts that lead from one to another."""
    edges: dict[tuple[str, str], list[str]] = {}
    for status, path in _ways_to_statuses().items():
        run = _follow(path)
        attempt = path.count(Kind.STEP_SCHEDULED)
        for kind in sorted(STEP_ALLOWED[status]):
            event = _fact(run, kind, attempt + (kind in (Kind.STEP_SCHEDULED, Kind.STEP_SKIPPED)))
            after = apply(run, event).steps["step"].status
            edges.setdefault((status, after), []).append(kind)
    finals = [status for status in StepStatus if not STEP_ALLOWED[status]]
    return _state_diagram(StepStatus.PENDING, edges, finals)


def order_diagram() -> str:
    """The life of an order."""
    edges: dict[tuple[str, str], list[str]] = {}
    for phase, exits in orders.ALLOWED.items():
        for record, targets in exits.items():
            for after in sorted(targets):
                edges.setdefault((phase, after), []).append(record.__name__)
    return _state_diagram(orders.Phase.INTENDED, edges, sorted(orders.TERMINAL))


def facts_table() -> str:
    """Which single facts a row of each kind stands for, at most."""
    rows = [f"| `{kind}` | {', '.join(f'`{each}`' for each in leading)} |" for kind, leading in LEADING.items()]
    return "\n".join(["| a row of kind | stands for the last `count` of |", "|---|---|", *rows])


def dominance_table() -> str:
    """What becomes of an incoming command where another waits."""
    kinds = sorted(outbox.RANK, key=outbox.RANK.__getitem__, reverse=True)
    lines = ["| waits | incoming " + " | incoming ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    lines += [f"| {waits} | {' | '.join(outbox.DOMINANCE[waits, kind] for kind in kinds)} |" for waits in kinds]
    return "\n".join(lines)


DIAGRAMS = {
    "run": run_diagram, "step": step_diagram, "order": order_diagram, "facts": facts_table,
    "dominance": dominance_table,
}  # fmt: skip


def _ways_to_statuses() -> dict[StepStatus, tuple[Kind, ...]]:
    ways: dict[StepStatus, tuple[Kind, ...]] = {StepStatus.PENDING: ()}
    for kind in Kind:
        if kind.startswith("step_"):
            status = _follow(LEADING[kind]).steps["step"].status
            ways.setdefault(status, LEADING[kind])
    assert set(ways) == set(StepStatus), "every status can be reached"
    return ways


def _follow(path: tuple[Kind, ...]) -> Run:
    run = apply(new_run(RUN), Event(seq=1, kind=Kind.RUN_STARTED, at=1, facts=RunFacts()))
    for kind in path:
        run = apply(run, _fact(run, kind, 1))
    return run


def _fact(run: Run, kind: Kind, attempt: int) -> Event:
    return Event(seq=run.seq + 1, kind=kind, at=1, facts=StepFacts(), step="step", attempt=attempt)


def _state_diagram(first: str, edges: dict[tuple[str, str], list[str]], finals: list[str]) -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    for (before, after), labels in edges.items():
        lines.append(f"    {before} --> {after}: {', '.join(dict.fromkeys(labels))}")
    lines += [f"    {final} --> [*]" for final in finals]
    return "\n".join([*lines, "```"])


def drawn(text: str) -> str:
    """Return `text` with every diagram drawn anew."""
    return PLACE.sub(lambda found: f"{found[1]}{DIAGRAMS[found[2]]()}\n{found[3]}", text)


def main() -> int:
    drifted = [document for document in DOCUMENTS if _draw(document, check="--check" in sys.argv[1:])]
    for document in drifted:
        print(f"{document.name} has drifted from the code: run python tools/diagrams.py", file=sys.stderr)
    return int(bool(drifted))


def _draw(document: Path, *, check: bool) -> bool:
    """Draw one document anew, or return whether that would change it."""
    text = document.read_text(encoding="utf-8")
    new = drawn(text)
    if not check:
        document.write_text(new, encoding="utf-8")
    return check and new != text


if __name__ == "__main__":
    sys.exit(main())
