-- Keep a cached trading state.
INSERT INTO kronos.checkpoints (run_id, step, attempt, row, blob) VALUES (%(run)s, %(step)s, %(attempt)s, %(row)s, %(blob)s)
ON CONFLICT (run_id, step, attempt, row) DO UPDATE SET blob = excluded.blob
