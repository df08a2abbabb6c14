-- Every job that is no step of a run, with the failures of its attempts in their order, and how its target is listed.
SELECT j.id, j.state::text, j.target, j.input, j.attempt, j.failures, j.losses, j.output, j.failure,
       (extract(epoch FROM j.created_at) * 1000)::float8, (extract(epoch FROM j.started_at) * 1000)::float8,
       (extract(epoch FROM j.finished_at) * 1000)::float8, (extract(epoch FROM j.deadline_at) * 1000)::float8,
       (extract(epoch FROM j.expires_at) * 1000)::float8, j.keep_ms,
       j.rank = kronos.job_rank(j.due_at, j.priority),
       coalesce(f.attempts, '{}'), coalesce(f.failures, '{}'),
       t.target IS NOT NULL, CASE WHEN t.seen_at < j.created_at THEN t.arguments END
FROM kronos.jobs j
LEFT JOIN (SELECT job_id, array_agg(attempt::integer ORDER BY attempt) AS attempts, array_agg(failure ORDER BY attempt) AS failures
           FROM kronos.job_failures GROUP BY job_id) f ON f.job_id = j.id
LEFT JOIN kronos.job_targets t ON t.target = j.target
WHERE j.run_id IS NULL
ORDER BY j.id
