-- Offer steps of runs to whoever serves their definition, in the flush of their owner; one that is offered already is not
-- offered twice.
INSERT INTO kronos.jobs (run_id, queue, target, input, priority, rank, due_at, keep_ms, idempotency_key)
SELECT d.run_id, d.queue, d.target, d.input, 5, kronos.job_rank(n.now, 5::smallint), n.now, 1, d.once
FROM unnest(%(runs)s::uuid[], %(queues)s::text[], %(targets)s::text[], %(inputs)b::bytea[], %(onces)s::text[])
     AS d (run_id, queue, target, input, once), (SELECT kronos.now() AS now) n
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
