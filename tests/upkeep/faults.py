"""What can be wrong with a database, planted by its superuser with the guards of history down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg

from kronos.app.fsck.chaining import GENESIS, successor

Owner = psycopg.Connection[Any]


def with_guards_down(owner, change):
    tables = [name for (name,) in owner.execute("SELECT relid::regclass::text FROM pg_partition_tree('kronos.events')")]
    for table in tables:
        owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
    change()
    for table in tables:
        owner.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only")


class Fault(NamedTuple):
    """What to plant, given a completed run and the seqs of its rows; which check must find it, at which row."""

    plant: Callable[[Owner, str, list[int]], Any]
    check: str
    row: str


def sql(statement: str, check: str, row: str) -> Fault:
    def plant(owner, run, seqs):
        cursor = owner.execute(statement.replace("RUN", f"'{run}'").replace("SEQ", str(seqs[1])))
        assert cursor.rowcount != 0, "nothing was planted"

    return Fault(plant, check, row)


def forged(owner, run, seqs):
    """Another output, and every hash after it made to fit."""
    head = GENESIS
    rows = owner.execute(
        "SELECT seq, count, attempt, at_ns, kind::text, step, body FROM kronos.events WHERE run_id = %s ORDER BY seq",
        (run,),
    ).fetchall()
    for seq, *columns, body in rows:
        new = body.replace(b'"worker":', b'"worker":1', 1) if seq == seqs[1] else body
        head = successor(head, seq, *columns, new)
        owner.execute(
            "UPDATE kronos.events SET body = %s, hash = %s WHERE run_id = %s AND seq = %s", (new, head, run, seq)
        )


def illegal(owner, run, seqs):
    """A step that completes twice, hashed as if an owner had written it, noted on the run's row."""
    last = seqs[-1]
    row = owner.execute(
        "SELECT count, attempt, at_ns, 'step_completed', step, body FROM kronos.events WHERE run_id = %s AND seq = %s",
        (run, seqs[1]),
    ).fetchone()
    owner.execute("DELETE FROM kronos.events WHERE run_id = %s AND seq = %s", (run, last))
    (head,) = owner.execute("SELECT hash FROM kronos.events WHERE run_id = %s AND seq = %s", (run, seqs[-2])).fetchone()
    seq = seqs[-2] + row[0]
    head = successor(head, seq, *row)
    owner.execute(
        "INSERT INTO kronos.events SELECT 1, %s, %s, %s, %s::kronos.event_kind, %s, %s, %s, %s, %s",
        (run, seq, row[0], row[3], row[4], row[1], row[2], row[5], head),
    )
    owner.execute("UPDATE kronos.runs SET head_seq = %s, head_hash = %s WHERE id = %s", (seq, head, run))


def swapped(owner, run, seqs):
    owner.execute(
        "UPDATE kronos.events e SET (step, at_ns, body, hash) = (o.step, o.at_ns, o.body, o.hash) FROM kronos.events o"
        " WHERE e.run_id = %(run)s AND o.run_id = e.run_id"
        " AND ((e.seq = %(a)s AND o.seq = %(b)s) OR (e.seq = %(b)s AND o.seq = %(a)s))",
        {"run": run, "a": seqs[1], "b": seqs[2]},
    )


def retired_too_early(owner, run, seqs):
    """This week's partition is noted as retired, as if its class kept nothing."""
    owner.execute("DELETE FROM kronos.events WHERE run_id = %s", (run,))
    owner.execute(
        "INSERT INTO kronos.retired_partitions"
        " SELECT 'events_standard_' || to_char(w, 'YYYYMMDD'), 1, kronos.uuid7_floor(w AT TIME ZONE 'UTC'),"
        " kronos.uuid7_floor((w + interval '7 days') AT TIME ZONE 'UTC'), kronos.now()"
        " FROM date_trunc('week', kronos.now() AT TIME ZONE 'UTC') AS w"
    )
    owner.execute("UPDATE kronos.runs SET expired_at = kronos.now() WHERE id = %s", (run,))


def without_foreign_keys(statement: str, check: str, row: str) -> Fault:
    def plant(owner, run, seqs):
        for table, name in owner.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f'"
            " AND connamespace = 'kronos'::regnamespace AND conparentid = 0"
        ).fetchall():
            owner.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        sql(statement, check, row).plant(owner, run, seqs)

    return Fault(plant, check, row)


def of_runs(change: str, which: str, check: str) -> Fault:
    """One column of rows of `runs`, with the triggers of foreign keys asleep."""

    def plant(owner, run, seqs):
        owner.execute("SET LOCAL session_replication_role = replica")
        sql(f"UPDATE kronos.runs SET {change} WHERE {which}", check, "").plant(owner, run, seqs)
        owner.execute("SET LOCAL session_replication_role = origin")

    return Fault(plant, check, "runs: RUN" if which == "id = RUN" else "runs: ")


def of_definitions(change: str) -> Fault:
    return sql(f"UPDATE kronos.definitions SET {change} WHERE workflow = 'texts'", "definition", "definitions: ")


def unreadable_fork(owner, run, seqs):
    """A wish for a fork that nobody has claimed, of words that no fork has."""
    owner.execute(
        "WITH made AS (INSERT INTO kronos.runs (definition, workflow, version, input, parent_run, parent_seq, head_seq,"
        " head_hash, changes)"
        " SELECT r.definition, r.workflow, r.version, r.input, r.id, e.seq, e.seq, e.hash, '{\"at\":1}'"
        " FROM kronos.runs r JOIN kronos.events e ON e.run_id = r.id AND e.seq = %(seq)s WHERE r.id = %(run)s"
        " RETURNING id, parent_run, head_seq, head_hash)"
        " INSERT INTO kronos.run_ancestry SELECT id, 0, parent_run, 0, head_seq, head_hash FROM made",
        {"run": run, "seq": seqs[1]},
    )


ASLEEP = "phase = 'waiting'"
SLOT = (
    "WITH s AS (INSERT INTO kronos.schedules (name, cron, zone, workflow, input, catch_up, overlap, jitter_ms)"
    " VALUES ('s', '* * * * *', 'UTC', 'failing', '{}', 'all', 'allow', 0) RETURNING id), slot AS ("
    " INSERT INTO kronos.schedule_firings (schedule_id, nominal_time, outcome, run_id, open, fired_at, epoch)"
    " SELECT s.id, r.created_at, 'started', r.id, false, r.created_at, l.epoch"
    " FROM s, kronos.leader l, kronos.runs r WHERE r.id = RUN RETURNING run_id)"
)
BLOB_OF_RUN = "(SELECT blob FROM kronos.blob_refs WHERE kind = 'run' AND owner = RUN LIMIT 1)"
FAULTS = {
    "an edited output": sql(
        "UPDATE kronos.events SET body = convert_to(replace(convert_from(body, 'UTF8'), '\"output\":', '\"output\":1'),"
        " 'UTF8') WHERE run_id = RUN AND seq = (SELECT seq FROM kronos.events WHERE run_id = RUN AND step = 'length')",
        "chain",
        "events: run RUN seq",
    ),
    "an edited time": sql(
        "UPDATE kronos.events SET at_ns = at_ns + 1 WHERE run_id = RUN AND seq = SEQ",
        "chain",
        "events: run RUN seq SEQ",
    ),
    "an edited hash": sql(
        "UPDATE kronos.events SET hash = sha256(hash) WHERE run_id = RUN AND seq = SEQ",
        "chain",
        "events: run RUN seq SEQ",
    ),
    "an unreadable body": sql(
        "UPDATE kronos.events SET body = '{' WHERE run_id = RUN AND seq = SEQ", "body", "events: run RUN seq SEQ"
    ),
    "a missing row": sql("DELETE FROM kronos.events WHERE run_id = RUN AND seq = SEQ", "seq", "events: run RUN seq"),
    "two swapped rows": Fault(swapped, "chain", "events: run RUN seq SEQ"),
    "a truncated tail": sql("DELETE FROM kronos.events WHERE run_id = RUN AND seq > SEQ", "tail", "runs: RUN"),
    "a history that is gone": sql("DELETE FROM kronos.events WHERE run_id = RUN", "tail", "runs: RUN"),
    "a history that is gone and called expired": sql(
        "WITH gone AS (DELETE FROM kronos.events WHERE run_id = RUN)"
        " UPDATE kronos.runs SET expired_at = kronos.now() WHERE id = RUN",
        "tail",
        "runs: RUN",
    ),
    "a history that is called expired and is there": sql(
        "UPDATE kronos.runs SET expired_at = kronos.now() WHERE id = RUN", "expiry", "runs: RUN"
    ),
    "a history that is gone with a partition that cannot be due": Fault(retired_too_early, "tail", "runs: RUN"),
    "a history forged as a whole": Fault(forged, "head", "events: run RUN seq"),
    "an illegal transition, hashed and noted": Fault(illegal, "transition", "events: run RUN seq"),
    "a head on the row that no event has": sql(
        "UPDATE kronos.runs SET head_seq = head_seq - 2 WHERE id = RUN", "head", "runs: RUN"
    ),
    "another phase on the row": sql("UPDATE kronos.runs SET phase = 'failed' WHERE id = RUN", "end", "runs: RUN"),
    "a run that was opened again": sql(
        "UPDATE kronos.runs SET phase = 'running', finished_at = NULL WHERE id = RUN", "end", "runs: RUN"
    ),
    "another result on the row": sql("UPDATE kronos.runs SET output = '1' WHERE id = RUN", "result", "runs: RUN"),
    "another input on the row": of_runs("input = '{\"size\":1}'", "id = RUN", "beginning"),
    "another input on a fork's row": of_runs("input = '{\"size\":1}'", "parent_run IS NOT NULL", "beginning"),
    "another workflow on the row": of_runs("workflow = 'failing'", "id = RUN", "beginning"),
    "another version on the row": of_runs("version = '2'", "id = RUN", "beginning"),
    "another version on the row of a run that has not begun": of_runs(
        "version = '2'", "phase = 'pending'", "beginning"
    ),
    "another definition on the row": of_runs(
        "definition = (SELECT id FROM kronos.definitions WHERE workflow = 'failing')", "id = RUN", "beginning"
    ),
    "another start on the row": of_runs("started_at = started_at - interval '1 hour'", "id = RUN", "beginning"),
    "a start on the row after the first event": of_runs(
        "started_at = started_at + interval '1 hour'", "id = RUN", "beginning"
    ),
    "another parent on a fork's row": of_runs(
        "parent_run = (SELECT id FROM kronos.runs WHERE phase = 'failed')", "parent_run IS NOT NULL", "beginning"
    ),
    "a parent of a run that started a child": of_runs(
        "child_of = id, child_step = 'length', child_attempt = 1", "id = RUN", "beginning"
    ),
    "a predecessor on the row": of_runs("continues = id", "id = RUN", "beginning"),
    "a limit on the row that nobody set": of_runs("timeout_ms = 1000", "id = RUN", "beginning"),
    "a limit that is gone from the row": of_runs("timeout_ms = NULL", "timeout_ms IS NOT NULL", "beginning"),
    "another creation on the row": of_runs("created_at = created_at - interval '1 hour'", "id = RUN", "beginning"),
    "a creation on the row that is later than its id": of_runs(
        "created_at = created_at + interval '1 hour'", "phase = 'pending'", "beginning"
    ),
    "an attribute on the row that no event gave": of_runs('attributes = \'{"desk":"a"}\'', "id = RUN", "attributes"),
    "another attribute on the row": of_runs("attributes = '{\"urgent\":1}'", "attributes IS NOT NULL", "attributes"),
    "attributes that are gone from the row": of_runs("attributes = NULL", "attributes IS NOT NULL", "attributes"),
    "an attribute of a run that has not begun": of_runs(
        'attributes = \'{"desk":"a"}\'', "phase = 'pending'", "attributes"
    ),
    "a successor on the row": of_runs("continued_by = gen_random_uuid()", "id = RUN", "result"),
    "a failure that is gone from the row": of_runs("failure = NULL", "phase = 'failed'", "result"),
    "another failure on the row": of_runs('failure = \'{"type":"A","message":"b"}\'', "phase = 'failed'", "result"),
    "a failure on the row of a run that completed": of_runs("failure = '{'", "id = RUN", "result"),
    "costs on the row that nobody reported": of_runs("spent = '{\"attempts\":9}'", "id = RUN", "result"),
    "another end on the row": of_runs("finished_at = finished_at + interval '1 second'", "id = RUN", "result"),
    "an end on the row that never comes": of_runs("finished_at = 'infinity'", "id = RUN", "result"),
    "a result on the row of an open run": of_runs("output = '1'", "phase = 'pending'", "result"),
    "a command that was never counted": sql(
        "INSERT INTO kronos.run_inbox (run_id, command_id, kind, body) VALUES (RUN, gen_random_uuid(), 'cancel', '{}')",
        "inbox",
        "runs: RUN",
    ),
    "a command that vanished": sql("UPDATE kronos.runs SET inbox_n = inbox_n + 1 WHERE id = RUN", "inbox", "runs: RUN"),
    "a command that says nothing": sql(
        "UPDATE kronos.run_inbox SET body = '{' WHERE id = (SELECT min(id) FROM kronos.run_inbox)",
        "command",
        "run_inbox: ",
    ),
    "another head where a fork begins": sql(
        "UPDATE kronos.run_ancestry SET upto_hash = sha256(upto_hash)", "fork", "run_ancestry: "
    ),
    "a fork that has forgotten what it stands on": sql("DELETE FROM kronos.run_ancestry", "fork", "run_ancestry: "),
    "a fork whose own events begin elsewhere": sql(
        "UPDATE kronos.runs SET parent_seq = parent_seq - 1 WHERE parent_run IS NOT NULL", "fork", "run_ancestry: "
    ),
    "an owner that never was": sql(
        "UPDATE kronos.runs SET owner = 999999 WHERE id = (SELECT id FROM kronos.runs WHERE phase = 'pending' LIMIT 1)",
        "owner",
        "runs: ",
    ),
    "a job of a worker that never was": sql(
        "INSERT INTO kronos.jobs (queue, target, input, priority, rank, state, due_at, worker, keep_ms)"
        " VALUES ('q', 't', '{}', 5, 1, 'running', kronos.now(), 999999, 1000)",
        "job",
        "jobs: ",
    ),
    "a job for a run that never was": sql(
        "INSERT INTO kronos.jobs (queue, target, input, priority, rank, due_at, keep_ms, run_id)"
        " VALUES ('q', 't', '{}', 5, 1, kronos.now(), 1000, gen_random_uuid())",
        "job",
        "jobs: ",
    ),
    "a leader's row that is lost": sql("DELETE FROM kronos.leader", "leader", "leader: "),
    "a lead that outlasts its lease": sql(
        "UPDATE kronos.leader SET until = kronos.now() + interval '10 years'", "leader", "leader: epoch"
    ),
    "an epoch that was before": sql(
        f"{SLOT} UPDATE kronos.leader SET epoch = epoch - 1 WHERE EXISTS (SELECT FROM slot)", "leader", "leader: epoch"
    ),
    "a slot whose run is of another workflow": sql(
        f"{SLOT} SELECT * FROM slot", "schedule", "schedule_firings: schedule "
    ),
    "a slot whose run is lost": sql(
        "WITH s AS (INSERT INTO kronos.schedules (name, cron, zone, workflow, input, catch_up, overlap, jitter_ms)"
        " VALUES ('s', '* * * * *', 'UTC', 'texts', '{}', 'all', 'allow', 0) RETURNING id)"
        " INSERT INTO kronos.schedule_firings (schedule_id, nominal_time, outcome, run_id, open)"
        " SELECT id, kronos.now(), 'started', gen_random_uuid(), false FROM s",
        "schedule",
        "schedule_firings: ",
    ),
    "an archive that nothing keeps": sql(
        "INSERT INTO kronos.archives (run_id, seq, blob) SELECT RUN, 1, hash FROM kronos.blobs LIMIT 1",
        "archive",
        "archives: RUN",
    ),
    "an incarnation without a heartbeat": sql(
        "INSERT INTO kronos.incarnations (name, host, pid, lease_ms) VALUES ('ghost', 'h', 1, 1000)",
        "heartbeat",
        "incarnations: ",
    ),
    "a flush of nobody": sql(
        "INSERT INTO kronos.flushes VALUES (999999, 7)", "flush", "flushes: incarnation 999999 number 7"
    ),
    "a dead letter of a living run": sql(
        "INSERT INTO kronos.dead_letters (run_id, attempt, failure) VALUES (RUN, 1, '{}')",
        "dead_letter",
        "dead_letters: RUN",
    ),
    "a blob of other bytes": sql(
        f"UPDATE kronos.blobs SET data = (SELECT data FROM kronos.blobs WHERE hash <> {BLOB_OF_RUN} LIMIT 1)"
        f" WHERE hash = {BLOB_OF_RUN}",
        "blob",
        "blobs: ",
    ),
    "a blob whose bytes are damaged": sql(
        f"UPDATE kronos.blobs SET data = substr(data, 1, length(data) - 3) WHERE hash = {BLOB_OF_RUN}",
        "blob",
        "blobs: ",
    ),
    "a blob of another size": sql(
        f"UPDATE kronos.blobs SET size = size + 1 WHERE hash = {BLOB_OF_RUN}", "blob", "blobs: "
    ),
    "a blob that is gone": sql(f"DELETE FROM kronos.blobs WHERE hash = {BLOB_OF_RUN}", "blob_missing", "blob"),
    "a reference that is gone": sql(
        "DELETE FROM kronos.blob_refs WHERE kind = 'run' AND owner = RUN", "reference", "blobs: "
    ),
    "a journal with a hole": sql(
        "UPDATE kronos.journal_segments SET number = number + 1", "segment", "journal_segments: run "
    ),
    "a journal whose chain was edited": sql(
        "UPDATE kronos.journal_segments SET core_chain = sha256(core_chain)", "segment", "journal_segments: run "
    ),
    "a journal's blob that nothing keeps": sql(
        "DELETE FROM kronos.blob_refs WHERE kind = 'journal'", "reference", "blobs: "
    ),
    "a checkpoint that is gone": sql(
        "INSERT INTO kronos.checkpoints SELECT run_id, step, attempt, 5, sha256('gone')"
        " FROM kronos.journal_segments LIMIT 1",
        "blob_missing",
        "blobs: ",
    ),
    "a definition of other content": sql(
        "UPDATE kronos.definitions SET version = '2' WHERE workflow = 'texts'", "definition", "definitions: "
    ),
    "a definition whose source is gone": sql(
        "DELETE FROM kronos.blob_refs WHERE kind = 'definition'", "reference", "blobs: "
    ),
    "a dataset that names another's chunks": sql(
        "UPDATE kronos.datasets SET id = encode(sha256('other'), 'hex')", "dataset", "datasets: walk@"
    ),
    "events without a run": without_foreign_keys("DELETE FROM kronos.runs WHERE id = RUN", "run", "events: run RUN"),
    "a run of another class": without_foreign_keys(
        "WITH c AS (INSERT INTO kronos.retention_classes (id, name) VALUES (99, 'other') RETURNING id)"
        " UPDATE kronos.runs SET retention_class = c.id FROM c WHERE runs.id = RUN",
        "class",
        "events: run RUN",
    ),
    "a trigger that is gone": sql(
        "DO $$ BEGIN EXECUTE 'DROP TRIGGER append_only_truncate ON kronos.events_standard'; END $$",
        "trigger",
        "pg_trigger: append_only_truncate on kronos.events_standard",
    ),
    "a trigger that sleeps": sql(
        "ALTER TABLE kronos.events ENABLE TRIGGER append_only", "trigger", "pg_trigger: append_only on kronos.events"
    ),
    "a guard that guards nothing": sql(
        "CREATE OR REPLACE FUNCTION kronos.refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NEW; END $$",
        "trigger",
        "pg_proc: kronos.refuse_change",
    ),
    "a right to change history": sql(
        "GRANT UPDATE ON kronos.events TO kronos_runtime", "rights", "pg_class: kronos.events"
    ),
    "a run that waits and is called pending": of_runs("phase = 'pending'", ASLEEP, "claim"),
    "a run that waits and is called running": of_runs("phase = 'running'", ASLEEP, "claim"),
    "a pending run that is called waiting": of_runs(
        "phase = 'waiting', wake_at = 'infinity', claims = 1, started_at = created_at", "phase = 'pending'", "claim"
    ),
    "a pending run that is called running": of_runs("phase = 'running'", "phase = 'pending'", "claim"),
    "a run that waits and is called pending and unclaimed": of_runs(
        "phase = 'pending', claims = 0, started_at = NULL", ASLEEP, "claim"
    ),
    "a run that waits and that nothing wakes": of_runs("wake_at = NULL", ASLEEP, "claim"),
    "a run that oversleeps": of_runs("wake_at = wake_at + interval '5 years'", ASLEEP, "claim"),
    "a run that sleeps for ever beside its timer": of_runs("wake_at = 'infinity'", ASLEEP, "claim"),
    "a run that sleeps through a command": of_runs("wake_at = 'infinity'", "phase = 'pending'", "claim"),
    "a run that waits and has an owner": of_runs("owner = (SELECT min(id) FROM kronos.incarnations)", ASLEEP, "claim"),
    "a run that completed and was never claimed": of_runs("claims = 0", "id = RUN", "claim"),
    "a takeover after the last event": of_runs("takeover_seq = 99999", ASLEEP, "claim"),
    "a place in the queue that is another's": of_runs("rank = rank - 1000000000", "phase = 'pending'", "claim"),
    "an owner that was lost and never was": of_runs("lost_owner = 999999", "id = RUN", "claim"),
    "another attempt on a child's row": of_runs("child_attempt = 7", "child_of IS NOT NULL", "beginning"),
    "another step on a child's row": of_runs("child_step = 'length'", "child_of IS NOT NULL", "beginning"),
    "a successor of a run that has none": of_runs(
        "continues = (SELECT id FROM kronos.runs WHERE phase = 'failed')", "phase = 'pending'", "beginning"
    ),
    "other changes on a fork's row": of_runs("changes = '{}'", "parent_run IS NOT NULL", "beginning"),
    "changes that are gone from a fork's row": of_runs("changes = NULL", "parent_run IS NOT NULL", "beginning"),
    "changes of a run that is no fork": of_runs("changes = '{}'", "phase = 'pending'", "beginning"),
    "changes that cannot be read, of a fork that has not begun": Fault(unreadable_fork, "beginning", "runs: "),
    "a reference of a run that never was": sql(
        "INSERT INTO kronos.blob_refs SELECT hash, 'run', gen_random_uuid()::text FROM kronos.blobs LIMIT 1",
        "stray",
        "blob_refs: ",
    ),
    "a reference of a kind that is none": sql(
        "INSERT INTO kronos.blob_refs SELECT hash, 'bogus', RUN FROM kronos.blobs LIMIT 1", "stray", "blob_refs: "
    ),
    "a definition of another input": of_definitions("input_schema = '{}'"),
    "a definition of another class": of_definitions("retention = 'brief'"),
    "a definition that has forgotten its sources": of_definitions("sources = '{}'"),
    "a definition of another module": of_definitions(
        "sources = convert_to(replace(convert_from(sources, 'UTF8'), '[\"', '[\"x'), 'UTF8')"
    ),
    "a definition that was made nowhere": of_definitions("environment = '{}'"),
    "a definition of the future": of_definitions("created_at = created_at + interval '20 years'"),
    "a definition whose graph is no graph": of_definitions("graph = '[]'"),
    "classes that are gone": without_foreign_keys(
        "DELETE FROM kronos.retention_classes", "class", "retention_classes: standard"
    ),
    "runs whose class is gone": without_foreign_keys("DELETE FROM kronos.retention_classes", "class", "runs: RUN"),
    "a class of another name": sql(
        "UPDATE kronos.retention_classes SET name = 'other'", "class", "pg_class: kronos.events_standard"
    ),
    "a version that no migration made": sql(
        "UPDATE kronos.schema_version SET version = version + 1", "schema", "schema_version: "
    ),
    "a schema that no code is new enough for": sql(
        "UPDATE kronos.schema_version SET min_code = version + 1", "schema", "schema_version: "
    ),
    "a schema of no version": sql("DELETE FROM kronos.schema_version", "schema", "schema_version: "),
    "a right of everybody": sql("GRANT UPDATE ON kronos.runs TO public", "rights", "pg_class: kronos.runs"),
    "a right of everybody to one column": sql(
        "GRANT UPDATE (phase) ON kronos.runs TO public", "rights", "pg_class: kronos.runs"
    ),
}
