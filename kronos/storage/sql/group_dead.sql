-- What was given up, counted by what it was and which error it met last; the error as in `list_dead`.
SELECT kind, what, error, count(*), max(at) FROM (
    SELECT 'job' AS kind, target AS what, substring(failure FROM 10 FOR greatest(0, position('"'::bytea IN substring(failure FROM 10)) - 1)) AS error,
           (extract(epoch FROM finished_at) * 1e6)::bigint * 1000 AS at
    FROM kronos.jobs WHERE state = 'dead'
    UNION ALL
    SELECT 'run', r.workflow, substring(d.failure FROM 10 FOR greatest(0, position('"'::bytea IN substring(d.failure FROM 10)) - 1)), (extract(epoch FROM d.at) * 1e6)::bigint * 1000
    FROM kronos.dead_letters d JOIN kronos.runs r ON r.id = d.run_id WHERE d.resolved_at IS NULL
) letters
GROUP BY kind, what, error ORDER BY 4 DESC, 1, 2, 3 LIMIT 1000
