-- How far the attempts of a run are, as far as they say.
SELECT step, attempt, (extract(epoch FROM at) * 1e9)::bigint AS at_ns, progress
FROM kronos.step_progress WHERE run_id = %(run)s ORDER BY step
