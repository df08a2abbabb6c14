-- Try given-up jobs again, as if they had never failed; their attempts go on counting.
UPDATE kronos.jobs j
SET state = 'pending', failures = 0, losses = 0, finished_at = NULL, cancel_reason = NULL, deadline_at = NULL,
    due_at = n.now, delayed = false, rank = kronos.job_rank(n.now, j.priority)
FROM (SELECT kronos.now() AS now) n
WHERE j.id = ANY(%(ids)s::uuid[]) AND j.state = 'dead'
RETURNING j.id::text, j.id::text
