-- A page of the runs of one class, by id, each with how many commands wait for it.
SELECT r.id, r.phase::text, r.head_seq, r.head_hash, r.inbox_n, r.inbox_seen,
       (SELECT count(*) FROM kronos.run_inbox i WHERE i.run_id = r.id) AS inbox,
       r.output, r.failed_step, r.expired_at IS NOT NULL,
       CASE WHEN r.parent_run IS NULL THEN 0 ELSE r.parent_seq END
FROM kronos.runs r
WHERE r.retention_class = %(class)s AND r.id > %(after)s AND (%(only)s::uuid IS NULL OR r.id = %(only)s)
ORDER BY r.id
LIMIT %(limit)s
