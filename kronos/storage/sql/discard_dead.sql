-- Give up for good, with the reason, what was given up.
WITH jobs AS (
    UPDATE kronos.jobs j
    SET state = 'discarded', discard_reason = %(reason)s, expires_at = kronos.now() + j.keep_ms * interval '1 millisecond'
    WHERE j.id = ANY(%(ids)s::uuid[]) AND j.state = 'dead'
    RETURNING j.id::text AS id
), runs AS (
    UPDATE kronos.dead_letters d SET resolved_at = kronos.now(), resolution = 'discarded', reason = %(reason)s
    WHERE d.run_id = ANY(%(ids)s::uuid[]) AND d.resolved_at IS NULL
    RETURNING d.run_id::text AS id
)
SELECT id FROM jobs UNION ALL SELECT id FROM runs
