-- The queues in which steps of a run wait for other workers, and what holds each up.
SELECT j.queue, sum(j.waiting)::integer AS waiting, extract(epoch FROM kronos.now() - min(j.since))::float8 AS since_s,
       q.paused_at IS NOT NULL AS is_paused, q.paused_by, q.concurrency,
       (SELECT count(*) FROM kronos.jobs o WHERE o.queue = j.queue AND o.state = 'running') AS running
FROM (SELECT queue, 1 AS waiting, due_at AS since FROM kronos.jobs WHERE run_id = %(run)s AND state = 'pending') j
LEFT JOIN kronos.queues q ON q.name = j.queue
GROUP BY j.queue, q.paused_at, q.paused_by, q.concurrency
ORDER BY j.queue
