-- Which of these runs are still open.
SELECT id FROM kronos.runs WHERE id = ANY(%(runs)s::uuid[]) AND finished_at IS NULL
