-- Give back every job of a dead incarnation, whoever declared it dead, and count the loss; one that was lost this often
-- is given up.  Steps of a run are not: their run waits for them.
UPDATE kronos.jobs j
SET worker = NULL, losses = j.losses + l.lost,
    state = CASE WHEN j.losses + l.lost >= %(losses_max)s AND j.run_id IS NULL THEN 'dead'::kronos.job_state ELSE 'pending' END,
    finished_at = CASE WHEN j.losses + l.lost >= %(losses_max)s AND j.run_id IS NULL THEN kronos.now() END,
    failure = CASE WHEN j.losses + l.lost >= %(losses_max)s AND j.run_id IS NULL THEN %(failure)b::bytea ELSE j.failure END
FROM (
    SELECT w.id, (w.dead_why IS DISTINCT FROM 'stopped')::integer AS lost
    FROM kronos.incarnations w
    WHERE w.dead_at IS NOT NULL AND w.id IN (SELECT worker FROM kronos.jobs WHERE state = 'running')
) l
WHERE j.state = 'running' AND j.worker = l.id
RETURNING j.id
