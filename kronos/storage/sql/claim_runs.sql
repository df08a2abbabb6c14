-- Make this incarnation the owner of up to `limit` open runs that nobody owns: those whose time has come, then those
-- that are ready, oldest rank first.  (A sub-select makes of the volatile clock one value that the index is asked for.)
UPDATE kronos.runs r
SET owner = %(incarnation)s, claims = r.claims + 1, phase = 'running', wake_at = NULL,
    started_at = coalesce(r.started_at, kronos.now())
FROM (
    SELECT id FROM (
        SELECT id FROM kronos.runs
        WHERE owner IS NULL AND finished_at IS NULL AND wake_at <= (SELECT kronos.now())
          AND definition = ANY(%(definitions)s::text[])
        ORDER BY wake_at
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) due
    UNION ALL
    SELECT id FROM (
        SELECT id FROM kronos.runs
        WHERE owner IS NULL AND finished_at IS NULL AND wake_at IS NULL AND rank >= %(low_water)s
          AND definition = ANY(%(definitions)s::text[])
        ORDER BY rank
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) ready
    LIMIT %(limit)s
) chosen
WHERE r.id = chosen.id
RETURNING r.id, r.retention_class, r.definition, r.workflow, r.version, r.input, r.rank, r.claims, r.lost_owner,
          r.takeovers, r.takeover_seq, r.inbox_seen, r.timeout_ms,
          (extract(epoch FROM r.created_at) * 1e9)::bigint AS created_ns, r.inbox_n,
          r.parent_run, coalesce(r.parent_seq, 0), r.changes, r.child_of, r.child_step, coalesce(r.child_attempt, 0), r.continues
