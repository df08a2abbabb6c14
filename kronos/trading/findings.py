"""What an audit found, and how it is said.

Rule: a finding is a sentence that names the decision, and what it depends on or why that cannot be told.
"""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["Audit", "Reading"]

_UNREPEATED: Final = (
    "made again with the same rows it is another (random numbers without a seed, a clock, what an earlier run left in "
    "the process); whether it reads the future can be told once it repeats"
)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The decision of row `decision` depends on `column` of the rows `first` to `last`, which come after `cut`.

    In a session of several streams `stream` is which, and `first` and `last` are rows of it; "" where several are read,
    or there is one: then they are rows of the run, as `decision` and `cut` are.
    """

    decision: int
    cut: int
    column: str
    first: int
    last: int
    at_start: bool
    stream: str = ""

    def __str__(self) -> str:
        """Return the finding as a sentence."""
        rows = f"[{self.first}]" if self.first == self.last else f"[{self.first}..{self.last}]"
        where = ", which was read before the first bar was over (on_start or __init__)" if self.at_start else ""
        which = f" of {self.stream}" if self.stream else ""
        return f"the decision of row {self.decision} depends on {self.column}{rows}{which}{where}"


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit found: nothing when it `is_clean`; `replayed` rows were made again for it.

    `unrepeated` is a row whose decision is another when it is made again with the same rows: then nothing is said about
    readings.  `core_chain` is that of the run itself.
    """

    rows: int
    cuts: int
    replayed: int
    readings: tuple[Reading, ...]
    unrepeated: int | None = None
    opened: tuple[str, ...] = ()
    note: str = ""
    core_chain: str = ""

    @property
    def is_clean(self) -> bool:
        """Return whether decisions repeat, nothing of the future was read, and nothing beside the data opened."""
        return not self.findings

    @property
    def findings(self) -> tuple[str, ...]:
        """Return what was found, each as a sentence."""
        lines = [str(each) for each in self.readings] + [f"opened: {each}" for each in self.opened]
        if self.unrepeated is not None:
            lines.insert(0, f"the decision of row {self.unrepeated} does not repeat: {_UNREPEATED}")
        return tuple(lines)
