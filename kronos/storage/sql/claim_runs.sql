-- Make this incarnation the owner of up to `limit` open runs that nobody owns, oldest rank first.
UPDATE kronos.runs r
SET owner = %(incarnation)s, claims = r.claims + 1, phase = 'running', wake_at = NULL,
    started_at = coalesce(r.started_at, kronos.now())
FROM (
    SELECT id FROM kronos.runs
    WHERE owner IS NULL AND finished_at IS NULL AND rank >= %(low_water)s
      AND definition = ANY(%(definitions)s::text[]) AND (wake_at IS NULL OR wake_at <= kronos.now())
    ORDER BY rank
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) chosen
WHERE r.id = chosen.id
RETURNING r.id, r.retention_class, r.definition, r.workflow, r.version, r.input, r.rank, r.claims, r.lost_owner,
          r.takeovers, r.takeover_seq, r.inbox_seen, r.timeout_ms,
          (extract(epoch FROM r.created_at) * 1e9)::bigint AS created_ns, r.inbox_n
