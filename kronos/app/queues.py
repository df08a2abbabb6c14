"""Queues and dead letters, as a program asks for them: `app.queues`, `app.dead_letters`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kronos.app.jobs import LIST_MAX, check_queue, parse_job_id
from kronos.core.options import Duration, duration_s
from kronos.errors import Conflict, InvalidInput, NotFound
from kronos.kernel.texts import check_text
from kronos.ports.jobbook import DeadGroup, DeadItem, KeyState, QueueState
from kronos.storage.jobbook import JobBook

__all__ = ["DeadLetters", "Queues"]

LIMIT_MAX: Final = 1_000_000


class Queues:
    """Look at queues, pause and limit them.  A queue exists as soon as something is in it or was said of it."""

    def __init__(self, book: JobBook) -> None:
        self._book = book

    def list(self) -> Sequence[QueueState]:
        """Return every queue with open jobs or settings."""
        return self._book.queues()

    def get(self, queue: str) -> QueueState:
        """Return one queue; raise `NotFound` when nothing is in it and nothing was said of it."""
        found = self._book.queues(check_queue(queue))
        if not found:
            known = ", ".join(each.name for each in self.list())
            raise NotFound(f"nothing is known of queue {queue!r}; known: {known or 'none'}", field="queue", value=queue)
        return found[0]

    def keys(self, queue: str) -> Sequence[KeyState]:
        """Return where the jobs of each key stand, busiest first, at most 1,000."""
        return self._book.keys(check_queue(queue))

    def pause(self, queue: str, *, by: str = "") -> QueueState:
        """Let nothing more begin; what runs goes on.  A queue of which nothing is known yet is paused ahead."""
        self._book.change("pause", {"queue": check_queue(queue), "by": check_text(by, "by")})
        return self.get(queue)

    def resume(self, queue: str) -> QueueState:
        """Go on; raise `Conflict` when the queue was not paused."""
        if not self._book.change("resume", {"queue": check_queue(queue)}):
            raise Conflict(f"queue {queue!r} is not paused", field="queue", value=queue)
        return self.get(queue)

    def limit(
        self,
        queue: str,
        *,
        concurrency: int | None = None,
        key_concurrency: int | None = None,
        rate: int | None = None,
        per: Duration = "1s",
    ) -> QueueState:
        """Set the limits of a queue, over all workers; None takes one away.

        At most `concurrency` jobs at once, at most `key_concurrency` of one key, at most `rate`
        claimed in any `per`, over all workers and by the database's clock; a job begins after its claim by the way to
        its slot (`docs/concepts/jobs.md`).
        """
        at: dict[str, Any] = {
            "queue": check_queue(queue),
            "concurrency": _limit(concurrency, "concurrency"),
            "key_concurrency": _limit(key_concurrency, "key_concurrency"),
            "rate": _limit(rate, "rate"),
            "rate_ms": None if rate is None else max(1, round(duration_s(per, field="per") * 1000)),
        }
        self._book.change("limit", at)
        return self.get(queue)


class DeadLetters:
    """What was given up and waits for somebody to decide: jobs, and runs whose steps kill their workers."""

    def __init__(self, book: JobBook) -> None:
        self._book = book

    def list(
        self,
        *,
        error: str | None = None,
        what: str | None = None,
        queue: str | None = None,
        limit: int = 100,
    ) -> Sequence[DeadItem]:
        """Return dead letters, newest first: of one `error` (the type), one `what` (target or workflow), one queue."""
        if not 1 <= limit <= LIST_MAX:
            raise InvalidInput(f"limit {limit}: give 1 to {LIST_MAX}", field="limit", value=limit)
        for field, given in (("error", error), ("what", what), ("queue", queue)):
            if given is not None:
                check_text(given, field)
        return self._book.dead({"error": error, "what": what, "queue": queue, "limit": limit})

    def groups(self) -> Sequence[DeadGroup]:
        """Return dead letters counted by what they are and the error they met, most first."""
        return self._book.dead_groups()

    def get(self, letter: str) -> DeadItem:
        """Return one; raise `NotFound`."""
        found = self._book.dead({"ids": [parse_job_id(letter)], "limit": 1})
        if not found:
            raise NotFound(f"{letter} is no dead letter: `kronos dead list` prints them", field="id", value=letter)
        return found[0]

    def requeue(
        self, letters: Sequence[str] = (), *, error: str | None = None, what: str | None = None
    ) -> dict[str, str]:
        """Try again: those named, or all of an `error` or `what`, at most 1,000 at once.

        Returns for each the id under which it goes on: a job keeps its own; a run gets a successor with its
        definition and input.  Raises `NotFound` when one that is named is no dead letter.
        """
        return self._book.requeue(self._chosen(letters, error, what))

    def discard(
        self, letters: Sequence[str] = (), *, reason: str, error: str | None = None, what: str | None = None
    ) -> Sequence[str]:
        """Give up for good, with a reason that is kept; return the ids."""
        if not check_text(reason, "reason").strip():
            raise InvalidInput("say why: a discarded dead letter keeps its reason", field="reason", value=reason)
        return self._book.discard(self._chosen(letters, error, what), reason)

    def _chosen(self, letters: Sequence[str], error: str | None, what: str | None) -> Sequence[str]:
        if letters:
            return [self.get(letter).id for letter in letters]
        if error is None and what is None:
            raise InvalidInput("say which: ids, an error, or a target or workflow", field="ids", value=[])
        return [each.id for each in self.list(error=error, what=what, limit=LIST_MAX)]


def _limit(value: int | None, field: str) -> int | None:
    if value is not None and (type(value) is not int or not 1 <= value <= LIMIT_MAX):
        raise InvalidInput(f"{field} {value!r}: give 1 to {LIMIT_MAX:,}, or none", field=field, value=value)
    return value
