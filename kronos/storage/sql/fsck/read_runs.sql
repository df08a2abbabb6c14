-- A page of the runs of one class, by id, each with how many commands wait for it, what its definition is called, and
-- the adoption and attributes that are not yet on record.  Times are ns: numeric, for a forged one may be infinite.
-- An expiry is founded on a partition of the run's class and week that retention began to retire once it could be due,
-- and before the run expired; until that partition is out of the log, the run's events still stand there.
WITH retired AS MATERIALIZED (
    SELECT p.low, p.high, p.began_at, p.detached_at,
           EXISTS (SELECT FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid
                   WHERE k.relname = p.leaf AND k.relnamespace = 'kronos'::regnamespace AND NOT i.inhdetachpending) AS stands
    FROM kronos.retired_partitions p
    JOIN kronos.retention_classes c ON c.id = p.retention_class AND p.leaf ~ ('^events_' || c.name || '_[0-9]{8}$')
    CROSS JOIN LATERAL (SELECT to_date(right(p.leaf, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' AS week) w
    WHERE c.id = %(class)s AND p.low = kronos.uuid7_floor(w.week) AND p.high = kronos.uuid7_floor(w.week + interval '7 days')
      AND p.began_at >= w.week + interval '14 days'
)
SELECT r.id, r.phase::text, r.head_seq, r.head_hash, r.inbox_n, r.inbox_seen,
       (SELECT count(*) FROM kronos.run_inbox i WHERE i.run_id = r.id) AS inbox,
       r.output, r.failed_step,
       CASE WHEN r.expired_at IS NOT NULL THEN coalesce(
           (SELECT CASE WHEN p.stands THEN 'going' ELSE 'gone' END FROM retired p
            WHERE r.id >= p.low AND r.id < p.high AND r.finished_at <= r.expired_at
              AND r.expired_at BETWEEN p.began_at - interval '1 minute' AND coalesce(p.detached_at, kronos.now()) + interval '1 minute'
            LIMIT 1), 'unfounded') END,
       CASE WHEN r.parent_run IS NULL THEN 0 ELSE r.parent_seq END,
       r.workflow, r.version, r.definition, sha256(r.input), r.parent_run, r.child_of, r.child_step, r.continues,
       extract(epoch FROM r.created_at) * 1000000000, extract(epoch FROM r.started_at) * 1000000000,
       extract(epoch FROM r.finished_at) * 1000000000, r.failure, r.spent, r.continued_by, d.workflow, d.version,
       (SELECT i.body FROM kronos.run_inbox i WHERE i.run_id = r.id AND i.kind = 'adopt' ORDER BY i.id DESC LIMIT 1),
       r.timeout_ms, convert_to(r.attributes::text, 'UTF8'),
       (SELECT i.body FROM kronos.run_inbox i WHERE i.run_id = r.id AND i.kind = 'attribute' ORDER BY i.id LIMIT 1),
       r.child_attempt, sha256(r.changes), CASE WHEN r.phase = 'pending' THEN r.changes END,
       extract(epoch FROM r.wake_at) * 1000000000, r.takeover_seq
FROM kronos.runs r LEFT JOIN kronos.definitions d ON d.id = r.definition
WHERE r.retention_class = %(class)s AND r.id > %(after)s AND (%(only)s::uuid IS NULL OR r.id = %(only)s)
ORDER BY r.id
LIMIT %(limit)s
