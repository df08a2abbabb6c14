-- What was given up and waits for a decision, jobs and runs, newest first.
-- The error is what stands in {"type":"…", as bytes: a failure that cannot be read has none, and ends no list.
SELECT * FROM (
    SELECT 'job' AS kind, id::text AS id, target AS what, queue, NULL AS step, attempt, failure,
           substring(failure FROM 10 FOR greatest(0, position('"'::bytea IN substring(failure FROM 10)) - 1)) AS error,
           (extract(epoch FROM finished_at) * 1e6)::bigint * 1000 AS at
    FROM kronos.jobs WHERE state = 'dead'
    UNION ALL
    SELECT 'run', d.run_id::text, r.workflow, NULL, d.step, d.attempt, d.failure,
           substring(d.failure FROM 10 FOR greatest(0, position('"'::bytea IN substring(d.failure FROM 10)) - 1)), (extract(epoch FROM d.at) * 1e6)::bigint * 1000
    FROM kronos.dead_letters d JOIN kronos.runs r ON r.id = d.run_id WHERE d.resolved_at IS NULL
) letters
WHERE (%(ids)s::text[] IS NULL OR id = ANY(%(ids)s::text[]))
  AND (%(error)s::bytea IS NULL OR error = %(error)s::bytea)
  AND (%(what)s::text IS NULL OR what = %(what)s)
  AND (%(queue)s::text IS NULL OR queue = %(queue)s)
ORDER BY at DESC, id DESC
LIMIT %(limit)s
