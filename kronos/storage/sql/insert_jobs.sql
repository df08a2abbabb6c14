-- Record the wish for many jobs at once, in their order; one whose idempotency key is taken is left out.
INSERT INTO kronos.jobs (queue, key, target, input, priority, rank, due_at, delayed, deadline_at, keep_ms, idempotency_key)
SELECT d.queue, d.key, d.target, d.input, d.priority, kronos.job_rank(w.due, d.priority), w.due, w.due > w.now,
       coalesce(d.deadline_at, w.now + d.deadline_ms * interval '1 millisecond'), d.keep_ms, d.idempotency_key
FROM unnest(%(queues)s::text[], %(keys)s::text[], %(targets)s::text[], %(inputs)b::bytea[], %(priorities)s::smallint[],
            %(delays_ms)s::bigint[], %(dues)s::timestamptz[], %(deadlines_ms)s::bigint[], %(deadlines)s::timestamptz[],
            %(keeps_ms)s::bigint[], %(idempotency_keys)s::text[])
     WITH ORDINALITY AS d (queue, key, target, input, priority, delay_ms, due_at, deadline_ms, deadline_at, keep_ms,
                           idempotency_key, place),
     LATERAL (SELECT n.now, greatest(n.now, coalesce(d.due_at, n.now + d.delay_ms * interval '1 millisecond', n.now)) AS due
              FROM (SELECT kronos.now() AS now) n) w
ORDER BY d.place
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id::text
