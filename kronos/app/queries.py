"""`app.query(run, name)`: what every run can be asked, and what its workflow declares.

Rule: the answer is computed here, from the history as it is; the run does not notice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from kronos.app.messages import pending_approvals
from kronos.core.asking import is_waiting
from kronos.core.fields import closest
from kronos.core.queries import RunView
from kronos.core.state import Run
from kronos.engine.serving import Serving
from kronos.errors import InvalidInput, NotFound
from kronos.kernel import canonical
from kronos.kernel.ids import RunId, parse_run_id
from kronos.kernel.texts import check_text
from kronos.ports.history import History

__all__ = ["BUILT_IN", "Queries"]


class Queries:
    """The part of `Kronos` that answers questions about runs."""

    history: History
    definitions: Serving

    def query(self, run_id: RunId, name: str) -> Any:
        """Return the answer of a run to `name`, as plain values: one of BUILT_IN, or what its workflow declares.

        Raises `NotFound` for another name, and where the workflow's code is not served by this process.
        """
        run_id = parse_run_id(run_id)
        if check_text(name, "name") == "progress":
            return _progress(self.history, run_id)
        run = self.history.state_at(run_id)
        if name in BUILT_IN:
            return BUILT_IN[name](run)
        line = self.history.run(run_id)
        served = self.definitions.find(line.definition)
        declared = {} if served is None else served.workflow.queries
        if name not in declared:
            known = [*BUILT_IN, "progress", *declared]
            code = "" if served is not None else f"; the code of {line.workflow!r} is not served here: ask where it is"
            raise NotFound(f"no query {name!r}{closest(name, known)}: known are {', '.join(known)}{code}", query=name)
        return _asked(declared[name], name, RunView(run, self.history.payload(line.input), self.history.payload))


def _asked(query: Callable[[RunView], Any], name: str, view: RunView) -> Any:
    try:
        return canonical.to_plain(query(view))
    except (NotFound, InvalidInput):
        raise
    except Exception as error:  # the user's own code
        raise InvalidInput(
            f"query {name!r} raised {type(error).__name__}: {error}", field="query", value=name
        ) from error


def _steps(run: Run) -> list[dict[str, Any]]:
    return [
        {
            "step": step,
            "status": "waiting" if is_waiting(known) else known.status.value,
            "attempt": known.attempt,
            "waits_for": known.facts.wait if is_waiting(known) else None,
            "due_ns": known.facts.due if is_waiting(known) else known.facts.retry_due,
        }
        for step, known in sorted(run.steps.items())
    ]


def _approvals(run: Run) -> list[dict[str, Any]]:
    return [
        {
            "step": each.step,
            "who": each.who,
            "message": canonical.to_plain(canonical.decode(each.message)),
            "since_ns": each.since,
            "due_ns": each.due,
        }
        for each in pending_approvals(run)
    ]


def _signals(run: Run) -> list[dict[str, Any]]:
    return [
        {"seq": each.seq, "name": each.name, "value": canonical.to_plain(canonical.decode(each.value)), "by": each.by}
        for each in run.notes.signals
    ]


def _costs(run: Run) -> dict[str, Any]:
    costs = run.costs
    return {
        "usd": costs.usd,
        "calls": costs.calls,
        "tokens_in": costs.tokens_in,
        "tokens_out": costs.tokens_out,
        "attempts": run.attempts,
        "worked_s": run.worked_ns / 1e9,
    }


def _pause(run: Run) -> dict[str, Any] | None:
    pause = run.notes.pause
    return None if pause is None else msgspec.to_builtins(pause)


def _progress(history: History, run_id: RunId) -> list[dict[str, Any]]:
    return [
        {"step": step, "attempt": attempt, "at_ns": at_ns, "progress": canonical.to_plain(canonical.decode(told))}
        for step, attempt, at_ns, told in history.progress(run_id)
    ]


BUILT_IN: Final[Mapping[str, Callable[[Run], Any]]] = {
    "steps": _steps,
    "approvals": _approvals,
    "signals": _signals,
    "attributes": lambda run: dict(run.notes.attributes),
    "costs": _costs,
    "pause": _pause,
}
"""What every run can be asked; `progress` too, which is shown live and not part of its history."""
