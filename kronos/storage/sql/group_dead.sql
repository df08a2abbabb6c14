-- What was given up, counted by what it was and which error it met last.
SELECT kind, what, error, count(*), max(at) FROM (
    SELECT 'job' AS kind, target AS what, convert_from(failure, 'UTF8')::json ->> 'type' AS error,
           (extract(epoch FROM finished_at) * 1e6)::bigint * 1000 AS at
    FROM kronos.jobs WHERE state = 'dead'
    UNION ALL
    SELECT 'run', r.workflow, convert_from(d.failure, 'UTF8')::json ->> 'type', (extract(epoch FROM d.at) * 1e6)::bigint * 1000
    FROM kronos.dead_letters d JOIN kronos.runs r ON r.id = d.run_id WHERE d.resolved_at IS NULL
) letters
GROUP BY kind, what, error ORDER BY 4 DESC, 1, 2, 3 LIMIT 1000
