"""What may be said to a run: messages, decisions, pauses, attributes.

Rule 1: whatever is accepted here is durable and reaches the run, whoever owns it, or nobody at the moment.
Rule 2: what no step can ever take is refused here: a message that the workflow does not wait for, or of a wrong shape.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec

from kronos.app.arguments import said_of
from kronos.core.asking import AskApproval, asked_of, is_waiting
from kronos.core.attributes import checked_attributes
from kronos.core.events import Attribute, RunFacts
from kronos.core.fields import closest
from kronos.core.graph import Graph
from kronos.core.state import Phase, Run
from kronos.engine.commands import Decision, Demand, Message
from kronos.errors import Conflict, InvalidInput
from kronos.kernel import canonical
from kronos.kernel.ids import RunId, parse_run_id
from kronos.kernel.schema import check_against
from kronos.kernel.texts import check_text
from kronos.ports.history import History, RunFilter
from kronos.storage.submission import Submission

__all__ = [
    "SIGNAL_BYTES_MAX",
    "CancelReport",
    "Messages",
    "PendingApproval",
    "pending_approvals",
]

SIGNAL_BYTES_MAX: Final = 65_536
PAGE: Final = 500

_encode: Final = msgspec.json.Encoder().encode


class PendingApproval(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that a run waits for; `message` is canonical JSON, times are ns since the epoch."""

    step: str
    who: str
    message: msgspec.Raw
    since: int
    due: int | None


class CancelReport(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs there were, how many were asked to end, and how many had ended just before."""

    matched: int
    asked: int
    ended_meanwhile: int


class Messages:
    """The part of `Kronos` that speaks to runs."""

    _submission: Submission
    history: History

    def signal(self, run_id: RunId, name: str, value: object = None, *, by: str = "", key: str = "") -> None:
        """Send a run the message `name`; the step that waits for it takes it, now or when it comes to that.

        Messages are taken in the order in which they were accepted, each once.  With a `key` sending the same again is
        harmless, also once the run has ended: what it had received is received.  Raises `NotFound`, `Conflict` when the
        run has ended without it or the key is that of another message, `InvalidInput` when its workflow waits for no
        such message or the value does not fit.
        """
        self.signal_json(run_id, name, canonical.encode(value), by=by, key=key)

    def signal_json(self, run_id: RunId, name: str, value: bytes, *, by: str = "", key: str = "") -> None:
        """`signal` with a value that is JSON text already."""
        run_id = parse_run_id(run_id)
        graph = self.history.definition(self.history.run(run_id).definition).graph
        check = partial(check_against, _schema_of(graph, check_text(name, "name")))
        remedy = "Send a value of the type that its step waits for"
        checked = said_of(f"message {name!r} cannot be", value, check, remedy=remedy, field="value", signal=name)
        if len(checked) > SIGNAL_BYTES_MAX:
            raise InvalidInput(
                f"value: {len(checked):,} bytes are more than {SIGNAL_BYTES_MAX:,}: send the name of a dataset or file",
                field="value",
                value=len(checked),
            )
        message = Message(name=name, value=msgspec.Raw(checked), by=_text("by", by), key=_text("key", key))
        command = uuid.uuid5(uuid.UUID(run_id), f"signal/{key}") if key else None
        try:
            self._send(run_id, "signal", _encode(message), command)
        except Conflict:  # the run has ended: perhaps after it had received this message
            if command is None or self._recorded(run_id, key) is None:
                raise
        if command is not None:
            self._check_same(run_id, message, command)

    def approve(self, run_id: RunId, step: str | None = None, *, by: str, reason: str = "") -> str:
        """Approve what a run waits for, and return the name of the step; `step` may be left out where it is one only.

        Raises `Conflict` when the run does not wait for it or somebody has decided already, `InvalidInput` when nobody
        says it (`by`).
        """
        return self._decide(run_id, step, approved=True, by=by, reason=reason)

    def reject(self, run_id: RunId, step: str | None = None, *, by: str, reason: str = "") -> str:
        """Reject what a run waits for; like `approve`."""
        return self._decide(run_id, step, approved=False, by=by, reason=reason)

    def approvals(self, run_id: RunId) -> list[PendingApproval]:
        """Return the decisions that a run waits for, the oldest first."""
        return pending_approvals(self.history.state_at(run_id))

    def pause(self, run_id: RunId, *, by: str = "", reason: str = "") -> None:
        """Let a run begin nothing new; what runs may end.  Raises `Conflict` when it has ended."""
        self._send(run_id, "pause", _encode(_demand(by, reason)))

    def resume(self, run_id: RunId, *, by: str = "", reason: str = "") -> None:
        """Let a paused run go on.  Raises `Conflict` when it has ended."""
        self._send(run_id, "resume", _encode(_demand(by, reason)))

    def cancel(self, run_id: RunId, *, reason: str = "", by: str = "") -> None:
        """Ask for the end of a run; raise `Conflict` when it has ended already."""
        self._send(run_id, "cancel", _encode(_demand(by, reason)))

    def attributes(self, run_id: RunId) -> dict[str, Attribute]:
        """Return the searchable attributes of a run."""
        return dict(self.history.run(run_id).attributes)

    def set_attributes(self, run_id: RunId, attributes: Mapping[str, Attribute | None]) -> None:
        """Set searchable attributes of a run, None to remove one; raise `Conflict` when it has ended."""
        self._send(run_id, "attribute", _encode(checked_attributes(attributes)))

    def cancel_all(
        self,
        chosen: RunFilter,
        *,
        reason: str = "",
        by: str = "",
        dry_run: bool = False,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> CancelReport:
        """Ask for the end of every open run that `chosen` describes, and report; with `dry_run` only count them.

        One that names nothing is refused: to end all, name all open phases.  `on_progress` is called with how many were
        looked at, and how many there were at the beginning.
        """
        if chosen == RunFilter(before=chosen.before, limit=chosen.limit):
            raise InvalidInput(
                "where, workflow and phases are empty, which means every open run: say which runs, "
                "or name the phases pending, running and waiting to end them all",
                field="where",
            )
        open_phases = tuple(phase for phase in Phase if not phase.is_final)
        phases = tuple(phase for phase in chosen.phases or open_phases if not phase.is_final)
        if not phases:
            raise InvalidInput(
                f"phases: {', '.join(chosen.phases)} are over already: leave them out",
                field="phases",
                value=chosen.phases,
            )
        chosen = msgspec.structs.replace(chosen, phases=phases, before=None, limit=PAGE)
        matched = self.history.count(chosen)
        if dry_run:
            return CancelReport(matched=matched, asked=0, ended_meanwhile=0)
        return self._cancel_pages(chosen, matched, _encode(_demand(by, reason)), on_progress)

    def _cancel_pages(
        self, chosen: RunFilter, matched: int, wish: bytes, on_progress: Callable[[int, int], None]
    ) -> CancelReport:
        seen = asked = 0
        while True:
            page = self.history.runs(chosen)
            asked += len(self._submission.send_all([run.id for run in page.runs], "cancel", wish)) if page.runs else 0
            seen += len(page.runs)
            on_progress(seen, max(matched, seen))
            if page.next_before is None:
                return CancelReport(matched=seen, asked=asked, ended_meanwhile=seen - asked)
            chosen = msgspec.structs.replace(chosen, before=page.next_before)

    def _decide(self, run_id: RunId, step: str | None, *, approved: bool, by: str, reason: str) -> str:
        if by == "":
            raise InvalidInput("by is empty: say who decides", field="by", value=by)
        run_id, by, reason = parse_run_id(run_id), _text("by", by), _text("reason", reason)
        run = self.history.state_at(run_id)
        chosen = _chosen(run, check_text(step, "step") if step else None)
        once = uuid.uuid5(uuid.UUID(run_id), f"decide/{chosen}/{run.steps[chosen].attempt}")
        decision = Decision(step=chosen, approved=approved, by=by, reason=reason)
        if not self._send(run_id, "decide", _encode(decision), once) or self._is_overtaken(run_id, decision):
            raise Conflict(
                f"somebody has decided {chosen!r} of run {run_id} already: that word counts",
                run_id=run_id,
                step=chosen,
            )
        return chosen

    def _is_overtaken(self, run_id: RunId, decision: Decision) -> bool:
        """Return whether another word than this one, which was just sent, is on record.

        A word leaves the inbox in the commit that records it: one that came before is seen here, or was in the way.
        """
        output = self.history.state_at(run_id).steps[decision.step].facts.output
        if output is msgspec.UNSET:
            return False
        recorded = msgspec.json.decode(self.history.payload(output))
        return any(recorded[name] != getattr(decision, name) for name in ("approved", "by", "reason"))

    def _send(self, run_id: RunId, kind: str, body: bytes, command: uuid.UUID | None = None) -> bool:
        """Return False where it is in the inbox already; raise `Conflict` when the run has ended."""
        run_id = parse_run_id(run_id)
        sent = self._submission.send(run_id, kind, body, command_id=command)
        if not sent:
            run = self.history.run(run_id)
            if run.phase.is_final:  # else it is in the inbox already
                raise Conflict(f"run {run_id} is {run.phase} already", run_id=run_id)
        return sent

    def _check_same(self, run_id: RunId, message: Message, command: uuid.UUID) -> None:
        """Raise `Conflict` where the key of a message is that of another one.

        It was sent before this looks: the one that came first is on record then, or in the inbox, or was just taken.
        """
        key = message.key
        known = self._recorded(run_id, key) or self._waiting(command) or self._recorded(run_id, key)
        if known is not None and known != (message.name, bytes(message.value)):
            raise Conflict(
                f"key {message.key!r} belongs to the message {known[0]!r} of run {run_id} with "
                f"{'another value' if known[0] == message.name else 'its own value'}: use another key",
                field="key",
                value=message.key,
            )

    def _waiting(self, command: uuid.UUID) -> tuple[str, bytes] | None:
        body = self._submission.sent(command)
        if body is None:
            return None
        sent = msgspec.json.decode(body, type=Message)
        return sent.name, bytes(sent.value)

    def _recorded(self, run_id: RunId, key: str) -> tuple[str, bytes] | None:
        seq = self.history.state_at(run_id).notes.keys.get(key)
        if seq is None:
            return None
        facts = self.history.events(run_id, after=seq - 1, limit=1)[0].facts
        assert isinstance(facts, RunFacts), "a message is an event about its run"
        assert facts.value is not msgspec.UNSET, "a message has a value"
        return facts.signal or "", self.history.payload(facts.value)


def pending_approvals(run: Run) -> list[PendingApproval]:
    """Return the decisions that a run waits for, the oldest first."""
    found = []
    for step, known in run.steps.items():
        if not run.phase.is_final and is_waiting(known) and known.facts.wait == "approval":
            asked = asked_of(known)
            assert isinstance(asked, AskApproval), "an approval is asked for"
            since = known.facts.started or 0
            found.append(
                PendingApproval(step=step, who=asked.who, message=asked.message, since=since, due=known.facts.due)
            )
    return sorted(found, key=lambda each: (each.since, each.step))


def _schema_of(graph: Graph, name: str) -> bytes:
    """Return the JSON Schema of the message `name`; raise `InvalidInput` where the workflow waits for none such."""
    known = {str(node.args["name"]): node.args["schema"] for node in graph.nodes if node.kind == "signal"}
    if name not in known:
        waits_for = ", ".join(sorted(known)) or "no message at all"
        raise InvalidInput(
            f"no step of this workflow waits for the message {name!r}{closest(name, known)}: it waits for {waits_for}",
            field="name",
            value=name,
        )
    return _encode(canonical.decode(_encode(known[name])))  # a schema's own "$ref" is escaped in a tree


def _chosen(run: Run, step: str | None) -> str:
    pending = [each.step for each in pending_approvals(run)]
    if step is None and len(pending) == 1:
        return pending[0]
    if step is None and pending:
        raise InvalidInput(f"run {run.id} waits for several approvals, name one: {', '.join(pending)}", field="step")
    if step is None or step not in pending:
        what = "for no approval" if not pending else f"for {', '.join(pending)}, not for {step!r}"
        raise Conflict(f"run {run.id} waits {what}", run_id=run.id, step=step, phase=run.phase)
    return step


def _demand(by: str, reason: str) -> Demand:
    return Demand(by=_text("by", by), reason=_text("reason", reason))


def _text(field: str, value: str) -> str:
    if isinstance(value, str):  # a login or a text of the command line need not be Unicode
        value = value.encode("utf-8", "backslashreplace").decode()
    return check_text(value, field)
