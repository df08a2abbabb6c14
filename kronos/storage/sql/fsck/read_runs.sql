-- A page of the runs of one class, by id, each with how many commands wait for it, what its definition is called, and
-- the adoption and attributes that are not yet on record.  Times are ns: numeric, for a forged one may be infinite.
SELECT r.id, r.phase::text, r.head_seq, r.head_hash, r.inbox_n, r.inbox_seen,
       (SELECT count(*) FROM kronos.run_inbox i WHERE i.run_id = r.id) AS inbox,
       r.output, r.failed_step, r.expired_at IS NOT NULL,
       CASE WHEN r.parent_run IS NULL THEN 0 ELSE r.parent_seq END,
       r.workflow, r.version, r.definition, sha256(r.input), r.parent_run, r.child_of, r.child_step, r.continues,
       extract(epoch FROM r.created_at) * 1000000000, extract(epoch FROM r.started_at) * 1000000000,
       extract(epoch FROM r.finished_at) * 1000000000, r.failure, r.spent, r.continued_by, d.workflow, d.version,
       (SELECT i.body FROM kronos.run_inbox i WHERE i.run_id = r.id AND i.kind = 'adopt' ORDER BY i.id DESC LIMIT 1),
       r.timeout_ms, convert_to(r.attributes::text, 'UTF8'),
       (SELECT i.body FROM kronos.run_inbox i WHERE i.run_id = r.id AND i.kind = 'attribute' ORDER BY i.id LIMIT 1)
FROM kronos.runs r LEFT JOIN kronos.definitions d ON d.id = r.definition
WHERE r.retention_class = %(class)s AND r.id > %(after)s AND (%(only)s::uuid IS NULL OR r.id = %(only)s)
ORDER BY r.id
LIMIT %(limit)s
