-- Runs that were given up after repeated takeovers.
INSERT INTO kronos.dead_letters (run_id, step, attempt, failure)
SELECT * FROM unnest(%(runs)s::uuid[], %(steps)s::text[], %(attempts)s::smallint[], %(failures)s::bytea[])
ON CONFLICT (run_id) DO NOTHING
