-- What was given up and waits for a decision, jobs and runs, newest first.
SELECT * FROM (
    SELECT 'job' AS kind, id::text AS id, target AS what, queue, NULL AS step, attempt, failure,
           convert_from(failure, 'UTF8')::json ->> 'type' AS error,
           (extract(epoch FROM finished_at) * 1e6)::bigint * 1000 AS at
    FROM kronos.jobs WHERE state = 'dead'
    UNION ALL
    SELECT 'run', d.run_id::text, r.workflow, NULL, d.step, d.attempt, d.failure,
           convert_from(d.failure, 'UTF8')::json ->> 'type', (extract(epoch FROM d.at) * 1e6)::bigint * 1000
    FROM kronos.dead_letters d JOIN kronos.runs r ON r.id = d.run_id WHERE d.resolved_at IS NULL
) letters
WHERE (%(ids)s::text[] IS NULL OR id = ANY(%(ids)s::text[]))
  AND (%(error)s::text IS NULL OR error = %(error)s)
  AND (%(what)s::text IS NULL OR what = %(what)s)
  AND (%(queue)s::text IS NULL OR queue = %(queue)s)
ORDER BY at DESC, id DESC
LIMIT %(limit)s
