"""At which statements faults strike, what must go wrong before they are reached, and which are out of reach, and why.

Rule: each file of `kronos/storage/sql` is struck over the seeds of CI, or is listed here with the reason.
"""

from __future__ import annotations

from typing import Final

from kronos.storage.statements import statement_names

__all__ = ["AIMS", "EMPLOYED", "LED", "NEEDED", "OUT_OF_REACH", "PRELUDES", "SWEPT"]

LED: Final = frozenset(
    {
        *(
            "add_schedule",
            "advance_schedule",
            "close_firings",
            "end_leader",
            "find_newest_definition",
            "find_next_slot",
        ),
        *("fire_schedule", "hold_epoch", "join_nodes", "lock_due_schedules", "lock_leadership", "read_leader"),
        *("renew_leadership", "renew_node", "take_leadership"),
    }
)
"""Statements that need candidates for the lead, and a schedule."""

SWEPT: Final = frozenset({"sweep_blobs", "put_blobs", "refer_blobs", "get_blob"})
"""Statements that need large values, and somebody who sweeps them."""

EMPLOYED: Final = frozenset(
    {
        *("cancel_job", "claim_jobs", "claim_jobs_fairly", "expire_jobs", "fail_jobs", "find_cancelled_jobs"),
        *("find_keyed_job", "find_lanes", "find_next_due", "find_shared_definitions", "finish_jobs"),
        *("free_idempotency_key", "insert_jobs", "insert_step_jobs", "lock_queue", "purge_jobs", "release_jobs"),
        *("release_lost_jobs", "send_outcomes", "sweep_step_jobs", "withdraw_step_jobs"),
        "COMMIT jobs",
    }
)
"""Statements that need jobs, and workers that take them."""

NEEDED: Final = {
    "insert_step_jobs": ("lending",),
    "send_outcomes": ("lending",),
    "withdraw_step_jobs": ("lending",),
    "delete_inbox": ("asking",),
    "load_events": ("chain", "diamond", "placing"),
    "note_heads": ("asking",),
    "park_runs": ("napping", "asking"),
    "read_command": ("asking",),
    "read_inbox_of": ("napping", "asking"),
    "recall_steps": ("chain", "diamond", "placing"),
    "send_to_inbox": ("asking",),
    "start_children": ("parenting",),
    "tell_parents": ("parenting",),
}
"""Statements that some workflows alone bring about."""

_DEATH: Final = ("COMMIT flush", "kill")
_NO_ANSWER: Final = ("COMMIT flush", "drop_after")
PRELUDES: Final[dict[str, tuple[str, str] | tuple[str, str, int]]] = {
    "end_backends": ("copy_events", "kill_late"),
    "end_leader": ("renew_leadership", "pause_long"),
    "fence_exclusive": _DEATH,
    "find_backend": _NO_ANSWER,
    "find_flush": _NO_ANSWER,
    "find_kept_runs": _NO_ANSWER,
    "find_open_runs": _NO_ANSWER,
    "get_blob": ("copy_events", "kill_after", 3),
    "load_events": _DEATH,
    "mark_dead": _DEATH,
    "recall_steps": _DEATH,
    "record_takeovers": _DEATH,
    "release_jobs": ("find_lanes", "drop"),
    "retire_incarnation": ("COMMIT flush", "pause_long"),
    "withdraw_step_jobs": _DEATH,
}
"""What must happen first: (statement, kind of fault), and at which time it is sent, if not at the first."""

_REASONS: Final = {
    "read by pages, tools and the doctor, outside of what the engine does": """
        count_jobs count_runs find_archives find_datasets find_definitions list_dead list_definitions_in_use
        list_firings list_job_failures list_jobs list_nodes list_quarantine list_queue_keys list_queues list_schedules
        list_targets name_definitions read_checkpoints read_events read_family read_head read_segments group_dead
        read_progress read_scopes find_target""",
    "recordings of trading steps and market data: no simulated step makes any": """
        add_checkpoint add_dataset add_segment delete_checkpoints hold_back settle_quarantine""",
    "what is said of queues and dead jobs by hand, by an operator": """
        discard_dead limit_queue pause_queue requeue_dead_jobs requeue_dead_runs resume_queue""",
    "at the start of a program that serves targets, before it asks for anything": "register_targets",
    "forks, successors, attributes, steps in transactions and adoption have no simulated workflow yet": """
        add_ancestry adopt_run cancel_children check_alive_in_step find_first_facts find_step_outcome fork_run
        lock_families lock_parent read_claims read_outcomes send_step_outcome send_to_inboxes set_attributes
        start_run_with_attributes start_successors""",
    "signs of life of long steps: simulated steps give none": "forget_progress record_progress sweep_progress",
    "done by hand, by an operator": "delete_schedule lock_schedule pause_schedule resume_schedule",
    "at most once an hour, a minute or a thousand flushes: longer than a history": """
        ensure_partitions forget_flushes forget_nodes""",
    "a slot that is missed or whose last run is open: the simulated schedule has one slot": """
        decline_slot find_open_firings""",
    "on leaving in order: simulated processes die": "leave_nodes release_runs resign_leadership",
    "three deaths of one run's workers in a row: tests/durability has them": "insert_dead_letters",
    "a history that cannot be read: tests/engine damages one": "put_aside",
}
OUT_OF_REACH: Final = {name: reason for reason, names in _REASONS.items() for name in names.split()}

AIMS: Final = (
    *(name for name in statement_names() if name not in OUT_OF_REACH),
    *("COMMIT flush", "COMMIT intake", "COMMIT client", "COMMIT heartbeat", "COMMIT jobs"),
)
"""What the first fault of a seed aims at."""
