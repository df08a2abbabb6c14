-- Journal segments in order; of all runs, or of one.
SELECT run_id, step, attempt, number, first_row, last_row, core_chain, user_chain, blob
FROM kronos.journal_segments
WHERE %(only)s::uuid IS NULL OR run_id = %(only)s
ORDER BY run_id, step, attempt, number
