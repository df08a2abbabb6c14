-- Show how far attempts are.  It is shown, not recorded: a crash of the server may lose it.
INSERT INTO kronos.step_progress AS p (run_id, step, attempt, at, progress)
SELECT d.run_id, d.step, d.attempt, to_timestamp(d.at_ns / 1e9), d.progress
FROM unnest(%(runs)s::uuid[], %(steps)s::text[], %(attempts)s::smallint[], %(ats)s::bigint[], %(progresses)s::bytea[])
     AS d (run_id, step, attempt, at_ns, progress)
ORDER BY d.run_id, d.step
ON CONFLICT (run_id, step) DO UPDATE SET attempt = excluded.attempt, at = excluded.at, progress = excluded.progress
WHERE p.attempt <= excluded.attempt
