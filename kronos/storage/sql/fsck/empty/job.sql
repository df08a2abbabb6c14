-- Jobs held by nobody that lives, and jobs for steps of runs that never were.
SELECT 'jobs: ' || j.id,
       CASE WHEN i.id IS NULL THEN 'its worker, incarnation ' || j.worker || ', never was'
            ELSE 'its worker, incarnation ' || j.worker || ', has been dead since ' || i.dead_at END
FROM kronos.jobs j LEFT JOIN kronos.incarnations i ON i.id = j.worker
WHERE j.state = 'running'
  AND (i.id IS NULL
       OR (i.dead_at < kronos.now() - interval '1 minute'
           AND EXISTS (SELECT FROM kronos.incarnations o JOIN kronos.heartbeats h ON h.incarnation = o.id
                       WHERE o.dead_at IS NULL AND o.started_at < kronos.now() - interval '1 minute'
                         AND h.at > kronos.now() - make_interval(secs => o.lease_ms / 1000.0))))
UNION ALL
SELECT 'jobs: ' || j.id, 'it is for steps of run ' || j.run_id || ', which does not exist'
FROM kronos.jobs j
WHERE j.run_id IS NOT NULL AND NOT EXISTS (SELECT FROM kronos.runs r WHERE r.id = j.run_id)
ORDER BY 1, 2
