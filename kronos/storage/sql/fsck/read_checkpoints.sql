-- Cached trading states; of all runs, or of one.
SELECT run_id, step, attempt, row, blob
FROM kronos.checkpoints
WHERE %(only)s::uuid IS NULL OR run_id = %(only)s
ORDER BY run_id, step, attempt, row
