"""What anyone may ask of the runs on record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from kronos.core.costs import Spent
from kronos.core.events import Attribute, Event, Failure
from kronos.core.graph import Graph
from kronos.core.state import Phase, Run
from kronos.errors import CorruptHistory, NotFound
from kronos.kernel.ids import DefinitionId, RunId
from kronos.ports.lineage import Scope

__all__ = ["DamagedDefinition", "Definition", "History", "RunFilter", "RunPage", "RunSummary", "unknown_run"]


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as it was when it was registered.

    `sources` maps a path below the project root to (module name, "" for no module; blob of the file); `codes` maps a
    step to its code identity; `input_schema` is JSON Schema.
    """

    id: DefinitionId
    workflow: str
    version: str
    graph: Graph
    input_schema: bytes
    codes: dict[str, str]
    sources: dict[str, tuple[str, str]]
    environment: dict[str, str]
    created_at_ns: int = 0

    @property
    def sound(self) -> Definition:
        """Itself."""
        return self


class DamagedDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A definition on record that cannot be read, and `why`: it costs those who ask for it, and no list."""

    id: DefinitionId
    workflow: str
    version: str
    why: str

    @property
    def sound(self) -> Definition:
        """Raise `CorruptHistory`: who needs what it says cannot go on."""
        raise CorruptHistory(
            f"definition {self.id[:12]} of workflow {self.workflow!r}, version {self.version!r}, cannot be read: "
            f"{self.why}; restore its row, or register the workflow under another version",
            definition=self.id,
        )


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the runs list.  `head_seq`, `steps_done` are as of the last flush; times ns since the epoch.

    `parent` is the run that a fork was made from, `parent_seq` the last seq that it shares with it; `spent` what it had
    used up at its end, where its steps reported costs.  A child was started by `child_step` of `child_of`; a successor
    `continues` a run, which is `continued_by` it.  Where `expired_at` is set, the history is gone: this line is left.
    """

    id: RunId
    workflow: str
    version: str
    definition: DefinitionId
    phase: Phase
    created_at: int
    started_at: int | None
    finished_at: int | None
    head_seq: int
    owner: int | None
    takeovers: int
    input: bytes
    output: bytes | None
    failure: Failure | None
    failed_step: str | None
    parent: RunId | None = None
    parent_seq: int = 0
    attributes: dict[str, Attribute] = {}
    spent: Spent | None = None
    child_of: RunId | None = None
    child_step: str | None = None
    continues: RunId | None = None
    continued_by: RunId | None = None
    expired_at: int | None = None


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list; `before` is the id after which the page continues (newest first).

    `is_forked` asks for those that have a fork, or have none; `where` for attributes by name, given as text: "3" finds
    the number 3 and the text "3".
    """

    phases: tuple[Phase, ...] = ()
    workflow: str | None = None
    is_forked: bool | None = None
    where: dict[str, str] = {}
    before: RunId | None = None
    limit: int = 50


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page; `next_before` continues it, None at the end."""

    runs: list[RunSummary]
    next_before: RunId | None


class History(Protocol):
    """The reading side of the run log.  Every method raises `NotFound` for an unknown run."""

    def run(self, run_id: RunId) -> RunSummary:
        """Return one run's line."""
        ...

    def count(self, chosen: RunFilter) -> int:
        """Return how many runs there are, whatever `before` and `limit` say."""
        ...

    def runs(self, chosen: RunFilter) -> RunPage:
        """Return a page of runs, newest first."""
        ...

    def events(self, run_id: RunId, *, after: int = 0, limit: int = 1000) -> list[Event]:
        """Return stored events (not expanded) with `seq` > `after`, in order, at most `limit`."""
        ...

    def state_at(self, run_id: RunId, seq: int | None = None) -> Run:
        """Return the run as of `seq` (None: now); raise `InvalidInput` when `seq` is beyond the head."""
        ...

    def scopes(self, run_id: RunId) -> list[Scope]:
        """Return under what each part of a run's history was recorded, oldest first: of a fork, several."""
        ...

    def progress(self, run_id: RunId) -> list[tuple[str, int, int, bytes]]:
        """Return how far attempts say they are: step, attempt, when (ns), JSON; raise `NotFound`."""
        ...

    def payload(self, value: msgspec.Raw | bytes) -> bytes:
        """Return a recorded value's canonical bytes, fetched from its blob where it is a reference."""
        ...

    def definition(self, definition_id: DefinitionId) -> Definition:
        """Return a registered definition."""
        ...

    def definitions(self) -> Sequence[Definition | DamagedDefinition]:
        """Return the registered definitions, newest first, those that cannot be read as what they are."""
        ...

    def verify(self, run_id: RunId) -> int:
        """Recompute the chained hashes of a run; return its events' number or raise `CorruptHistory`."""
        ...


def unknown_run(run_id: RunId) -> NotFound:
    """Return the error for a run that is not on record."""
    return NotFound(f"no run {run_id}: `kronos runs list` shows those on record", run_id=run_id)
