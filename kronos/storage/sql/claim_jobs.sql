-- Take up to `limit` due jobs of a queue without keys and limits, best rank first.
UPDATE kronos.jobs j
SET state = 'running', worker = %(incarnation)s, attempt = j.attempt + 1, started_at = kronos.now()
FROM (
    SELECT id FROM kronos.jobs
    WHERE state = 'pending' AND queue = %(queue)s AND key = ''
      AND rank BETWEEN %(low_water)s AND (SELECT kronos.job_rank(kronos.now(), 1::smallint))
      AND due_at <= (SELECT kronos.now()) AND (deadline_at IS NULL OR deadline_at > (SELECT kronos.now()))
      AND target = ANY(%(targets)s::text[])
    ORDER BY rank
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) chosen
WHERE j.id = chosen.id
RETURNING j.id::text, j.target, j.input, j.attempt, j.failures, j.losses, j.rank
