-- End a job that waits; ask for the end of one that runs.  Returns its state, nothing where it has ended already.
UPDATE kronos.jobs
SET state = CASE WHEN state = 'pending' THEN 'cancelled' ELSE state END,
    cancel_reason = %(reason)s,
    finished_at = CASE WHEN state = 'pending' THEN kronos.now() END,
    expires_at = CASE WHEN state = 'pending' THEN kronos.now() + keep_ms * interval '1 millisecond' END
WHERE id = %(job)s AND run_id IS NULL AND state IN ('pending', 'running')
RETURNING state::text
