"""What other threads hand to the owner loop, and what it counts."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from kronos.engine.owned import OwnedRun
from kronos.engine.runlog import Buffer
from kronos.engine.tasks import Task
from kronos.ports.queue import Command, Flush, Verdict

__all__ = ["Inbox", "Stats"]


@dataclass(slots=True)
class Stats:
    """Counters since the start; written by the loop, read by metrics."""

    runs_claimed: int = 0
    runs_ended: int = 0
    steps_ended: int = 0
    steps_failed: int = 0
    flushes: int = 0
    rows: int = 0
    step_seconds: float = 0.0


class Inbox:
    """What other threads hand to the loop."""

    def __init__(self) -> None:
        self.claimed: deque[tuple[OwnedRun, list[Task]]] = deque()
        self.committed: deque[tuple[Flush, list[tuple[OwnedRun, Buffer]], Verdict]] = deque()
        self.commands: deque[list[Command]] = deque()
        self.jobs: deque[list[Task]] = deque()
        self.cancelled: deque[list[Task]] = deque()
        self.wake = threading.Event()

    def put_claimed(self, run: OwnedRun, tasks: list[Task]) -> None:
        """Hand over a run that is ready to be advanced."""
        self.claimed.append((run, tasks))

    def put_committed(self, flush: Flush, members: list[tuple[OwnedRun, Buffer]], verdict: Verdict) -> None:
        """Hand over the answer of the store."""
        self.committed.append((flush, members, verdict))
        self.wake.set()

    def put_jobs(self, tasks: list[Task]) -> None:
        """Hand over attempts of jobs, to be executed."""
        self.jobs.append(tasks)
        self.wake.set()

    def put_cancelled(self, tasks: list[Task]) -> None:
        """Hand over attempts of jobs whose end somebody asked for."""
        self.cancelled.append(tasks)
        self.wake.set()

    def put_commands(self, commands: list[Command]) -> None:
        """Hand over inbox rows, maybe none: a poll that found nothing is an answer too."""
        self.commands.append(commands)
        self.wake.set()
