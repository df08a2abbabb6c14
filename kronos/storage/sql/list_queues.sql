-- Each queue that has open jobs or of which something was said: its limits, and where its jobs stand.
SELECT coalesce(c.queue, q.name), q.paused_at IS NOT NULL, q.paused_by, q.concurrency, q.key_concurrency, q.rate, q.rate_ms,
       coalesce(c.pending, 0), coalesce(c.delayed, 0), coalesce(c.running, 0), coalesce(c.dead, 0),
       (extract(epoch FROM kronos.now() - c.oldest))::float8
FROM kronos.queues q FULL JOIN (
    SELECT queue, count(*) FILTER (WHERE state = 'pending' AND due_at <= n.now) AS pending,
           count(*) FILTER (WHERE state = 'pending' AND due_at > n.now) AS delayed,
           count(*) FILTER (WHERE state = 'running') AS running, count(*) FILTER (WHERE state = 'dead') AS dead,
           min(due_at) FILTER (WHERE state = 'pending' AND due_at <= n.now) AS oldest
    FROM kronos.jobs, (SELECT kronos.now() AS now) n
    WHERE state IN ('pending', 'running', 'dead')
    GROUP BY queue
) c ON c.queue = q.name
WHERE %(queue)s::text IS NULL OR coalesce(c.queue, q.name) = %(queue)s
ORDER BY 1
