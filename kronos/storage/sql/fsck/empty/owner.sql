-- Runs owned by nobody that lives: by an incarnation that never was, or by one that is dead although others could reap.
SELECT 'runs: ' || r.id,
       CASE WHEN i.id IS NULL THEN 'its owner, incarnation ' || r.owner || ', never was'
            ELSE 'its owner, incarnation ' || r.owner || ', has been dead since ' || i.dead_at END
FROM kronos.runs r LEFT JOIN kronos.incarnations i ON i.id = r.owner
WHERE r.owner IS NOT NULL
  AND (i.id IS NULL
       OR (i.dead_at < kronos.now() - interval '1 minute'
           AND EXISTS (SELECT FROM kronos.incarnations o JOIN kronos.heartbeats h ON h.incarnation = o.id
                       WHERE o.dead_at IS NULL AND o.started_at < kronos.now() - interval '1 minute'
                         AND h.at > kronos.now() - make_interval(secs => o.lease_ms / 1000.0))))
ORDER BY r.id
