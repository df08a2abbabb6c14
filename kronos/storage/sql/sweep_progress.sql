-- Take away what dead workers have left of runs that are over.
DELETE FROM kronos.step_progress p USING kronos.runs r WHERE r.id = p.run_id AND r.finished_at IS NOT NULL
