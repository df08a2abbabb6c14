-- The stored events of some runs, each in order: what a takeover folds.
SELECT run_id, seq, count, kind::text, step, attempt, at_ns, body, hash
FROM kronos.events
WHERE retention_class = %(retention_class)s AND run_id = ANY(%(runs)s::uuid[])
ORDER BY run_id, seq
