"""`app.schedules`: standing orders for runs, on cron time.

Rule: whatever is wrong with a schedule is refused when it is added, naming the field.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import msgspec

from kronos.core.cron import parse_cron
from kronos.core.definition import WorkflowDefinition
from kronos.core.options import Duration, duration_s
from kronos.core.schedules import CatchUp, Overlap, Schedule, check_choice
from kronos.errors import Conflict, InvalidInput
from kronos.kernel import canonical
from kronos.kernel.ids import RunId
from kronos.kernel.texts import check_text
from kronos.ports.history import Definition
from kronos.storage.schedules import Firing, PostgresSchedules, unknown

__all__ = ["Schedules"]

Workflow: TypeAlias = WorkflowDefinition[Any, Any]
NAME_MAX: Final = 200
SHOWN_MAX: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_IDENTITY: Final = ("cron", "zone", "workflow", "version", "input", "catch_up", "overlap", "jitter_s", "timeout_s")


class Schedules:
    """The schedules of one database; the leader among its workers and servers fires them."""

    def __init__(
        self, store: PostgresSchedules, check: Callable[[Workflow | str, bytes, str | None], tuple[Definition, bytes]]
    ) -> None:
        self._store = store
        self._check = check

    def add(
        self,
        name: str,
        cron: str,
        workflow: Workflow | str,
        run_input: object = msgspec.UNSET,
        *,
        zone: str = "UTC",
        version: str | None = None,
        catch_up: CatchUp = "latest",
        overlap: Overlap = "allow",
        jitter: Duration = 0,
        timeout: Duration | None = None,
    ) -> Schedule:
        """Start a run of `workflow` at each time that `cron` names in `zone` (an IANA name).

        `catch_up` says what becomes of slots that were due while nobody led: the "latest" of them is fired, "all", or
        "none".  `overlap` says what happens while the last run is open: "allow" another, "skip" the slot, or
        "cancel_previous".  Up to `jitter` is added to each start.  Adding the same again changes nothing.

        Raises `InvalidInput` naming the field, `NotFound` for an unknown workflow, `Conflict` where the name is taken.
        """
        data = canonical.encode({} if run_input is msgspec.UNSET else run_input)
        return self.add_json(
            name,
            cron,
            workflow,
            data,
            zone=zone,
            version=version,
            catch_up=catch_up,
            overlap=overlap,
            jitter=jitter,
            timeout=timeout,
        )

    def add_json(
        self,
        name: str,
        cron: str,
        workflow: Workflow | str,
        run_input: bytes | str,
        *,
        zone: str = "UTC",
        version: str | None = None,
        catch_up: str = "latest",
        overlap: str = "allow",
        jitter: Duration = 0,
        timeout: Duration | None = None,
    ) -> Schedule:
        """`add` with an input that is JSON text already."""
        if not _name(name).strip():
            raise InvalidInput(f"name {name!r}: give 1 to {NAME_MAX} characters", field="name", value=name)
        times = parse_cron(cron, zone)
        check_choice("catch_up", catch_up, CatchUp)
        check_choice("overlap", overlap, Overlap)
        data = run_input.encode() if isinstance(run_input, str) else run_input
        definition, checked = self._check(workflow, data, version)
        wanted = Schedule(
            id=0,
            name=name,
            cron=cron,
            zone=zone,
            workflow=definition.workflow,
            version=version,
            input=checked,
            catch_up=catch_up,  # type: ignore[arg-type]
            overlap=overlap,  # type: ignore[arg-type]
            jitter_s=duration_s(jitter, field="jitter") if jitter else 0.0,
            timeout_s=None if timeout is None else duration_s(timeout, field="timeout"),
            created_at=_EPOCH,
            paused_at=None,
            next_at=times.next_after(self._store.now()),
        )
        if self._store.add(wanted):
            return self.get(name)
        known = self.get(name)
        differing = [field for field in _IDENTITY if getattr(known, field) != getattr(wanted, field)]
        if differing:
            raise Conflict(
                f"schedule {name!r} exists already, with another {differing[0].removesuffix('_s')}: "
                "delete it first, or choose another name",
                field="name",
                value=name,
            )
        return known

    def get(self, name: str) -> Schedule:
        """Return one; raise `NotFound`."""
        found = self._store.find(_name(name))
        if not found:
            raise unknown(name)
        return found[0]

    def pause(self, name: str) -> Schedule:
        """Fire no slot until it is resumed; those that pass meanwhile are not caught up."""
        self._store.pause(_name(name))
        return self.get(name)

    def resume(self, name: str) -> Schedule:
        """Fire again, from the next slot on."""
        self._store.resume(_name(name))
        return self.get(name)

    def trigger(self, name: str) -> RunId:
        """Start a run now, paused or not, and return its id."""
        return self._store.trigger(_name(name))

    def delete(self, name: str) -> None:
        """Forget a schedule; its runs stay."""
        self._store.delete(_name(name))

    def upcoming(self, name: str, count: int = 5) -> list[datetime]:
        """Return the next `count` slots, in UTC; none of a paused schedule."""
        check_count("count", count)
        schedule = self.get(name)
        if schedule.next_at is None or schedule.paused_at is not None:
            return []
        return [schedule.next_at, *schedule.times.slots(schedule.next_at, _FOREVER, count - 1)]

    def firings(self, name: str, limit: int = 50) -> list[Firing]:
        """Return what became of the last slots, newest first."""
        check_count("limit", limit)
        return self._store.firings(self.get(name), limit)

    def list(self) -> list[Schedule]:
        """Return all schedules, by name."""
        return self._store.find()


def _name(name: str) -> str:
    return check_text(name, "name", least=1, most=NAME_MAX)


_FOREVER: Final = datetime.max.replace(tzinfo=UTC)


def check_count(field: str, count: int) -> None:
    """Raise `InvalidInput` where `count` is outside what is shown at once."""
    if not 1 <= count <= SHOWN_MAX:
        raise InvalidInput(f"{field} {count} is outside 1..{SHOWN_MAX}", field=field, value=count)
