-- Runs that were given up after repeated takeovers; one whose end was refused just now is not.
INSERT INTO kronos.dead_letters (run_id, step, attempt, failure)
SELECT d.* FROM unnest(%(runs)s::uuid[], %(steps)s::text[], %(attempts)s::smallint[], %(failures)s::bytea[])
    AS d (run, step, attempt, failure)
WHERE EXISTS (SELECT FROM kronos.runs r WHERE r.id = d.run AND r.phase = 'dead')
ON CONFLICT (run_id) DO NOTHING
