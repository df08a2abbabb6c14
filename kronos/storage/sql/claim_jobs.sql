-- Take up to `limit` due jobs without a key, best rank first, unless the queue is paused or has limits.  By ctid: a row that
-- changed between the look and the lock is not found under it, and is taken the next time.
UPDATE kronos.jobs j
SET state = 'running', worker = %(incarnation)s, attempt = j.attempt + 1, started_at = (SELECT kronos.now())
WHERE j.ctid = ANY(ARRAY(
    SELECT ctid FROM kronos.jobs
    WHERE state = 'pending' AND queue = %(queue)s AND key = ''
      AND rank BETWEEN %(low_water)s AND (SELECT kronos.job_rank(kronos.now(), 1::smallint))
      AND due_at <= (SELECT kronos.now()) AND (deadline_at IS NULL OR deadline_at > (SELECT kronos.now()))
      AND target = ANY(%(targets)s::text[])
      AND NOT EXISTS (
          SELECT FROM kronos.queues q
          WHERE q.name = %(queue)s
            AND (q.paused_at, q.concurrency, q.key_concurrency, q.rate) IS DISTINCT FROM (NULL, NULL, NULL, NULL)
      )
    ORDER BY rank
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
))
RETURNING j.id::text, j.target, j.input, j.attempt, j.failures, j.losses, j.rank, j.run_id::text
