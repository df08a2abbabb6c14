-- Take away what was shown of attempts that have ended.
DELETE FROM kronos.step_progress p
USING unnest(%(runs)s::uuid[], %(steps)s::text[], %(attempts)s::smallint[]) AS d (run_id, step, attempt)
WHERE p.run_id = d.run_id AND p.step = d.step AND p.attempt = d.attempt
