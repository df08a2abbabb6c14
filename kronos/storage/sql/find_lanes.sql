-- Which queues of these have pending jobs, and under which keys; by jumping from lane to lane in the index of
-- what can be claimed, so that the number of jobs does not matter.  At most 1,000 lanes.
WITH RECURSIVE lanes AS (
    (SELECT queue, key FROM kronos.jobs WHERE state = 'pending' ORDER BY queue, key LIMIT 1)
    UNION ALL
    SELECT n.queue, n.key
    FROM lanes l, LATERAL (
        SELECT j.queue, j.key FROM kronos.jobs j
        WHERE j.state = 'pending' AND (j.queue, j.key) > (l.queue, l.key)
        ORDER BY j.queue, j.key LIMIT 1
    ) n
)
SELECT l.queue, array_agg(l.key ORDER BY l.key), coalesce(bool_or(q.concurrency IS NOT NULL
       OR q.key_concurrency IS NOT NULL OR q.rate IS NOT NULL), false)
FROM (SELECT * FROM lanes LIMIT 1000) l LEFT JOIN kronos.queues q ON q.name = l.queue
WHERE q.paused_at IS NULL AND (%(queues)s::text[] IS NULL OR l.queue = ANY(%(queues)s::text[]))
GROUP BY l.queue
ORDER BY l.queue
