"""The engine broken on purpose, one line each: what the simulation must find.

Rule: a mutation replaces a production statement by its name as it is sent, or one decision of the engine; production
      code knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch

import msgspec

from kronos.engine.owner import OwnerLoop
from kronos.engine.runlog import RunLog
from kronos.storage.statements import statement


@dataclass(frozen=True)
class Mutation:
    """`texts` are sent instead of production statements; `patched` changes a decision in a world while it is entered.
    `aims`, `kinds`, `prelude` and `needs` say which faults, and which kind of world, bring it to light.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    patched: Callable[[Any], AbstractContextManager[object]] = nullcontext
    aims: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    needs: str = ""
    prelude: tuple[str, str] | None = None


def _without(name: str, part: str, instead: str = "") -> dict[str, str]:
    text = statement(name)
    assert part in text, f"{name}.sql reads otherwise now"
    return {name: text.replace(part, instead)}


@contextmanager
def _successors_before_commit(_world: Any) -> Iterator[None]:
    touch = OwnerLoop._touch

    def hasty(loop: Any, run: Any) -> None:
        ready, run.log.buffer.after_commit = run.log.buffer.after_commit, []
        touch(loop, run)
        loop._hand_out(ready)

    with patch.object(OwnerLoop, "_touch", hasty):
        yield


@contextmanager
def _sequence_by_max(world: Any) -> Iterator[None]:
    append = RunLog.append

    def counting(log: Any, *args: Any, **options: Any) -> None:
        row = world.arena.observer.connection.execute(
            "SELECT coalesce(max(seq), 0) FROM kronos.events WHERE run_id = %s", (log.uuid,)
        ).fetchone()
        log.state = msgspec.structs.replace(log.state, seq=row[0])
        append(log, *args, **options)

    with patch.object(RunLog, "append", counting):
        yield


MUTATIONS: Final = {
    "no fence": Mutation(
        _without("fence", "pg_advisory_xact_lock_shared(7305, %(incarnation)s::integer)", "1"),
        aims=("copy_events", "COMMIT flush"),
        kinds=("pause",),
    ),
    "successors before commit": Mutation(patched=_successors_before_commit),
    "claim without SKIP LOCKED": Mutation(_without("claim_runs", "FOR UPDATE SKIP LOCKED"), aims=("COMMIT intake",)),
    "sequence by max + 1": Mutation(patched=_sequence_by_max),
    "completion ignoring inbox_n": Mutation(_without("finish_runs", " AND r.inbox_n = d.seen")),
    "blob sweep without grace": Mutation(
        _without("sweep_blobs", "b.touched < kronos.now() - interval '1 hour'", "true"), needs="sweep"
    ),
    "blind resend after COMMIT": Mutation(
        _without("find_flush", "WHERE", "WHERE false AND"), aims=("COMMIT flush",), kinds=("drop_after", "late")
    ),
    "job begun after its deadline": Mutation(
        _without("claim_jobs", "AND (deadline_at IS NULL OR deadline_at > (SELECT kronos.now()))"),
        aims=("COMMIT jobs", "expire_jobs"),
        kinds=("pause",),
        needs="jobs",
    ),
    "jobs of the living given away": Mutation(
        _without("release_lost_jobs", "w.dead_at IS NOT NULL AND "), aims=("finish_jobs",), needs="jobs"
    ),
    "offers outlive their outcome": Mutation(
        _without("withdraw_step_jobs", "WHERE idempotency_key", "WHERE false AND idempotency_key"),
        aims=("insert_step_jobs",),
        kinds=("pause",),
        prelude=("send_outcomes", "kill"),
        needs="lending",
    ),
    "leader without epoch": Mutation(
        {"hold_epoch": "SELECT 1 WHERE %(epoch)s > 0 AND %(node)s > 0"},
        aims=("lock_due_schedules", "fire_schedule", "advance_schedule"),
        kinds=("pause",),
        needs="leader",
    ),
}
"""Each promise that a line of SQL, or its use, keeps."""
